//! The update: an enum with a variant for each field, and its JSON form.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::docs;
use crate::model::{Field, Model, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, generics, vis, krate, update, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_items);
    let variants = model.fields.iter().map(|field| {
        let Field { variant, .. } = field;
        // Spelled out where possible, so that the documentation reads `Title(String)`.
        let krate = at(field.span, krate);
        let op = field.op(&krate);
        let docs = docs::of(field, &format!("An operation on the field `{}`.", field.wire));
        quote!(#docs #variant(#op),)
    });
    let head = format!("One operation on one field of [`{state}`].");
    quote! {
        #[doc = #head]
        ///
        /// Its JSON form is an object with `key` (the field's path), `op` (the operation's name, absent for a plain
        /// set) and `value`.
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

/// `Clone`, `Debug`, `PartialEq`, `Serialize` and `Deserialize`. The first three are not derived: one match
/// over the operations serves all of them, and the compiler reports everything that a type lacks in one
/// place.
pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { this, generics, update, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let with_de = generics.declared(quote!('de,), none());
    let operations = model.fields.iter().map(|field| {
        let (variant, visit) = (&field.spanned.variant, field.policy("__visit"));
        let name = variant.to_string();
        quote_spanned!(field.span=> Self::#variant(__op) => #visit(__op, #name, Self::#variant, __visitor),)
    });
    // The span of these functions is that of the field that causes an error about the whole update.
    let clone = quote_spanned! {model.span=>
        fn clone(&self) -> Self {
            __p::clone_update(self)
        }
    };
    let deserialize = quote_spanned! {model.span=>
        fn deserialize<__D: __p::serde::Deserializer<'de>>(
            __deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __p::deserialize_update::<#this, __D>(__deserializer)
        }
    };
    quote! {
        #[automatically_derived]
        impl #params __p::Operation for #update #args #clause {
            fn operation<'a, __V: __p::OpVisitor<'a, Self>>(&'a self, __visitor: __V) -> __V::Out {
                match self { #(#operations)* }
            }
        }
        #[automatically_derived]
        impl #params ::core::clone::Clone for #update #args #clause {
            #[inline]
            #clone
        }
        #[automatically_derived]
        impl #params ::core::fmt::Debug for #update #args #clause {
            #[inline]
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                __p::show_update(self, __f)
            }
        }
        #[automatically_derived]
        impl #params ::core::cmp::PartialEq for #update #args #clause {
            #[inline]
            fn eq(&self, __other: &Self) -> ::core::primitive::bool {
                __p::same_update(self, __other)
            }
        }
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
            #deserialize
        }
    }
}
