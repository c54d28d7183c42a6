//! The typed field keys: `Document::TITLE`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::docs;
use crate::model::{Field, Model, Policy};

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { ident: state, vis, update, .. } = model;
    let keys = model.fields.iter().map(|field| {
        let Field { index, ident, ty, key, variant, .. } = field;
        let policy = field.policy.path();
        let key_type = match field.policy {
            Policy::Lww => quote_spanned!(field.span=> __state::Field<#state, #ty>),
            Policy::Counter | Policy::Nested => {
                quote_spanned!(field.span=> __state::Field<#state, #ty, __merge::#policy>)
            }
        };
        let new = quote_spanned!(field.span=> __state::Field::new);
        let docs = docs::of(field, &format!("The key of the field `{}`.", field.wire));
        quote! {
            #docs
            #vis const #key: #key_type =
                #new(#index, |__state| &__state.#ident, #update::#variant);
        }
    });
    quote! {
        #[allow(dead_code, deprecated, non_upper_case_globals, private_interfaces)]
        impl #state {
            #(#keys)*
        }
    }
}
