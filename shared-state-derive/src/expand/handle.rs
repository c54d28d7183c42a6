//! The handle: the struct's own accessors over any backend.

use proc_macro2::TokenStream;
use quote::quote;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, vis, handle, live, .. } = model;
    let head = format!("A live [`{state}`]: an accessor for each field, over any backend `{live}`.");
    let tail = "Dereferences to the backend for everything that is not a field. Where a field has the name of a method of the \
         backend, the field's accessor is meant; reach the method by `(*handle).method()`.";
    quote! {
        #[doc = #head]
        ///
        #[doc = #tail]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code)]
        #vis struct #handle<#live>(#live);
    }
}

pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { handle, live, .. } = model;
    let readers = model.fields.iter().map(|field| reader(model, field));
    let writers = |read_only: bool| {
        let fields = model.fields.iter().filter(move |field| field.read_only == read_only);
        fields.map(|field| writers(model, field))
    };
    let for_all = writers(false);
    let for_server = match model.fields.iter().any(|field| field.read_only) {
        false => TokenStream::new(),
        true => block(model, &quote!(ServerLive), writers(true)),
    };
    let for_all = block(model, &quote!(Live), readers.chain(for_all));
    quote! {
        #[automatically_derived]
        impl<#live> ::core::convert::From<#live> for #handle<#live> {
            fn from(live: #live) -> Self {
                Self(live)
            }
        }
        #[automatically_derived]
        impl<#live> ::core::ops::Deref for #handle<#live> {
            type Target = #live;
            fn deref(&self) -> &#live {
                &self.0
            }
        }
        #for_all
        #for_server
    }
}

fn block(model: &Model, bound: &TokenStream, methods: impl Iterator<Item = TokenStream>) -> TokenStream {
    let Model { ident: state, handle, live, .. } = model;
    quote! {
        // A field may have any name, also one that lints know by heart.
        #[allow(
            dead_code,
            deprecated,
            non_snake_case,
            private_interfaces,
            clippy::double_must_use,
            clippy::iter_not_returning_iterator,
            clippy::len_without_is_empty,
            clippy::needless_pass_by_value,
            clippy::new_ret_no_self,
            clippy::should_implement_trait,
            clippy::wrong_self_convention
        )]
        impl<#live: __state::#bound<#state>> #handle<#live> {
            #(#methods)*
        }
    }
}

fn reader(model: &Model, field: &Field) -> TokenStream {
    let Model { ident: state, vis, live, .. } = model;
    let Field { ident, ty, key, .. } = field;
    match field.policy {
        Policy::Lww | Policy::Counter => {
            let docs =
                docs::of(field, "A copy of the value as it is now; `read` looks at it without copying.");
            let body = quote! {{
                __state::Live::<#state>::read(&self.0, |__state| ::core::clone::Clone::clone(&__state.#ident))
            }};
            let body = at(field.span, &body);
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #ty #body
            }
        }
        Policy::Nested => {
            let docs = docs::of(field, "The handle of the nested state.");
            let inner = quote!(<#ty as __state::SharedState>::Handle<__state::Within<#live, #state, #ty>>);
            let inner = at(field.span, &inner);
            let body = quote! {{
                ::core::convert::From::from(__state::Within::new(::core::clone::Clone::clone(&self.0), #state::#key))
            }};
            let body = at(field.span, &body);
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #inner #body
            }
        }
    }
}

fn writers(model: &Model, field: &Field) -> TokenStream {
    let Model { ident: state, vis, update, live, .. } = model;
    let Field { ty, setter, adder, variant, .. } = field;
    let result = quote!(::core::result::Result<#live::Receipt, #live::Error>);
    let set = {
        let docs = docs::of(field, "Sets the value. It shows at once.");
        let (parameter, value) = match field.is_string {
            true => (quote!(impl ::core::convert::Into<#ty>), quote!(::core::convert::Into::into(value))),
            false => (ty.clone(), quote!(value)),
        };
        let value = field.policy.set(&value);
        let body =
            at(field.span, &quote!({ __state::Live::<#state>::write(&self.0, #update::#variant(#value)) }));
        quote! {
            #docs
            ///
            /// # Errors
            /// A rule does not hold, or the write cannot be taken; nothing was changed.
            #vis fn #setter(&self, value: #parameter) -> #result #body
        }
    };
    let add = (field.policy == Policy::Counter).then(|| {
        let docs = docs::of(field, "Adds to the value, whatever others add meanwhile. It shows at once.");
        quote! {
            #docs
            ///
            /// # Errors
            /// A rule does not hold, or the write cannot be taken; nothing was changed.
            #vis fn #adder(&self, by: #ty) -> #result {
                __state::Live::<#state>::write(&self.0, #update::#variant(__merge::CounterOp::Add(by)))
            }
        }
    });
    quote!(#add #set)
}
