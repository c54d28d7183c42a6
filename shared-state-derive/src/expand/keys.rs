//! The typed field keys: `Document::TITLE`.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { ident: state, vis, update, .. } = model;
    let keys = model.fields.iter().map(|field| {
        let Field { index, ident, ty, key, variant, .. } = field;
        let policy = field.policy.path();
        let key_type = match field.policy {
            Policy::Lww => quote!(__state::Field<#state, #ty>),
            Policy::Counter | Policy::Nested => {
                quote!(__state::Field<#state, #ty, __merge::#policy>)
            }
        };
        let key_type = at(field.span, &key_type);
        let key_value = quote!(__state::Field::new(#index, |__state| &__state.#ident, #update::#variant));
        let key_value = at(field.span, &key_value);
        let docs = docs::of(field, &format!("The key of the field `{}`.", field.wire));
        quote! {
            #docs
            #vis const #key: #key_type = #key_value;
        }
    });
    quote! {
        #[allow(dead_code, deprecated, non_upper_case_globals, private_interfaces)]
        impl #state {
            #(#keys)*
        }
    }
}
