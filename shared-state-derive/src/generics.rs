//! The struct's generic parameters, in the forms that the generated items and implementations need.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{GenericParam, WherePredicate};

use crate::model::{Field, Policy};

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

impl Generics {
    pub(crate) fn new(
        ident: &Ident,
        mut generics: syn::Generics,
        fields: &[Field],
        krate: &TokenStream,
    ) -> Self {
        let names: BTreeSet<_> = names(&generics).map(Ident::to_string).collect();
        let types: Vec<_> = generics.type_params().map(|param| param.ident.clone()).collect();
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
        let holds_itself = |field: &Field| mentions(field.spanned.inner.clone(), &|found| found == ident);
        let of_fields: Vec<_> = fields
            .iter()
            .filter(|field| !holds_itself(field))
            .filter(|field| mentions(field.ty.clone(), &|ident| names.contains(&ident.to_string())))
            .flat_map(|field| {
                let Field { ty, policy_type, spanned, .. } = field;
                let inner = &spanned.inner;
                match field.policy {
                    Policy::Lww => vec![],
                    Policy::Counter => vec![quote!(#ty: #krate::merge::Number)],
                    Policy::Nested => vec![quote!(#inner: #krate::SharedState)],
                    Policy::Optional => {
                        vec![quote!(#inner: #krate::SharedState), quote!(#inner: #krate::merge::Value)]
                    }
                    Policy::Own | Policy::Entries | Policy::Text => {
                        vec![quote!(#policy_type: #krate::merge::MergePolicy<#ty>)]
                    }
                }
            })
            .collect();
        let own: Vec<_> = own.iter().map(ToTokens::to_token_stream).collect();
        let values: Vec<_> = types.iter().map(|ty| quote!(#ty: #krate::merge::Value)).collect();
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

fn angle(before: &TokenStream, own: &TokenStream, after: &TokenStream) -> TokenStream {
    let inside = quote!(#before #own #after);
    match inside.is_empty() {
        true => inside,
        false => quote!(<#inside>),
    }
}

/// The names of the type and const parameters.
pub(crate) fn names(generics: &syn::Generics) -> impl Iterator<Item = &Ident> {
    generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    })
}

/// Whether `wanted` is true of any identifier in `tokens`.
pub(crate) fn mentions(tokens: impl ToTokens, wanted: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_token_stream().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => wanted(&ident),
        TokenTree::Group(group) => mentions(group.stream(), wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
