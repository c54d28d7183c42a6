//! The patch: every shared field, each optional.
//!
//! Its `Serialize` and `Deserialize` are written here and not derived: a line for each field costs the compiler
//! a fraction of what serde's derive does, and keeps `null` apart from absent without a wrapper for each field.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, generics, vis, krate, patch, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_items);
    let fields = model.fields.iter().map(|field| {
        let Field { ident, ty, .. } = field;
        let value = match field.policy {
            Policy::Lww | Policy::Counter | Policy::Own | Policy::Entries => ty.clone(),
            Policy::Nested => quote!(<#ty as #krate::SharedState>::Patch),
        };
        let docs = docs::of(field, "The new value; `None` leaves the field alone.");
        let option = at(field.span, &quote!(::core::option::Option<#value>));
        quote!(#docs #vis #ident: #option,)
    });
    let head = format!("A partial [`{state}`]: what to change, merged as one change.");
    quote! {
        #[doc = #head]
        ///
        /// As JSON it is an object with the fields to change; `null` is a value, an absent field is left alone.
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
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

/// The default, and a method for each field.
pub(super) fn building(model: &Model) -> TokenStream {
    let Model { generics, vis, patch, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_items);
    let absent = model.fields.iter().map(|Field { ident, .. }| quote!(#ident: ::core::option::Option::None,));
    // A field's method comes before the constructor of its name, which is then `default`.
    let new = (!model.fields.iter().any(|field| field.ident == "new")).then(|| {
        quote! {
            /// A patch that changes nothing.
            #[must_use]
            #vis fn new() -> Self {
                ::core::default::Default::default()
            }
        }
    });
    let methods = model.fields.iter().map(|field| {
        let Field { ident, ty, .. } = field;
        let docs = docs::of(field, "The same patch, with this new value.");
        let (parameter, value) = match field.policy {
            Policy::Nested => (quote!(<#ty as __state::SharedState>::Patch), quote!(value)),
            _ if field.is_string => {
                (quote!(impl ::core::convert::Into<#ty>), quote!(::core::convert::Into::into(value)))
            }
            Policy::Lww | Policy::Counter | Policy::Own | Policy::Entries => (ty.clone(), quote!(value)),
        };
        let parameter = at(field.span, &parameter);
        let body = at(field.span, &quote!({ self.#ident = ::core::option::Option::Some(#value); self }));
        quote!(#docs #[must_use] #vis fn #ident(mut self, value: #parameter) -> Self #body)
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #params ::core::default::Default for #patch #args #clause {
            fn default() -> Self {
                Self { #(#absent)* }
            }
        }
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_interfaces,
            clippy::should_implement_trait,
            clippy::wrong_self_convention
        )]
        impl #params #patch #args #clause {
            #new
            #(#methods)*
        }
    }
}

pub(super) fn serde(model: &Model) -> TokenStream {
    let Model { this, generics, patch, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let with_de = generics.declared(quote!('de,), none());
    let entries = model.fields.iter().map(|field| {
        let Field { ident, wire, policy_type, .. } = field;
        let entry = match field.codec {
            Some(_) => quote!(__p::patch_entry_with::<#policy_type, _, _>),
            None => quote!(__p::patch_entry),
        };
        at(field.span, &quote!(#entry(&mut __map, #wire, &self.#ident)?;))
    });
    let arms = model.fields.iter().map(|field| {
        let Field { index, ident, policy_type, .. } = field;
        let value = match field.codec {
            Some(_) => quote!(__p::patch_value_with::<#policy_type, _, _>),
            None => quote!(__p::patch_value),
        };
        at(field.span, &quote!(#index => self.#ident = #value(__map)?,))
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #params __p::serde::Serialize for #patch #args #clause {
            fn serialize<__S: __p::serde::Serializer>(
                &self,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                let mut __map = __p::serde::Serializer::serialize_map(__serializer, ::core::option::Option::None)?;
                #(#entries)*
                __p::serde::ser::SerializeMap::end(__map)
            }
        }
        #[automatically_derived]
        #[allow(deprecated)]
        impl #params __p::PatchFields for #patch #args #clause {
            type State = #this;
            fn read_field<'de, __M: __p::serde::de::MapAccess<'de>>(
                &mut self,
                __field: __state::FieldId,
                __map: &mut __M,
            ) -> ::core::result::Result<(), __M::Error> {
                match __field {
                    #(#arms)*
                    _ => __p::patch_unknown(__map)?,
                }
                ::core::result::Result::Ok(())
            }
        }
        #[automatically_derived]
        impl #with_de __p::serde::Deserialize<'de> for #patch #args #clause {
            fn deserialize<__D: __p::serde::Deserializer<'de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                __p::deserialize_patch(__deserializer)
            }
        }
    }
}
