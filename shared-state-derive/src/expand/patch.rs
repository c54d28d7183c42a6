//! The patch: every shared field, each optional.
//!
//! Its `Serialize` and `Deserialize` are written here and not derived: a line for each field costs the compiler
//! a fraction of what serde's derive does, and keeps `null` apart from absent without a wrapper for each field.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, vis, krate, patch, .. } = model;
    let fields = model.fields.iter().map(|field| {
        let Field { ident, ty, .. } = field;
        let value = match field.policy {
            Policy::Lww | Policy::Counter => ty.clone(),
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
        #[derive(::core::clone::Clone, ::core::fmt::Debug, ::core::default::Default)]
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_interfaces,
            clippy::option_option,
            clippy::struct_field_names,
            clippy::type_complexity
        )]
        #vis struct #patch {
            #(#fields)*
        }
    }
}

pub(super) fn serde(model: &Model) -> TokenStream {
    let Model { ident: state, patch, .. } = model;
    let entries = model.fields.iter().map(|field| {
        let Field { ident, wire, .. } = field;
        at(field.span, &quote!(__p::patch_entry(&mut __map, #wire, &self.#ident)?;))
    });
    let arms = model.fields.iter().map(|field| {
        let Field { index, ident, .. } = field;
        at(field.span, &quote!(#index => __patch.#ident = __p::patch_value(&mut __map)?,))
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl __p::serde::Serialize for #patch {
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
        impl<'de> __p::serde::Deserialize<'de> for #patch {
            fn deserialize<__D: __p::serde::Deserializer<'de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<Self, __D::Error> {
                struct __Visitor;
                impl<'de> __p::serde::de::Visitor<'de> for __Visitor {
                    type Value = #patch;
                    fn expecting(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        __f.write_str("an object with the fields to change")
                    }
                    fn visit_map<__M: __p::serde::de::MapAccess<'de>>(
                        self,
                        mut __map: __M,
                    ) -> ::core::result::Result<#patch, __M::Error> {
                        let mut __patch = <#patch as ::core::default::Default>::default();
                        while let ::core::option::Option::Some(__field) = __p::patch_key::<#state, __M>(&mut __map)? {
                            match __field {
                                #(#arms)*
                                _ => __p::patch_unknown(&mut __map)?,
                            }
                        }
                        ::core::result::Result::Ok(__patch)
                    }
                }
                __p::serde::Deserializer::deserialize_map(__deserializer, __Visitor)
            }
        }
    }
}
