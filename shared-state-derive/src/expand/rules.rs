//! A function for each field that has rules; the field's pattern is compiled once, behind it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::model::{Field, Model, Rule, without_self};

pub(super) fn checkers(model: &Model) -> TokenStream {
    model.fields.iter().filter(|field| !field.rules.is_empty()).map(|field| checker(model, field)).collect()
}

fn checker(model: &Model, field: &Field) -> TokenStream {
    let Field { checker, ty, .. } = field;
    let generics = &model.generics;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_impls);
    let at = |span: Span| Span::call_site().located_at(span);
    // The value is spanned with the type: "`u8` has no length" points at the `u8`.
    let value = quote_spanned!(field.span=> __value);
    let option = |bound: &Option<syn::Expr>| match bound {
        Some(bound) => {
            let bound = without_self(quote!(#bound), &model.this);
            quote!(::core::option::Option::Some(#bound))
        }
        None => quote!(::core::option::Option::None),
    };
    let rules = field.rules.iter().map(|rule| match rule {
        Rule::Length { name, min, max } => {
            let (min, max) = (option(min), option(max));
            quote_spanned!(at(name.span())=> __state::rules::length(#value, #min, #max)?;)
        }
        Rule::Range { name, min, max } => {
            let (min, max) = (option(min), option(max));
            quote_spanned!(at(name.span())=> __state::rules::range(#value, #min, #max)?;)
        }
        Rule::Pattern { name, pattern } => quote_spanned! {at(name.span())=>
            static __PATTERN: __p::LazyLock<__p::Regex> = __p::LazyLock::new(|| __p::regex(#pattern));
            __state::rules::pattern(#value, &__PATTERN)?;
        },
        Rule::Custom { name, path } => {
            let path = without_self(quote!(#path), &model.this);
            quote_spanned!(at(name.span())=> __state::rules::custom(#path(#value))?;)
        }
    });
    quote! {
        #[allow(clippy::ptr_arg, clippy::trivially_copy_pass_by_ref, clippy::ref_option, non_snake_case)]
        fn #checker #params(__value: &#ty) -> ::core::result::Result<(), __state::Invalid> #clause {
            #(#rules)*
            ::core::result::Result::Ok(())
        }
    }
}
