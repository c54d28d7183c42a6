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

use crate::model::{Field, Here, Model, Policy};
use crate::nest::Nest;

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
        update::implementations(model),
        patch::building(model),
        patch::implementations(model),
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
            #[allow(unused_imports)]
            use #krate::merge::{Lww as __Lww, MergePolicy as __Policy};
            #(#impls)*
        };
    }
}

impl Field {
    /// An item of the policy's `MergePolicy` for the field's type. Whatever generated code asks of a type it asks in this
    /// way: the compiler reports what the type lacks once.
    fn policy(&self, item: &str) -> TokenStream {
        let policy_type = &self.here.policy_type;
        let ty = match self.policy {
            Policy::Entries | Policy::Optional => self.typed(),
            Policy::Nested if !self.is_bare() => self.typed(),
            _ => self.here.ty.clone(),
        };
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <#policy_type as __Policy<#ty>>::#item)
    }

    /// The field's type, asked of its policy first: what is asked of the type itself is asked in the same way.
    fn typed(&self) -> TokenStream {
        let Here { ty, policy_type, .. } = &self.here;
        quote_spanned!(self.span=> __state::Typed<#ty, #policy_type>)
    }

    /// The type of the field's value in a patch.
    fn in_patch(&self) -> TokenStream {
        let inner = &self.here.inner;
        match self.policy {
            Policy::Nested => quote_spanned!(self.span=> __state::PatchOf<#inner>),
            _ => self.typed(),
        }
    }

    /// An item of the nested type's `SharedState`, at the type.
    fn nested(&self, item: &str) -> TokenStream {
        let inner = &self.here.inner;
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <__state::Typed<#inner, __merge::Nested> as __state::SharedState>::#item)
    }

    /// The function that copies the field's value.
    fn copy(&self) -> TokenStream {
        match self.is_plain() {
            true => self.policy("__copy"),
            false => {
                let ty = self.typed();
                quote_spanned!(self.span=> <#ty as ::core::clone::Clone>::clone)
            }
        }
    }

    /// Whether there is nothing around the nested struct.
    fn is_bare(&self) -> bool {
        self.nest.as_ref().is_none_or(Nest::is_bare)
    }

    /// The operation that sets the whole field.
    fn set(&self, value: &TokenStream) -> TokenStream {
        match self.policy {
            Policy::Lww => value.clone(),
            Policy::Counter => quote_spanned!(self.span=> __merge::CounterOp::Set(#value)),
            Policy::Nested if self.is_bare() => {
                quote_spanned!(self.span=> __merge::NestedOp::Set(#value))
            }
            Policy::Nested | Policy::Optional | Policy::Own | Policy::Entries | Policy::Text => {
                let set = self.policy("set");
                quote_spanned!(self.span=> #set(#value))
            }
        }
    }

    /// The type of the field's operations, from outside.
    fn op(&self, krate: &TokenStream) -> TokenStream {
        let Here { ty, policy_type, .. } = &self.here;
        match self.policy {
            Policy::Lww => self.ty.clone(),
            Policy::Counter => quote_spanned!(self.span=> #krate::merge::CounterOp<#ty>),
            _ => quote_spanned!(self.span=> <#policy_type as #krate::merge::MergePolicy<#ty>>::Op),
        }
    }
}
