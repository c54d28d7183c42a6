//! For each field with `#[serde(with = "..")]`, a type that implements `Codec` with serde's functions.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::{Codec, Field, Model};

pub(super) fn codecs(model: &Model) -> TokenStream {
    let with = model.fields.iter().filter_map(|field| field.codec.as_ref().map(|codec| (field, codec)));
    with.map(|(field, codec)| one(model, field, codec)).collect()
}

fn one(model: &Model, field: &Field, codec: &Codec) -> TokenStream {
    let Model { this, generics, .. } = model;
    let Codec { ident, serialize, deserialize } = codec;
    let ty = &field.ty;
    let serialize = match serialize {
        Some(path) => quote!(#path),
        None => quote!(__p::serde::Serialize::serialize),
    };
    let deserialize = match deserialize {
        Some(path) => quote!(#path),
        None => quote!(__p::serde::Deserialize::deserialize),
    };
    let (params, clause) = (generics.declared(TokenStream::new(), TokenStream::new()), &generics.on_impls);
    quote! {
        struct #ident<__D>(::core::marker::PhantomData<fn() -> __D>);
        #[automatically_derived]
        impl #params __merge::Codec<#ty> for #ident<#this> #clause {
            fn serialize<__S: __p::serde::Serializer>(
                __value: &#ty,
                __serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                #serialize(__value, __serializer)
            }
            fn deserialize<'de, __D: __p::serde::Deserializer<'de>>(
                __deserializer: __D,
            ) -> ::core::result::Result<#ty, __D::Error> {
                #deserialize(__deserializer)
            }
        }
    }
}
