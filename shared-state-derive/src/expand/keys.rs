//! The typed field keys, for example `Document::TITLE`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::docs;
use crate::model::{Field, Model, Spanned};

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { this, generics, vis, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_impls);
    let keys = model.fields.iter().map(|field| {
        let Field { index, key, .. } = field;
        let Spanned { this, update, ident, ty, policy_type, variant, .. } = &field.spanned;
        let key_type = match field.is_plain() && field.codec.is_none() {
            true => quote_spanned!(field.span=> __p::FieldOf<#this, #ty>),
            false => quote_spanned!(field.span=> __p::FieldOf<#this, #ty, #policy_type>),
        };
        let key_value =
            quote_spanned!(field.span=> __p::Field::new(#index, |__state| &__state.#ident, #update::#variant));
        let docs = docs::of(field, &format!("The key of the field `{}`.", field.wire));
        let key = quote_spanned!(field.span=> const #key: #key_type = #key_value;);
        quote!(#docs #vis #key)
    });
    quote! {
        impl #params #this #clause {
            #(#keys)*
        }
    }
}
