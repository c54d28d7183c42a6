//! The handle: the struct's own accessors over any backend.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;

use super::docs;
use crate::model::{Field, Here, Model, Policy, at};

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
        true => block(model, &quote!(ServerBackend), writers(true)),
    };
    let for_all = block(model, &quote!(Backend), readers.chain(for_all));
    let watchers =
        block(model, &quote!(Watch), model.fields.iter().filter_map(|field| watcher(model, field)));
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
        #watchers
        #for_server
    }
}

fn block(model: &Model, bound: &TokenStream, methods: impl Iterator<Item = TokenStream>) -> TokenStream {
    let Model { this, generics, handle, live, .. } = model;
    let (params, args, clause) = (
        generics.declared(TokenStream::new(), quote!(#live: __p::#bound<#this>)),
        generics.passed(quote!(#live)),
        &generics.on_impls,
    );
    quote! {
        impl #params #handle #args #clause {
            #(#methods)*
        }
    }
}

fn reader(model: &Model, field: &Field) -> TokenStream {
    let Model { vis, live, .. } = model;
    let Field { ident, ty, .. } = field;
    let Here { this, key, ident: here, inner: nested, update, variant, .. } = &field.here;
    match field.policy {
        Policy::Lww | Policy::Counter | Policy::Optional | Policy::Own => {
            let docs =
                docs::of(field, "A copy of the value as it is now; `with_..` looks at it without copying.");
            let (look_at, copy) = (field.policy("__with"), field.copy());
            let body = quote_spanned!(field.span=> { #look_at(&self.0, #this::#key, #copy) });
            let with = accessor(model, field, "with").map(|with| {
                let docs =
                    docs::of(field, "Looks at the value without copying it. `look` must not use the handle.");
                let body = quote_spanned!(field.span=> { #look_at(&self.0, #this::#key, look) });
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
        Policy::Entries | Policy::Text => {
            let docs = docs::of(field, "The handle of the entries: reads them, and writes them one by one.");
            let live = at(field.span, &quote!(#live));
            let Here { ty, policy_type, .. } = &field.here;
            let part = quote_spanned!(field.span=> __p::FieldHandleOf<#live, #this, #ty, #policy_type>);
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
            let docs = docs::of(field, "The handle of the nested state.");
            let live = at(field.span, &quote!(#live));
            let inner = quote_spanned!(field.span=> __p::HandleOf<#live, #this, #nested>);
            // What is in a box has no key of its own.
            let (made, key) = match field.is_bare() {
                true => (TokenStream::new(), quote_spanned!(field.span=> #this::#key)),
                false => {
                    let index = field.index;
                    let made = quote_spanned! {field.span=>
                        let __key: __p::FieldOf<#this, #nested, __merge::Nested> =
                            __p::Field::new(#index, |__state| &__state.#here, #update::#variant);
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
    let Model { vis, live, .. } = model;
    let Field { ty, .. } = field;
    let Here { this, key, .. } = &field.here;
    let watch = accessor(model, field, "watch")?;
    let docs = format!("The values of `{}`: the one it has now, and each new one.", field.wire);
    let carried = field.docs.iter().filter(|attr| !attr.path().is_ident("doc"));
    let (values, copy) = (field.policy("__watch"), field.copy());
    let body = quote_spanned!(field.span=> { #values(&self.0, #this::#key, #copy) });
    Some(quote! {
        #[doc = #docs]
        #(#carried)*
        #vis fn #watch(&self) -> #live::Stream<#ty> #body
    })
}

fn writers(model: &Model, field: &Field) -> TokenStream {
    let Model { vis, live, .. } = model;
    let Field { ty, setter, adder, .. } = field;
    let Here { this, update, key, variant, .. } = &field.here;
    let result = quote!(::core::result::Result<#live::Receipt, #live::Error>);
    let set = {
        let docs = docs::of_write(field, "Sets the value. It shows at once.");
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
        let docs =
            docs::of_write(field, "Adds to the value, whatever others add meanwhile. It shows at once.");
        quote! {
            #docs
            #vis fn #adder(&self, by: #ty) -> #result {
                __p::Backend::<#this>::write(&self.0, #update::#variant(__merge::CounterOp::Add(by)))
            }
        }
    });
    let change = accessor(model, field, "update").filter(|_| field.policy == Policy::Lww).map(|change| {
        let docs = docs::of_write(field, "Changes a copy of the value and sets it. It shows at once.");
        let (edit, copy) = (field.policy("__change"), field.copy());
        let body = quote_spanned!(field.span=> { #edit(&self.0, #this::#key, #copy, change) });
        quote! {
            #docs
            #vis fn #change(&self, change: impl ::core::ops::FnOnce(&mut #ty)) -> #result #body
        }
    });
    let edit = accessor(model, field, "edit").filter(|_| field.policy == Policy::Optional).map(|edit| {
        let inner = field.nested("Update");
        let docs =
            docs::of_write(field, "Changes one field inside, if there is anything inside. It shows at once.");
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
