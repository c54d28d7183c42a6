//! The struct's generic parameters, in the forms that the generated items and implementations need.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericParam, WherePredicate};

use crate::tokens::{mentions, names};

/// The parameters of a struct, and their bounds.
pub(crate) struct Generics {
    /// `T: Bound, const N: usize,`: for a declaration.
    pub(crate) params: TokenStream,
    /// `T, N,`: as arguments.
    pub(crate) args: TokenStream,
    /// The bounds that the items beside the struct need to be well formed: `where ..`, or nothing.
    pub(crate) on_items: TokenStream,
    /// The bounds that the implementation of `SharedState` needs: `where ..`, or nothing.
    pub(crate) on_impls: TokenStream,
    /// The bounds that values of the parameters' types need to be shared: `where ..`, or nothing.
    pub(crate) on_values: TokenStream,
}

/// A field's type, and what its policy demands of it.
pub(crate) struct Bounded {
    pub(crate) ty: TokenStream,
    /// The type inside, if the field is nested.
    pub(crate) inner: TokenStream,
    pub(crate) bounds: Vec<TokenStream>,
    /// The bounds that the field needs of the parameters, if the user gave them.
    pub(crate) given: Option<Vec<WherePredicate>>,
}

impl Generics {
    pub(crate) fn new(
        ident: &Ident,
        mut generics: syn::Generics,
        bound: Option<Vec<WherePredicate>>,
        fields: &[Bounded],
        krate: &TokenStream,
    ) -> Self {
        let names: BTreeSet<_> = names(&generics).map(Ident::to_string).collect();
        // As serde, infer what the types of the fields mention: a parameter, or a type that belongs to one. Not if
        // the bounds are given.
        let params: Vec<_> = generics.type_params().map(|param| param.ident.clone()).collect();
        let mut types = Mentioned::default();
        for field in fields.iter().filter(|field| field.given.is_none() && bound.is_none()) {
            types.look_at(field.ty.clone(), &params);
        }
        let others = params.iter().filter(|param| !types.names.contains(&param.to_string()));
        let others: Vec<_> = others.map(|param| quote!(#param: 'static)).collect();
        let given = fields.iter().filter_map(|field| field.given.as_ref()).chain(&bound).flatten();
        let given: Vec<_> = given.map(ToTokens::to_token_stream).collect();
        let own: Vec<WherePredicate> = generics
            .where_clause
            .take()
            .map(|clause| clause.predicates.into_iter().collect())
            .unwrap_or_default();
        let mut args = TokenStream::new();
        for param in &mut generics.params {
            match param {
                GenericParam::Type(param) => {
                    param.default = None;
                    let ident = &param.ident;
                    args.extend(quote!(#ident,));
                }
                GenericParam::Const(param) => {
                    param.default = None;
                    let ident = &param.ident;
                    args.extend(quote!(#ident,));
                }
                GenericParam::Lifetime(_) => {}
            }
        }
        let params = generics.params.iter().map(|param| quote!(#param,)).collect();
        let holds_itself = |field: &Bounded| mentions(field.inner.clone(), &|found| found == ident);
        let of_fields: Vec<_> = fields
            .iter()
            .filter(|field| !holds_itself(field))
            .filter(|field| mentions(field.ty.clone(), &|ident| names.contains(&ident.to_string())))
            .flat_map(|field| field.bounds.clone())
            .collect();
        let own: Vec<_> = own.iter().map(ToTokens::to_token_stream).collect();
        let inferred = types.types.iter().map(|ty| quote!(#ty: #krate::merge::Value));
        let values: Vec<_> = inferred.chain(given).chain(others).collect();
        let clause = |predicates: &[&[TokenStream]]| {
            let mut known = BTreeSet::new();
            let all = predicates.iter().copied().flatten();
            let each: Vec<_> = all.filter(|predicate| known.insert(predicate.to_string())).collect();
            match each.is_empty() {
                true => TokenStream::new(),
                false => quote!(where #(#each,)*),
            }
        };
        let all = clause(&[&own, &of_fields, &values]);
        Self {
            params,
            args,
            // A struct inside itself is a shared state under the same bounds as the struct.
            on_items: match fields.iter().any(holds_itself) {
                true => all.clone(),
                false => clause(&[&own, &of_fields]),
            },
            on_impls: all,
            on_values: clause(&[&own, &values]),
        }
    }

    /// `<'de, T: Bound, S: Serializer>`: the declared parameters between others, or nothing.
    pub(crate) fn declared(&self, before: TokenStream, after: TokenStream) -> TokenStream {
        angle(&before, &self.params, &after)
    }

    /// `<T, L>`: the arguments followed by others, or nothing.
    pub(crate) fn passed(&self, after: TokenStream) -> TokenStream {
        angle(&TokenStream::new(), &self.args, &after)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.args.is_empty()
    }
}

/// The types of values that the types of fields mention.
#[derive(Default)]
struct Mentioned {
    types: Vec<TokenStream>,
    /// The types as text.
    names: BTreeSet<String>,
}

impl Mentioned {
    fn look_at(&mut self, ty: TokenStream, params: &[Ident]) {
        let mut trees = ty.into_iter().peekable();
        let mut after_colons = false;
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Ident(param) if params.contains(&param) && !after_colons => {
                    if trees.peek().is_some_and(|next| matches!(next, TokenTree::Ident(word) if word == "as"))
                    {
                        // `<K as Kind>::Item` is left to bounds that are given.
                        continue;
                    }
                    let is_colon =
                        |next: &TokenTree| matches!(next, TokenTree::Punct(colon) if colon.as_char() == ':');
                    let mut ty = param.to_token_stream();
                    while let Some(colon) = trees.next_if(is_colon) {
                        ty.extend(Some(colon));
                        ty.extend(trees.next_if(is_colon));
                        ty.extend(trees.next_if(|next| matches!(next, TokenTree::Ident(_))));
                    }
                    if self.names.insert(ty.to_string()) {
                        self.types.push(ty);
                    }
                    after_colons = false;
                }
                TokenTree::Group(group) => {
                    self.look_at(group.stream(), params);
                    after_colons = false;
                }
                TokenTree::Punct(punct) => after_colons = punct.as_char() == ':',
                TokenTree::Ident(_) | TokenTree::Literal(_) => after_colons = false,
            }
        }
    }
}

fn angle(before: &TokenStream, own: &TokenStream, after: &TokenStream) -> TokenStream {
    let inside = quote!(#before #own #after);
    match inside.is_empty() {
        true => inside,
        false => quote!(<#inside>),
    }
}
