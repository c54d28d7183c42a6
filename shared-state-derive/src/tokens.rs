//! Questions about tokens and types that need no model: which names they mention.

use proc_macro2::{Ident, TokenTree};
use quote::ToTokens;
use syn::GenericParam;

/// The names of the type and const parameters.
pub(crate) fn names(generics: &syn::Generics) -> impl Iterator<Item = &Ident> {
    generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    })
}

/// Whether any identifier in `tokens` is one that is looked for.
pub(crate) fn mentions(tokens: impl ToTokens, wanted: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_token_stream().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => wanted(&ident),
        TokenTree::Group(group) => mentions(group.stream(), wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// The last name in a type that is a path, `String` in `std::string::String`.
pub(crate) fn last_segment(ty: &syn::Type) -> Option<&Ident> {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| &segment.ident),
        syn::Type::Group(group) => last_segment(&group.elem),
        syn::Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}
