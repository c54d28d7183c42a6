//! The patch: every shared field, each optional.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::docs;
use crate::model::{Field, Model, Policy};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, vis, krate, patch, .. } = model;
    let spelled = krate.to_string().replace(' ', "");
    let serde = format!("{spelled}::__private::serde");
    let present = format!("{spelled}::__private::present");
    let fields = model.fields.iter().map(|field| {
        let Field { ident, ty, wire, aliases, .. } = field;
        let value = match field.policy {
            Policy::Lww | Policy::Counter => ty.clone(),
            Policy::Nested => quote_spanned!(field.span=> <#ty as #krate::SharedState>::Patch),
        };
        let docs = docs::of(field, "The new value; `None` leaves the field alone.");
        quote! {
            #docs
            #[serde(
                rename = #wire,
                #(alias = #aliases,)*
                skip_serializing_if = "::core::option::Option::is_none",
                deserialize_with = #present
            )]
            #vis #ident: ::core::option::Option<#value>,
        }
    });
    let head = format!("A partial [`{state}`]: what to change, merged as one change.");
    quote! {
        #[doc = #head]
        ///
        /// As JSON it is an object with the fields to change; `null` is a value, an absent field is left alone.
        #[derive(
            ::core::clone::Clone,
            ::core::fmt::Debug,
            ::core::default::Default,
            #krate::__private::serde::Serialize,
            #krate::__private::serde::Deserialize
        )]
        #[serde(crate = #serde, default)]
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
