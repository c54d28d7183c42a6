//! The handle: the struct's own accessors over any backend.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;

use super::docs;
use crate::model::{Field, Model, Policy, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, this, generics, vis, handle, live, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), quote!(#live)), &generics.on_items);
    let (traits, marker) = match generics.is_empty() {
        true => (quote!(#[derive(::core::clone::Clone, ::core::fmt::Debug)]), TokenStream::new()),
        false => (TokenStream::new(), quote!(, ::core::marker::PhantomData<fn() -> #this>)),
    };
    let head = format!("A live [`{state}`]: an accessor for each field, over any backend `{live}`.");
    let tail = "Dereferences to the backend for everything that is not a field. Where a field has the name of a method of the \
         backend, the field's accessor is meant; reach the method by `(*handle).method()`.";
    quote! {
        #[doc = #head]
        ///
        #[doc = #tail]
        #traits
        #[allow(dead_code)]
        #vis struct #handle #params(#live #marker) #clause;
    }
}

pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { generics, handle, live, .. } = model;
    let (params, args, clause) = (
        generics.declared(TokenStream::new(), quote!(#live)),
        generics.passed(quote!(#live)),
        &generics.on_items,
    );
    let marker = (!generics.is_empty()).then(|| quote!(, ::core::marker::PhantomData));
    // Derived, they would ask of the struct's parameters what only the backend has to be.
    let traits = marker.as_ref().map(|marker| {
        let cloneable = generics.declared(TokenStream::new(), quote!(#live: ::core::clone::Clone));
        let debuggable = generics.declared(TokenStream::new(), quote!(#live: ::core::fmt::Debug));
        let name = handle.to_string();
        quote! {
            #[automatically_derived]
            impl #cloneable ::core::clone::Clone for #handle #args #clause {
                fn clone(&self) -> Self {
                    Self(::core::clone::Clone::clone(&self.0) #marker)
                }
            }
            #[automatically_derived]
            impl #debuggable ::core::fmt::Debug for #handle #args #clause {
                fn fmt(&self, __f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    __f.debug_tuple(#name).field(&self.0).finish()
                }
            }
        }
    });
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
        #traits
        #[automatically_derived]
        impl #params ::core::convert::From<#live> for #handle #args #clause {
            fn from(live: #live) -> Self {
                Self(live #marker)
            }
        }
        #[automatically_derived]
        impl #params ::core::ops::Deref for #handle #args #clause {
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
    let Model { this, generics, handle, live, .. } = model;
    let (params, args, clause) = (
        generics.declared(TokenStream::new(), quote!(#live: __state::#bound<#this>)),
        generics.passed(quote!(#live)),
        &generics.on_impls,
    );
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
        impl #params #handle #args #clause {
            #(#methods)*
        }
    }
}

fn reader(model: &Model, field: &Field) -> TokenStream {
    let Model { this, vis, live, .. } = model;
    let Field { ident, ty, key, .. } = field;
    match field.policy {
        Policy::Lww | Policy::Counter | Policy::Own => {
            let docs =
                docs::of(field, "A copy of the value as it is now; `read` looks at it without copying.");
            let body = quote! {{
                __state::Live::<#this>::read(&self.0, |__state| ::core::clone::Clone::clone(&__state.#ident))
            }};
            let body = at(field.span, &body);
            let with = accessor(model, field, "with").map(|with| {
                let docs =
                    docs::of(field, "Looks at the value without copying it. `look` must not use the handle.");
                let body = at(
                    field.span,
                    &quote!({ __state::Live::<#this>::read(&self.0, |__state| look(&__state.#ident)) }),
                );
                quote! {
                    #docs
                    #vis fn #with<__R>(&self, look: impl ::core::ops::FnOnce(&#ty) -> __R) -> __R #body
                }
            });
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #ty #body
                #with
            }
        }
        Policy::Entries => {
            let docs = docs::of(field, "The handle of the entries: reads them, and writes them one by one.");
            let policy = at(field.span, &field.policy_type);
            let part = at(field.span, &quote!(__state::Part<#live, #this, #ty, #policy>));
            let body = at(
                field.span,
                &quote!({ __state::Part::new(::core::clone::Clone::clone(&self.0), #this::#key) }),
            );
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #part #body
            }
        }
        Policy::Nested => {
            let docs = docs::of(field, "The handle of the nested state.");
            let inner = quote!(<#ty as __state::SharedState>::Handle<__state::Within<#live, #this, #ty>>);
            let inner = at(field.span, &inner);
            let body = quote! {{
                ::core::convert::From::from(__state::Within::new(::core::clone::Clone::clone(&self.0), #this::#key))
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
    let Model { this, vis, update, live, .. } = model;
    let Field { ty, setter, adder, variant, .. } = field;
    let result = quote!(::core::result::Result<#live::Receipt, #live::Error>);
    let set = {
        let docs = docs::of(field, "Sets the value. It shows at once.");
        let (parameter, value) = match field.is_string {
            true => (quote!(impl ::core::convert::Into<#ty>), quote!(::core::convert::Into::into(value))),
            false => (ty.clone(), quote!(value)),
        };
        let value = field.set(&value);
        let body =
            at(field.span, &quote!({ __state::Live::<#this>::write(&self.0, #update::#variant(#value)) }));
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
                __state::Live::<#this>::write(&self.0, #update::#variant(__merge::CounterOp::Add(by)))
            }
        }
    });
    let change = accessor(model, field, "update").filter(|_| field.policy == Policy::Lww).map(|change| {
        let Field { ident, .. } = field;
        let docs = docs::of(field, "Changes a copy of the value and sets it. It shows at once.");
        let body = at(field.span, &quote!({
            let mut __value =
                __state::Live::<#this>::read(&self.0, |__state| ::core::clone::Clone::clone(&__state.#ident));
            change(&mut __value);
            __state::Live::<#this>::write(&self.0, #update::#variant(__value))
        }));
        quote! {
            #docs
            ///
            /// # Errors
            /// A rule does not hold, or the write cannot be taken; nothing was changed.
            #vis fn #change(&self, change: impl ::core::ops::FnOnce(&mut #ty)) -> #result #body
        }
    });
    quote!(#add #set #change)
}

/// `with_title`, unless a field's own accessor has that name.
fn accessor(model: &Model, field: &Field, verb: &str) -> Option<Ident> {
    let name = format_ident!("{verb}_{}", field.ident.unraw(), span = field.ident.span());
    let taken = |field: &Field| field.ident == name || field.setter == name || field.adder == name;
    (!model.fields.iter().any(taken)).then_some(name)
}
