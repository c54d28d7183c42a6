//! The update's enum, a variant for each field, and its form in JSON.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, vis, krate, update, .. } = model;
    let variants = model.fields.iter().map(|field| {
        let Field { ty, variant, .. } = field;
        // Spelled out where it can be, so that the documentation reads `Title(String)`.
        let krate = at(field.span, krate);
        let op = match field.policy {
            Policy::Lww => ty.clone(),
            Policy::Counter => quote_spanned!(field.span=> #krate::merge::CounterOp<#ty>),
            Policy::Nested => quote_spanned!(field.span=> #krate::merge::NestedOp<#ty>),
        };
        let docs = docs::of(field, &format!("An operation on the field `{}`.", field.wire));
        quote!(#docs #variant(#op),)
    });
    let head = format!("One operation on one field of [`{state}`].");
    quote! {
        #[doc = #head]
        ///
        /// As JSON it is an object with `key`, the field's path, `op`, the operation if it is not a plain set, and
        /// `value`.
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::cmp::PartialEq)]
        #[non_exhaustive]
        #[allow(
            dead_code,
            deprecated,
            non_camel_case_types,
            private_interfaces,
            clippy::enum_variant_names,
            clippy::large_enum_variant
        )]
        #vis enum #update {
            #(#variants)*
        }
    }
}

pub(super) fn serde(model: &Model) -> TokenStream {
    let Model { ident: state, update, .. } = model;
    quote! {
        #[automatically_derived]
        impl __p::serde::Serialize for #update {
            fn serialize<__S: __p::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __p::serialize_update::<#state, __S>(self, __serializer)
            }
        }
        #[automatically_derived]
        impl<'de> __p::serde::Deserialize<'de> for #update {
            fn deserialize<__D: __p::serde::Deserializer<'de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __p::deserialize_update::<#state, __D>(__deserializer)
            }
        }
    }
}
