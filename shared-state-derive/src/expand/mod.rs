//! Generates the code of a checked model. Each kind of generated item has a file.
//!
//! Items that a user can name (the update, the patch, the handle) stand beside the struct and spell every
//! path in full. The implementations are inside a `const _`, where the crate's modules have short names that
//! are invisible outside. Local names begin with `__`, so that no constant of the user's can turn a binding
//! into a pattern. The code grows linearly with the number of fields.

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
use quote::{format_ident, quote, quote_spanned};

use crate::model::{Field, Model, Policy, Spanned, at};
use crate::nest::Nest;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let krate = &model.krate;
    let update = update::item(model);
    let patch = patch::item(model);
    let handle = handle::item(model);
    let markers = list_keys::items(model);
    let short_names = model.fields.iter().filter_map(Field::short_names);
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
        // A field may have any name, also one that a lint has rules for.
        #[allow(
            dead_code,
            deprecated,
            non_camel_case_types,
            non_snake_case,
            non_upper_case_globals,
            private_interfaces,
            unused_imports,
            clippy::double_must_use,
            clippy::iter_not_returning_iterator,
            clippy::len_without_is_empty,
            clippy::needless_pass_by_value,
            clippy::new_ret_no_self,
            clippy::ptr_arg,
            clippy::ref_option,
            clippy::should_implement_trait,
            clippy::trivially_copy_pass_by_ref,
            clippy::wrong_self_convention
        )]
        const _: () = {
            use #krate::{__private as __p, merge as __merge};
            use #krate::merge::{Lww as __Lww, MergePolicy as __Policy};
            #(#short_names)*
            #(#impls)*
        };
    }
}

impl Field {
    /// An item of the policy's `MergePolicy` for the field's type. All generated code refers to the type in
    /// this way, so the compiler reports what the type lacks only once.
    fn policy(&self, item: &str) -> TokenStream {
        let Spanned { ty, policy_type, .. } = &self.spanned;
        let (policy_type, ty) = match (self.is_long, self.short()) {
            (true, Some((policy, ty))) => (quote!(#policy), quote!(#ty)),
            (true, None) => (policy_type.clone(), self.typed()),
            (false, _) => (policy_type.clone(), ty.clone()),
        };
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <#policy_type as __Policy<#ty>>::#item)
    }

    /// The field's type, named by way of its policy, for the same reason.
    fn typed(&self) -> TokenStream {
        let Spanned { ty, policy_type, .. } = &self.spanned;
        match self.short() {
            Some((_, ty)) => quote!(#ty),
            None => quote_spanned!(self.span=> __p::Typed<#ty, #policy_type>),
        }
    }

    /// Short names for the type of a policy that wraps others and for the field's type. A type alias has to
    /// use all of its parameters, so a struct with parameters gets none.
    fn short(&self) -> Option<(Ident, Ident)> {
        let variant = &self.spanned.variant;
        (self.is_long && !self.is_generic).then(|| {
            let named = |what| format_ident!("__{what}_{variant}", span = self.span);
            (named("Policy"), named("Type"))
        })
    }

    /// The declarations of the short names.
    fn short_names(&self) -> Option<TokenStream> {
        let (policy, short) = self.short()?;
        let Spanned { ty, policy_type, .. } = &self.spanned;
        Some(quote_spanned! {self.span=>
            type #policy = #policy_type;
            type #short = __p::Typed<#ty, #policy>;
        })
    }

    /// The type of the field's value in a patch.
    fn in_patch(&self) -> TokenStream {
        let inner = &self.spanned.inner;
        match self.policy {
            Policy::Nested => quote_spanned!(self.span=> __p::PatchOf<#inner>),
            _ => self.typed(),
        }
    }

    /// An item of the nested struct's `SharedState`, at the span of the type.
    fn nested(&self, item: &str) -> TokenStream {
        let inner = &self.spanned.inner;
        let item = Ident::new(item, self.span);
        quote_spanned!(self.span=> <__p::Typed<#inner, __merge::Nested> as __p::SharedState>::#item)
    }

    /// The function that clones the field's value.
    fn copy(&self) -> TokenStream {
        match self.is_plain() {
            true => self.policy("__copy"),
            false => {
                let ty = self.typed();
                quote_spanned!(self.span=> <#ty as ::core::clone::Clone>::clone)
            }
        }
    }

    /// Whether the nested struct has no wrapper.
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

    /// The type of the field's operations, with full paths.
    fn op(&self, krate: &TokenStream) -> TokenStream {
        let (ty, policy_type) = (&self.spanned.ty, at(self.span, &self.policy_type));
        match self.policy {
            Policy::Lww => self.ty.clone(),
            Policy::Counter => quote_spanned!(self.span=> #krate::merge::CounterOp<#ty>),
            _ => quote_spanned!(self.span=> <#policy_type as #krate::merge::MergePolicy<#ty>>::Op),
        }
    }
}
