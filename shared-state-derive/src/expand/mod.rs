//! From the checked model to code. One file for each thing that is generated.
//!
//! Items a user names (the update, the patch, the handle) stand beside the struct and spell every path in full.
//! The implementations are inside a `const _`, where the crate's modules have short names that nothing outside
//! can see. Names of locals begin with `__`, so that no constant of the user's can turn a binding into a
//! pattern. The code is linear in the number of fields.

mod codec;
mod docs;
mod handle;
mod info;
mod keys;
mod list_keys;
mod patch;
mod rules;
mod state;
mod update;

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::model::{Field, Model, Policy, at};

pub(crate) fn expand(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let update = update::item(model);
    let patch = patch::item(model);
    let handle = handle::item(model);
    let markers = list_keys::items(model);
    let impls = [
        codec::codecs(model),
        list_keys::implementations(model),
        rules::checkers(model),
        state::implementation(model),
        update::serde(model),
        patch::building(model),
        patch::serde(model),
        keys::implementation(model),
        handle::implementations(model),
    ];
    quote! {
        #update
        #patch
        #handle
        #markers
        const _: () = {
            #[allow(unused_imports)]
            use #krate::{__private as __p, merge as __merge, state as __state};
            #(#impls)*
        };
    }
}

impl Field {
    /// An item of the policy's `MergePolicy` for the field's type. Every token is at the type, so that what the
    /// type lacks is reported there, and once.
    fn policy(&self, item: &str) -> TokenStream {
        let ty = &self.ty;
        let policy = at(self.span, &self.policy_type);
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <#policy as __merge::MergePolicy<#ty>>::#item)
    }

    /// An item of the nested type's `SharedState`, at the type.
    fn nested(&self, item: &str) -> TokenStream {
        let ty = &self.ty;
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <#ty as __state::SharedState>::#item)
    }

    /// The operation that sets the whole field.
    fn set(&self, value: &TokenStream) -> TokenStream {
        match self.policy {
            Policy::Lww => value.clone(),
            Policy::Counter => quote!(__merge::CounterOp::Set(#value)),
            Policy::Nested => quote!(__merge::NestedOp::Set(#value)),
            Policy::Own | Policy::Entries => {
                let set = self.policy("set");
                quote!(#set(#value))
            }
        }
    }

    /// The type of the field's operations, from outside.
    fn op(&self, krate: &TokenStream) -> TokenStream {
        let Self { ty, policy_type, .. } = self;
        match self.policy {
            Policy::Lww => ty.clone(),
            Policy::Counter => quote_spanned!(self.span=> #krate::merge::CounterOp<#ty>),
            Policy::Nested => quote_spanned!(self.span=> #krate::merge::NestedOp<#ty>),
            Policy::Own | Policy::Entries => {
                quote_spanned!(self.span=> <#policy_type as #krate::merge::MergePolicy<#ty>>::Op)
            }
        }
    }
}
