//! The update's enum, a variant for each field, and its form in JSON.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, generics, vis, krate, update, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_items);
    let variants = model.fields.iter().map(|field| {
        let Field { variant, .. } = field;
        // Spelled out where it can be, so that the documentation reads `Title(String)`.
        let krate = at(field.span, krate);
        let op = field.op(&krate);
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
        #vis enum #update #params #clause {
            #(#variants)*
        }
    }
}

pub(super) fn serde(model: &Model) -> TokenStream {
    let Model { this, generics, update, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let with_de = generics.declared(quote!('de,), none());
    quote! {
        #[automatically_derived]
        impl #params __p::serde::Serialize for #update #args #clause {
            fn serialize<__S: __p::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __p::serialize_update::<#this, __S>(self, __serializer)
            }
        }
        #[automatically_derived]
        impl #with_de __p::serde::Deserialize<'de> for #update #args #clause {
            fn deserialize<__D: __p::serde::Deserializer<'de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __p::deserialize_update::<#this, __D>(__deserializer)
            }
        }
    }
}
