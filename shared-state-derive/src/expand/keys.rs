//! The typed field keys: `Document::TITLE`.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, at};

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { this, generics, vis, update, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_impls);
    let keys = model.fields.iter().map(|field| {
        let Field { index, ident, ty, policy_type, key, variant, .. } = field;
        let key_type = match field.policy_type.to_string().as_str() {
            "__merge :: Lww" => quote!(__state::Field<#this, #ty>),
            _ => quote!(__state::Field<#this, #ty, #policy_type>),
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
        impl #params #this #clause {
            #(#keys)*
        }
    }
}
