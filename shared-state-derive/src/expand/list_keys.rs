//! For each `list(key = ..)`, a type that implements `KeyOf`: it finds the key of an item.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::model::{Field, ListKey, Model};

fn all(model: &Model) -> impl Iterator<Item = (&Field, &ListKey)> {
    model.fields.iter().flat_map(|field| field.list_keys.iter().map(move |key| (field, key)))
}

/// The types. They stand beside the struct, because the type of the field's policy names them.
pub(super) fn items(model: &Model) -> TokenStream {
    let vis = &model.vis;
    let items = all(model).map(|(_, ListKey { ident, is_generic, .. })| {
        let rest = match is_generic {
            true => quote!(<D>(::core::marker::PhantomData<fn() -> D>);),
            false => quote!(;),
        };
        quote! {
            #[doc(hidden)]
            #[allow(dead_code)]
            #vis struct #ident #rest
        }
    });
    items.collect()
}

pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { this, generics, .. } = model;
    let nothing = TokenStream::new();
    let keys = all(model).map(|(field, ListKey { ident, is_generic, item, field: key })| {
        let none = TokenStream::new;
        let (params, args, clause) = match is_generic {
            true => (generics.declared(none(), none()), quote!(<#this>), &generics.on_values),
            false => (none(), none(), &nothing),
        };
        let name = quote::ToTokens::to_token_stream(&syn::ext::IdentExt::unraw(key)).to_string();
        // The key may come from a macro, whose local names are others than those here.
        let at = proc_macro2::Span::call_site().located_at(key.span());
        // Looked up in serde's own code, because only that knows the attributes on the item.
        let member = quote_spanned!(at=> __p::Member::of(__item, |__item| &__item.#key));
        let text = quote_spanned!(at=> __merge::key_text(&__item.#key, __look));
        let item = crate::model::at(field.span, item);
        quote! {
            #[automatically_derived]
            impl #params __merge::KeyOf<#item> for #ident #args #clause {
                const NAME: &'static ::core::primitive::str = #name;
                fn member(__item: ::core::option::Option<&#item>) -> __p::Member {
                    #member
                }
                fn with_key<__R>(
                    __item: &#item,
                    __look: impl ::core::ops::FnOnce(&::core::primitive::str) -> __R,
                ) -> ::core::option::Option<__R> {
                    #text
                }
            }
        }
    });
    keys.collect()
}
