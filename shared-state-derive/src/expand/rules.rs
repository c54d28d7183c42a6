//! For each field that has rules, a function that checks them. A pattern is compiled when it is first used.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;

use super::docs::spelled;
use crate::model::{Field, Model, Rule, without_self};

pub(super) fn checkers(model: &Model) -> TokenStream {
    model.fields.iter().filter(|field| field.is_checked()).map(|field| checker(model, field)).collect()
}

fn checker(model: &Model, field: &Field) -> TokenStream {
    let Field { checker, ty, .. } = field;
    let generics = &model.generics;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_impls);
    // The value has the span of the type: "`u8` has no length" points at the `u8`.
    let value = quote_spanned!(field.span=> __value);
    let rules = field.checked().map(|rule| check(model, rule, &value));
    quote! {
        fn #checker #params(__value: &#ty) -> ::core::result::Result<(), __p::Invalid> #clause {
            #(#rules)*
            ::core::result::Result::Ok(())
        }
    }
}

/// The code that checks one rule of `value`.
fn check(model: &Model, rule: &Rule, value: &TokenStream) -> TokenStream {
    let at = |name: &Ident| Span::call_site().located_at(name.span());
    let option = |bound: &Option<syn::Expr>| match bound {
        Some(bound) => {
            let bound = without_self(quote!(#bound), &model.this);
            quote!(::core::option::Option::Some(#bound))
        }
        None => quote!(::core::option::Option::None),
    };
    match rule {
        Rule::Length { name, unit, min, max } => {
            let (min, max) = (option(min), option(max));
            match unit {
                Some(unit) if unit != "items" => {
                    let bytes = unit == "bytes";
                    quote_spanned!(at(name)=> __p::rules::text_length(#value, #bytes, #min, #max)?;)
                }
                _ => quote_spanned!(at(name)=> __p::rules::length(#value, #min, #max)?;),
            }
        }
        Rule::Range { name, min, max } => {
            let (min, max) = (option(min), option(max));
            quote_spanned!(at(name)=> __p::rules::range(#value, #min, #max)?;)
        }
        Rule::Pattern { name, pattern } => quote_spanned! {at(name)=>
            static __PATTERN: __p::LazyLock<__p::Regex> = __p::LazyLock::new(|| __p::regex(#pattern));
            __p::rules::pattern(#value, &__PATTERN)?;
        },
        Rule::Custom { path } => {
            let path = without_self(quote!(#path), &model.this);
            let at = Span::call_site().located_at(path.span());
            quote_spanned!(at=> __p::rules::custom(#value, #path, |__value| __value)?;)
        }
        Rule::Email { name } => quote_spanned!(at(name)=> __p::rules::email(#value)?;),
        Rule::Url { name } => quote_spanned!(at(name)=> __p::rules::url(#value)?;),
        Rule::Dive { name } => quote_spanned!(at(name)=> __p::rules::dive(#value)?;),
        Rule::Inner { name, rules } => {
            let rules = rules.iter().map(|rule| check(model, rule, value));
            quote_spanned! {at(name)=>
                __p::rules::inner(#value, |#value| {
                    #(#rules)*
                    ::core::result::Result::Ok(())
                })?;
            }
        }
    }
}

/// A rule as a `RuleInfo`.
pub(super) fn described(rule: &Rule) -> TokenStream {
    let option = |bound: &Option<syn::Expr>| match bound {
        Some(bound) => {
            let bound = spelled(bound);
            quote!(::core::option::Option::Some(#bound))
        }
        None => quote!(::core::option::Option::None),
    };
    match rule {
        Rule::Length { unit, min, max, .. } => {
            let unit = unit.as_ref().map_or_else(String::new, Ident::to_string);
            let (min, max) = (option(min), option(max));
            quote!(__p::RuleInfo::Length { unit: #unit, min: #min, max: #max })
        }
        Rule::Range { min, max, .. } => {
            let (min, max) = (option(min), option(max));
            quote!(__p::RuleInfo::Range { min: #min, max: #max })
        }
        Rule::Pattern { pattern, .. } => quote!(__p::RuleInfo::Pattern(#pattern)),
        Rule::Custom { path } => {
            let path = spelled(path);
            quote!(__p::RuleInfo::Custom(#path))
        }
        Rule::Email { .. } => quote!(__p::RuleInfo::Email),
        Rule::Url { .. } => quote!(__p::RuleInfo::Url),
        Rule::Dive { .. } => quote!(__p::RuleInfo::Dive),
        Rule::Inner { rules, .. } => {
            let rules = rules.iter().map(described);
            quote!(__p::RuleInfo::Inner(&[#(#rules),*]))
        }
    }
}
