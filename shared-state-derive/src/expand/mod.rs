//! From the checked model to code. One file for each thing that is generated.
//!
//! Items a user names (the update, the patch, the handle) stand beside the struct and spell every path in full.
//! The implementations are inside a `const _`, where the crate's modules have short names that nothing outside
//! can see. Names of locals begin with `__`, so that no constant of the user's can turn a binding into a
//! pattern. The code is linear in the number of fields.

mod docs;
mod handle;
mod keys;
mod patch;
mod rules;
mod state;
mod update;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::model::{Field, Model, Policy};

pub(crate) fn expand(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let update = update::item(model);
    let patch = patch::item(model);
    let handle = handle::item(model);
    let impls = [
        rules::checkers(model),
        state::implementation(model),
        update::serde(model),
        keys::implementation(model),
        handle::implementations(model),
    ];
    quote! {
        #update
        #patch
        #handle
        const _: () = {
            #[allow(unused_imports)]
            use #krate::{__private as __p, merge as __merge, state as __state};
            #(#impls)*
        };
    }
}

impl Field {
    /// The policy as an implementation of `MergePolicy` for the field's type. Errors point at the type.
    fn policy(&self) -> TokenStream {
        let ty = &self.ty;
        let policy = self.policy.path();
        quote_spanned!(self.span=> <__merge::#policy as __merge::MergePolicy<#ty>>)
    }

    /// The nested type as an implementation of `SharedState`. Errors point at the type.
    fn nested(&self) -> TokenStream {
        let ty = &self.ty;
        quote_spanned!(self.span=> <#ty as __state::SharedState>)
    }
}

impl Policy {
    /// The policy's name in the module `merge`.
    fn path(self) -> TokenStream {
        match self {
            Self::Lww => quote!(Lww),
            Self::Counter => quote!(Counter),
            Self::Nested => quote!(Nested),
        }
    }
}
