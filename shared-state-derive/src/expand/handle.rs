//! The handle: the struct's accessors over any backend.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;

use super::docs;
use crate::model::{Field, Model, Policy, Spanned, at};

pub(super) fn item(model: &Model) -> TokenStream {
    let Model { ident: state, this, generics, vis, handle, backend, .. } = model;
    let (params, clause) = (generics.declared(TokenStream::new(), quote!(#backend)), &generics.on_items);
    let (traits, marker) = match generics.is_empty() {
        true => (quote!(#[derive(::core::clone::Clone, ::core::fmt::Debug)]), TokenStream::new()),
        false => (TokenStream::new(), quote!(, ::core::marker::PhantomData<fn() -> #this>)),
    };
    let head = format!("A live [`{state}`] with an accessor for each field, over any backend `{backend}`.");
    let tail = "Dereferences to the backend for everything else. A field's accessor hides a method of the backend with the \
         same name; call that method as `(*handle).method()`.";
    quote! {
        #[doc = #head]
        ///
        #[doc = #tail]
        #traits
        #[allow(dead_code)]
        #vis struct #handle #params(#backend #marker) #clause;
    }
}

pub(super) fn implementations(model: &Model) -> TokenStream {
    let Model { generics, handle, backend, .. } = model;
    let (params, args, clause) = (
        generics.declared(TokenStream::new(), quote!(#backend)),
        generics.passed(quote!(#backend)),
        &generics.on_items,
    );
    let marker = (!generics.is_empty()).then(|| quote!(, ::core::marker::PhantomData));
    // `#[derive]` would require of the struct's parameters what only the backend has to implement.
    let traits = marker.as_ref().map(|marker| {
        let cloneable = generics.declared(TokenStream::new(), quote!(#backend: ::core::clone::Clone));
        let debuggable = generics.declared(TokenStream::new(), quote!(#backend: ::core::fmt::Debug));
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
    let writers = model.fields.iter().map(|field| writers(model, field));
    let for_all = block(model, &quote!(Backend), readers.chain(writers));
    let watchers =
        block(model, &quote!(Watch), model.fields.iter().filter_map(|field| watcher(model, field)));
    quote! {
        #traits
        #[automatically_derived]
        impl #params ::core::convert::From<#backend> for #handle #args #clause {
            fn from(backend: #backend) -> Self {
                Self(backend #marker)
            }
        }
        #[automatically_derived]
        impl #params ::core::ops::Deref for #handle #args #clause {
            type Target = #backend;
            fn deref(&self) -> &#backend {
                &self.0
            }
        }
        #for_all
        #watchers
    }
}

fn block(model: &Model, bound: &TokenStream, methods: impl Iterator<Item = TokenStream>) -> TokenStream {
    let Model { this, generics, handle, backend, .. } = model;
    let (params, args, clause) = (
        generics.declared(TokenStream::new(), quote!(#backend: __p::#bound<#this>)),
        generics.passed(quote!(#backend)),
        &generics.on_impls,
    );
    quote! {
        impl #params #handle #args #clause {
            #(#methods)*
        }
    }
}

fn reader(model: &Model, field: &Field) -> TokenStream {
    let Model { vis, backend, .. } = model;
    let Field { ident, ty, .. } = field;
    let Spanned { this, key, ident: member, inner: nested, update, variant, .. } = &field.spanned;
    match field.policy {
        Policy::Lww | Policy::Counter | Policy::Optional | Policy::Own => {
            let docs = docs::of(
                field,
                "A copy of the value that the app sees now; `with_..` looks at the value without a copy.",
            );
            let (look_at, copy) = (field.policy("__with"), field.copy());
            let body = quote_spanned!(field.span=> { #look_at(&self.0, #this::#key, #copy) });
            let with = accessor(model, field, "with").map(|with| {
                let docs = docs::of(
                    field,
                    "Calls `look` with the value, without a copy. `look` must not use the handle.",
                );
                let body = quote_spanned!(field.span=> { #look_at(&self.0, #this::#key, look) });
                quote! {
                    #docs
                    #vis fn #with<__R>(&self, look: impl ::core::ops::FnOnce(&#ty) -> __R) -> __R #body
                }
            });
            let (read, body) = match field.policy == Policy::Lww && field.is_collection {
                true => (
                    quote_spanned!(field.span=> __p::FieldValue<#ty>),
                    quote_spanned!(field.span=> { __p::FieldValue::new(#look_at(&self.0, #this::#key, #copy)) }),
                ),
                false => (ty.clone(), body),
            };
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #read #body
                #with
            }
        }
        Policy::Entries | Policy::Text => {
            let docs = docs::of(field, "The field's handle, which reads and writes parts of the value.");
            let backend = at(field.span, &quote!(#backend));
            let Spanned { ty, policy_type, .. } = &field.spanned;
            let part = quote_spanned!(field.span=> __p::FieldHandleOf<#backend, #this, #ty, #policy_type>);
            let body = quote_spanned! {field.span=> {
                __p::FieldHandle::new(::core::clone::Clone::clone(&self.0), #this::#key)
            }};
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #part #body
            }
        }
        Policy::Nested => {
            let docs = docs::of(field, "The handle of the nested struct.");
            let backend = at(field.span, &quote!(#backend));
            let inner = quote_spanned!(field.span=> __p::HandleOf<#backend, #this, #nested>);
            // The field's key has the wrapper's type, so a wrapped struct needs a key of its own.
            let (made, key) = match field.is_bare() {
                true => (TokenStream::new(), quote_spanned!(field.span=> #this::#key)),
                false => {
                    let index = field.index;
                    let made = quote_spanned! {field.span=>
                        let __key: __p::FieldOf<#this, #nested, __merge::Nested> =
                            __p::Field::new(#index, |__state| &__state.#member, #update::#variant);
                    };
                    (made, quote_spanned!(field.span=> __key))
                }
            };
            let body = quote_spanned! {field.span=> {
                #made
                ::core::convert::From::from(__p::NestedHandle::new(::core::clone::Clone::clone(&self.0), #key))
            }};
            quote! {
                #docs
                #[must_use]
                #vis fn #ident(&self) -> #inner #body
            }
        }
    }
}

fn watcher(model: &Model, field: &Field) -> Option<TokenStream> {
    if field.nest.is_some() || field.policy == Policy::Own {
        return None;
    }
    let Model { vis, backend, .. } = model;
    let Field { ty, .. } = field;
    let Spanned { this, key, .. } = &field.spanned;
    let watch = accessor(model, field, "watch")?;
    let docs = format!("A stream of the values of `{}`: the current value, then each new one.", field.wire);
    let carried = field.docs.iter().filter(|attr| !attr.path().is_ident("doc"));
    let (values, copy) = (field.policy("__watch"), field.copy());
    let body = quote_spanned!(field.span=> { #values(&self.0, #this::#key, #copy) });
    Some(quote! {
        #[doc = #docs]
        #(#carried)*
        #vis fn #watch(&self) -> #backend::Stream<#ty> #body
    })
}

fn writers(model: &Model, field: &Field) -> TokenStream {
    let Model { vis, backend, .. } = model;
    let Field { ty, setter, adder, subtracter, .. } = field;
    let Spanned { this, update, key, variant, .. } = &field.spanned;
    // The bound is on the method, so that a client's program is told what it means.
    let servers = field.read_only.then(|| quote!(where #backend: __p::ServerBackend<#this>));
    let result = quote!(::core::result::Result<#backend::Receipt, #backend::Error> #servers);
    let set = {
        let docs = docs::of_write(field, "Sets the value. The app sees it at once.");
        let (parameter, value) = match field.is_string {
            true => (
                quote!(impl ::core::convert::Into<#ty>),
                quote_spanned!(field.span=> ::core::convert::Into::into(value)),
            ),
            false => (ty.clone(), quote_spanned!(field.span=> value)),
        };
        let write = field.policy("__write");
        let body = quote_spanned!(field.span=> { #write(&self.0, #this::#key, #value) });
        quote! {
            #docs
            #vis fn #setter(&self, value: #parameter) -> #result #body
        }
    };
    let add = (field.policy == Policy::Counter).then(|| {
        let docs = docs::of_write(
            field,
            "Adds to the value; concurrent additions all count. The app sees the sum at once.",
        );
        let sub_docs = docs::of_write(
            field,
            "Subtracts from the value; concurrent subtractions all count. The app sees the difference at once.",
        );
        quote! {
            #docs
            #vis fn #adder(&self, by: #ty) -> #result {
                __p::Backend::<#this>::write(&self.0, #update::#variant(__merge::CounterOp::Add(by)))
            }
            #sub_docs
            #vis fn #subtracter(&self, by: #ty) -> #result {
                __p::Backend::<#this>::write(&self.0, #update::#variant(__merge::CounterOp::Sub(by)))
            }
        }
    });
    let change = accessor(model, field, "update").filter(|_| field.policy == Policy::Lww).map(|change| {
        let docs = docs::of_write(
            field,
            "Calls `change` with a copy of the value and sets the result. The app sees it at once.",
        );
        let (edit, copy) = (field.policy("__change"), field.copy());
        let body = quote_spanned!(field.span=> { #edit(&self.0, #this::#key, #copy, change) });
        quote! {
            #docs
            #vis fn #change(&self, change: impl ::core::ops::FnOnce(&mut #ty)) -> #result #body
        }
    });
    let edit = accessor(model, field, "edit").filter(|_| field.policy == Policy::Optional).map(|edit| {
        let inner = field.nested("Update");
        let docs = docs::of_write(
            field,
            "Changes one field inside; refused if the value is absent. The app sees the change at once.",
        );
        let body = quote_spanned! {field.span=> {
            let __inner = __merge::NestedOp::In(::std::boxed::Box::new(update));
            __p::Backend::<#this>::write(&self.0, #update::#variant(__merge::OptionalOp::In(__inner)))
        }};
        quote! {
            #docs
            #vis fn #edit(&self, update: #inner) -> #result #body
        }
    });
    quote!(#add #set #change #edit)
}

/// `with_title`, unless a field's own accessor has that name.
fn accessor(model: &Model, field: &Field, verb: &str) -> Option<Ident> {
    let name = format_ident!("{verb}_{}", field.ident.unraw(), span = field.ident.span());
    (!model.accessors.contains(&name)).then_some(name)
}
