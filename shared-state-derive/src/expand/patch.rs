//! The patch: every shared field as an `Option`.
//!
//! Its `Serialize` and `Deserialize` are generated here instead of derived. One line for each field costs the
//! compiler a fraction of what serde's derive does, and distinguishes `null` from an absent field without a
//! wrapper around each field.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, generics, vis, krate, patch, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_items);
    let fields = model.fields.iter().map(|field| {
        let Field { ident, ty, .. } = field;
        let value = match field.policy {
            Policy::Nested => {
                let inner = &field.spanned.inner;
                quote!(#krate::__private::PatchOf<#inner>)
            }
            _ => ty.clone(),
        };
        let docs = docs::of(field, "The new value; `None` leaves the field alone.");
        let option = quote_spanned!(field.span=> ::core::option::Option<#value>);
        quote!(#docs #vis #ident: #option,)
    });
    let head = format!("A partial [`{state}`]: the fields to change, as one change.");
    quote! {
        #[doc = #head]
        ///
        /// Its JSON form is an object with the fields to change. `null` is a value; an absent field is left alone.
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_interfaces,
            clippy::option_option,
            clippy::struct_field_names,
            clippy::type_complexity
        )]
        #vis struct #patch #params #clause {
            #(#fields)*
        }
    }
}

/// The default value, and a builder method for each field.
pub(super) fn building(model: &Model) -> TokenStream {
    let Model { generics, vis, patch, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_items);
    let absent = model.fields.iter().map(|field| {
        let ident = &field.spanned.ident;
        quote_spanned!(field.span=> #ident: ::core::option::Option::None,)
    });
    // If a field is named `new`, its method takes the name, and the constructor is `default`.
    let new = (!model.fields.iter().any(|field| field.ident == "new")).then(|| {
        let new = quote_spanned!(model.span=> fn new() -> Self { ::core::default::Default::default() });
        quote! {
            /// A patch that changes nothing.
            #[must_use]
            #vis #new
        }
    });
    let methods = model.fields.iter().map(|field| {
        let Field { ident, ty, .. } = field;
        let inner = &field.spanned.inner;
        let docs = docs::of(field, "Sets the field's new value in the patch.");
        let (parameter, value) = match field.policy {
            Policy::Nested => (quote!(__p::PatchOf<#inner>), quote!(value)),
            _ if field.is_string => {
                (quote!(impl ::core::convert::Into<#ty>), quote!(::core::convert::Into::into(value)))
            }
            _ => (ty.clone(), quote!(value)),
        };
        let parameter = at(field.span, &parameter);
        let slot = &field.spanned.ident;
        let result = quote_spanned!(model.span=> Self);
        let body = quote_spanned!(field.span=> { __p::put(&mut self.#slot, #value); self });
        quote!(#docs #[inline] #[must_use] #vis fn #ident(mut self, value: #parameter) -> #result #body)
    });
    quote! {
        #[automatically_derived]
        impl #params ::core::default::Default for #patch #args #clause {
            #[inline]
            fn default() -> Self {
                Self { #(#absent)* }
            }
        }
        impl #params #patch #args #clause {
            #new
            #(#methods)*
        }
    }
}

/// `Clone`, `Debug`, `Serialize`, `Deserialize` and `PatchFields`.
pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { this, generics, patch, .. } = model;
    let (name, name_of_state) = (patch.to_string(), model.name());
    let copied = model.fields.iter().map(|field| {
        let ident = &field.spanned.ident;
        let copy = match field.is_plain() {
            true => field.policy("__patch_copy"),
            false => {
                let ty = field.in_patch();
                quote_spanned!(field.span=> __p::patch_copy::<#ty>)
            }
        };
        quote_spanned!(field.span=> #copy(&self.#ident, &mut __copy.#ident);)
    });
    let shown = model.fields.iter().map(|field| {
        let (ident, name) = (&field.spanned.ident, field.ident.unraw().to_string());
        let show = match field.is_plain() {
            true => field.policy("__patch_show"),
            false => {
                let ty = field.in_patch();
                quote_spanned!(field.span=> __p::patch_show::<#ty>)
            }
        };
        quote_spanned!(field.span=> #show(&self.#ident, #name, &mut __out);)
    });
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let with_de = generics.declared(quote!('de,), none());
    let written = model.fields.iter().map(|field| {
        let (index, ident) = (field.index, &field.spanned.ident);
        let write = match field.is_plain() {
            true => field.policy("__patch_write"),
            false => {
                let ty = field.in_patch();
                quote_spanned!(field.span=> __p::patch_write::<_, #ty>)
            }
        };
        quote_spanned!(field.span=> #index => #write(&self.#ident, __name, __map),)
    });
    let read = model.fields.iter().map(|field| {
        let (index, ident) = (field.index, &field.spanned.ident);
        let read = match field.is_plain() {
            true => field.policy("__patch_read"),
            false => {
                let ty = field.in_patch();
                quote_spanned!(field.span=> __p::patch_read::<_, #ty>)
            }
        };
        quote_spanned!(field.span=> #index => #read(&mut self.#ident, __map),)
    });
    let deserialize = quote_spanned! {model.span=>
        fn deserialize<__D: __p::serde::Deserializer<'de>>(
            __deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __p::deserialize_patch::<#this, _, _>(__deserializer)
        }
    };
    quote! {
        #[automatically_derived]
        impl #params ::core::clone::Clone for #patch #args #clause {
            #[inline]
            fn clone(&self) -> Self {
                let mut __copy = <Self as ::core::default::Default>::default();
                #(#copied)*
                __copy
            }
        }
        #[automatically_derived]
        impl #params ::core::fmt::Debug for #patch #args #clause {
            #[inline]
            fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                let mut __out = __f.debug_struct(#name);
                #(#shown)*
                __out.finish_non_exhaustive()
            }
        }
        #[automatically_derived]
        impl #params __p::serde::Serialize for #patch #args #clause {
            fn serialize<__S: __p::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                __p::serialize_patch::<#this, _, _>(self, __serializer)
            }
        }
        #[automatically_derived]
        impl #params __p::PatchFields<#this> for #patch #args #clause {
            fn write_field<__M: __p::serde::ser::SerializeMap>(
                &self,
                __field: __p::FieldId,
                __name: &::core::primitive::str,
                __map: &mut __M,
            ) -> ::core::result::Result<(), __M::Error> {
                match __field {
                    #(#written)*
                    __other => __p::no_field(#name_of_state, __other),
                }
            }
            fn read_field<'de, __M: __p::serde::de::MapAccess<'de>>(
                &mut self,
                __field: __p::FieldId,
                __map: &mut __M,
            ) -> ::core::result::Result<(), __M::Error> {
                match __field {
                    #(#read)*
                    _ => __p::patch_skip(__map),
                }
            }
        }
        #[automatically_derived]
        impl #with_de __p::serde::Deserialize<'de> for #patch #args #clause {
            #deserialize
        }
    }
}
