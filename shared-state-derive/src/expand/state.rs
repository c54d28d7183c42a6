//! The implementation of `SharedState`: every method is a match over the fields.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::info;
use crate::model::{Field, Here, Model, Policy, at};
use crate::tokens::mentions;

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { this, generics, update, patch, handle, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let handle_args = generics.passed(quote!(__L));
    let name = model.name();
    let infos = each(model, info::of);
    let (update, patch) = (at(model.span, &quote!(#update #args)), at(model.span, &quote!(#patch #args)));
    let migration = migration(model);
    let methods = [
        changing(model),
        meaning(model),
        checking(model),
        checking_changes(model).unwrap_or_default(),
        indexed(model),
        comparing(model),
        tracking(model),
        wire(model),
    ];
    quote! {
        #[automatically_derived]
        impl #params __p::SharedState for #this #clause {
            type Update = #update;
            type Patch = #patch;
            type Handle<__L: __p::Backend<Self>> = #handle #handle_args;
            const NAME: &'static ::core::primitive::str = #name;
            const FIELDS: &'static [__p::FieldInfo] = &[#(#infos),*];
            #migration
            #(#methods)*
        }
    }
}

/// `VERSION`, `migrate`.
fn migration(model: &Model) -> Option<TokenStream> {
    let (version, migrate) = model.migration.as_ref()?;
    let at = proc_macro2::Span::call_site().located_at(syn::spanned::Spanned::span(migrate));
    let migrated = quote_spanned!(at=> #migrate(__from, __value));
    Some(quote! {
        const VERSION: ::core::primitive::u32 = #version;
        fn migrate(
            __from: ::core::primitive::u32,
            __value: __p::Json,
        ) -> ::core::result::Result<__p::Json, __p::String> {
            #migrated.map_err(|__error| __p::ToString::to_string(&__error))
        }
    })
}

// Methods without type parameters are `#[inline]`: as generic ones, they are compiled where they are used, and not in the
// crate that only declares the struct.

/// `apply`, `diff`, `patch_updates`.
fn changing(model: &Model) -> TokenStream {
    let apply = each(model, |field| {
        let Here { update, ident, variant, .. } = &field.here;
        let apply = match field.policy {
            Policy::Lww => quote_spanned!(field.span=> ::core::mem::replace),
            _ => field.policy("apply"),
        };
        quote_spanned!(field.span=> #update::#variant(__op) => #update::#variant(#apply(&mut self.#ident, __op)),)
    });
    let diff = each(model, |field| {
        let Here { update, ident, variant, .. } = &field.here;
        let diff = field.policy("__diff");
        quote_spanned!(field.span=> #diff(&__old.#ident, &__new.#ident, &mut __out, #update::#variant);)
    });
    let patched = each(model, |field| {
        let Here { update, ident, variant, .. } = &field.here;
        let make = match field.policy {
            Policy::Lww => quote_spanned!(field.span=> #update::#variant),
            Policy::Nested => {
                let inner = &field.here.inner;
                return quote_spanned! {field.span=>
                    __p::push_in::<__p::Typed<#inner, __merge::Nested>, _>(&mut __out, &mut __patch.#ident, #update::#variant);
                };
            }
            Policy::Counter | Policy::Optional | Policy::Own | Policy::Entries | Policy::Text => {
                let op = field.set(&quote_spanned!(field.span=> __value));
                quote_spanned!(field.span=> |__value| #update::#variant(#op))
            }
        };
        quote_spanned!(field.span=> __p::push(&mut __out, &mut __patch.#ident, #make);)
    });
    quote! {
        #[inline]
        fn apply(&mut self, __update: Self::Update) -> Self::Update {
            match __update { #(#apply)* }
        }
        #[inline]
        fn diff(__old: &Self, __new: &Self) -> ::std::vec::Vec<Self::Update> {
            let mut __out = ::std::vec::Vec::new();
            #(#diff)*
            __out
        }
        #[inline]
        fn patch_updates(mut __patch: Self::Patch) -> ::std::vec::Vec<Self::Update> {
            let mut __out = ::std::vec::Vec::new();
            #(#patched)*
            __out
        }
    }
}

/// `decompose`, `undo`, `resolve`, `check_op`: what an update means to a state. Of plain fields the trait's own know.
fn meaning(model: &Model) -> TokenStream {
    let none = quote!(_ => ::core::option::Option::None,);
    let decompose = each_in_parts(model, |field| {
        let (Here { update, ident, variant, .. }, policy) = (&field.here, field.policy("__decompose"));
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __op, #update::#variant),
        }
    });
    let decompose = written(decompose.collect(), |arms| {
        let arms = closed(arms, model, &none);
        quote! {
            #[inline]
            fn decompose(
                &self,
                __update: &Self::Update,
            ) -> ::core::option::Option<::std::vec::Vec<Self::Update>> {
                match __update { #arms }
            }
        }
    });
    let undo = each_but_plain(model, |field| {
        let (Here { update, ident, variant, .. }, policy) = (&field.here, field.policy("undo"));
        quote_spanned! {field.span=>
            (#update::#variant(__op), #update::#variant(__inverse)) => {
                #policy(&self.#ident, __op, __inverse).map(#update::#variant)
            }
        }
    });
    let undo = written(undo.collect(), |arms| {
        let rest =
            (model.fields.len() > 1).then(|| quote!((__a, __b) => __p::undo_set::<Self>(self, __a, __b),));
        quote! {
            #[inline]
            fn undo(
                &self,
                __update: &Self::Update,
                __inverse: &Self::Update,
            ) -> ::core::option::Option<Self::Update> {
                match (__update, __inverse) { #(#arms)* #rest }
            }
        }
    });
    let resolve = each_in_parts(model, |field| {
        let index = field.index;
        let (Here { update, ident, variant, .. }, policy) = (&field.here, field.policy("resolve"));
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __versions.part(#index).unwrap_or(__merge::Versions::NONE), __op)
                .map(#update::#variant),
        }
    });
    let resolve = written(resolve.collect(), |arms| {
        let arms = closed(arms, model, &none);
        quote! {
            #[inline]
            fn resolve(
                &self,
                __versions: &__merge::Versions,
                __update: &Self::Update,
            ) -> ::core::option::Option<Self::Update> {
                match __update { #arms }
            }
        }
    });
    let check_op = each_in_parts(model, |field| {
        let (Here { update, ident, variant, .. }, policy) = (&field.here, field.policy("check_op"));
        let wire = &field.wire;
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __op)
                .map_err(|__invalid| __invalid.in_field(#wire)),
        }
    });
    let check_op = written(check_op.collect(), |arms| {
        let arms = closed(arms, model, &quote!(_ => ::core::result::Result::Ok(()),));
        quote! {
            #[inline]
            fn check_op(&self, __update: &Self::Update) -> ::core::result::Result<(), __p::Invalid> {
                match __update { #arms }
            }
        }
    });
    quote!(#decompose #undo #resolve #check_op)
}

/// `HAS_RULE`, `check`, `check_rule`, `validate`: nothing if there is nothing to check.
fn checking(model: &Model) -> TokenStream {
    let garde = garde(model);
    if model.rule.is_none()
        && garde.is_none()
        && !model.fields.iter().any(|field| field.has_parts() || field.is_checked())
    {
        return TokenStream::new();
    }
    let Model { rule, generics, .. } = model;
    let turbofish = match generics.is_empty() {
        true => TokenStream::new(),
        false => {
            let args = generics.passed(TokenStream::new());
            quote!(::#args)
        }
    };
    let has_rule = self::has_rule(model, rule.is_some() || garde.is_some());
    let has_rule = has_rule.map(|has_rule| quote!(const HAS_RULE: ::core::primitive::bool = #has_rule;));
    let rules = |field: &Field| {
        let Field { checker, .. } = field;
        let Here { ident, .. } = &field.here;
        let in_field = in_field(field);
        field.is_checked().then(|| quote_spanned!(field.span=> #checker #turbofish(&self.#ident)#in_field))
    };
    let arms = model.fields.iter().filter_map(|field| {
        let Here { update, ident, variant, .. } = &field.here;
        let in_field = in_field(field);
        match (rules(field), field.policy) {
            (Some(rules), _) if field.has_parts() => {
                let policy = field.policy("check");
                Some(quote_spanned! {field.span=>
                    #update::#variant(__op) => { #rules?; #policy(&self.#ident, __op)#in_field }
                })
            }
            (None, _) if field.has_parts() => {
                let policy = field.policy("check");
                Some(quote_spanned!(field.span=> #update::#variant(__op) => #policy(&self.#ident, __op)#in_field,))
            }
            (Some(rules), _) => Some(quote_spanned!(field.span=> #update::#variant(_) => #rules,)),
            (None, _) => None,
        }
    });
    let arms = closed(arms.collect(), model, &quote!(_ => ::core::result::Result::Ok(())));
    let rule = rule.as_ref().map(|rule| {
        let at = proc_macro2::Span::call_site().located_at(syn::spanned::Spanned::span(rule));
        quote_spanned!(at=> __p::rules::state(#rule(self))?;)
    });
    let inner_rules = each_nested(model, |field| {
        let Here { ident, .. } = &field.here;
        let (policy, in_field) = (field.policy("check_rule"), in_field(field));
        quote_spanned!(field.span=> #policy(&self.#ident)#in_field?;)
    });
    let all = each(model, |field| {
        let Here { ident, .. } = &field.here;
        let rules = rules(field).map(|rules| quote_spanned!(field.span=> #rules?;));
        let inner = field.has_parts().then(|| {
            let (policy, in_field) = (field.policy("validate"), in_field(field));
            quote_spanned!(field.span=> #policy(&self.#ident)#in_field?;)
        });
        quote_spanned!(field.span=> #rules #inner)
    });
    quote! {
        #has_rule
        #[inline]
        fn check(&self, __touched: &Self::Update) -> ::core::result::Result<(), __p::Invalid> {
            match __touched { #arms }
        }
        #[inline]
        fn check_rule(&self) -> ::core::result::Result<(), __p::Invalid> {
            #(#inner_rules)*
            #rule
            #garde
            ::core::result::Result::Ok(())
        }
        #[inline]
        fn validate(&self) -> ::core::result::Result<(), __p::Invalid> {
            #(#all)*
            #rule
            #garde
            ::core::result::Result::Ok(())
        }
    }
}

/// `HAS_CHANGE_RULE`, `check_change`.
fn checking_changes(model: &Model) -> Option<TokenStream> {
    let rule = &model.change_rule;
    if rule.is_none() && !model.fields.iter().any(|field| field.holds_structs) {
        return None;
    }
    let has_rule = rule.is_some().then(|| {
        quote!(
            const HAS_CHANGE_RULE: ::core::primitive::bool = true;
        )
    });
    let rule = rule.as_ref().map(|rule| {
        let at = proc_macro2::Span::call_site().located_at(syn::spanned::Spanned::span(rule));
        quote_spanned!(at=> __p::rules::change(#rule, __before, self, __author)?;)
    });
    let holders = model.fields.iter().filter(|field| field.holds_structs);
    let inner = holders.map(|field| {
        let Here { ident, .. } = &field.here;
        let (policy, in_field) = (field.policy("check_change"), in_field(field));
        quote_spanned!(field.span=> #policy(&__before.#ident, &self.#ident, __author)#in_field?;)
    });
    Some(quote! {
        #has_rule
        fn check_change(
            &self,
            __before: &Self,
            __author: &__p::Author,
        ) -> ::core::result::Result<(), __p::Invalid> {
            #(#inner)*
            #rule
            ::core::result::Result::Ok(())
        }
    })
}

/// The question to garde, which knows the fields by their names in the struct.
fn garde(model: &Model) -> Option<TokenStream> {
    let name = model.garde.as_ref()?;
    let named = model.fields.iter().map(|field| (field.ident.to_string(), &field.wire));
    let renamed: Vec<_> =
        named.filter(|(name, wire)| name != *wire).map(|(name, wire)| quote!(#name => #wire,)).collect();
    let wire = match renamed.is_empty() {
        true => quote!(|__name| __name),
        false => quote!(|__name| match __name { #(#renamed)* _ => __name }),
    };
    let at = proc_macro2::Span::call_site().located_at(name.span());
    Some(quote_spanned!(at=> __p::rules::garde(self, #wire)?;))
}

/// Whether there is a rule over the whole, here or in a nested struct; `None`: there is none.
fn has_rule(model: &Model, own: bool) -> Option<TokenStream> {
    if own {
        return Some(quote!(true));
    }
    // A struct inside itself has no rule beyond its own.
    let others = model
        .fields
        .iter()
        .filter(|field| field.nest.is_some() && !mentions(&field.here.inner, &|ident| *ident == model.ident));
    let mut asked = BTreeSet::new();
    let inner: Vec<_> = others
        .filter(|field| asked.insert(field.here.inner.to_string()))
        .map(|field| field.nested("HAS_RULE"))
        .collect();
    (!inner.is_empty()).then(|| quote!(#(#inner)||*))
}

/// What says of an `Invalid` that it is in the field.
fn in_field(field: &Field) -> TokenStream {
    let wire = &field.wire;
    quote_spanned!(field.span=> .map_err(|__invalid| __invalid.in_field(#wire)))
}

/// `field`, `field_named`, `current`, `copy_field`, `encode_field`: what goes by a field's index.
fn indexed(model: &Model) -> TokenStream {
    let name = model.name();
    let field_of = each(model, |field| {
        let (index, Here { update, variant, .. }) = (field.index, &field.here);
        quote_spanned!(field.span=> #update::#variant(_) => #index,)
    });
    let current = each(model, |field| {
        let Field { index, .. } = field;
        let Here { update, ident, variant, .. } = &field.here;
        let copy = field.copy();
        let copied = quote_spanned!(field.span=> #copy(&self.#ident));
        let set = match field.is_plain() {
            true => copied,
            false => field.set(&copied),
        };
        quote_spanned!(field.span=> #index => #update::#variant(#set),)
    });
    // The trait's own `copy_field` sets the whole field, which for a value with parts may not be the same.
    let copied: Vec<_> = each_in_parts(
        model,
        |field| {
            let (index, ident, ty) = (field.index, &field.here.ident, field.typed());
            quote_spanned!(field.span=> #index => <#ty as ::core::clone::Clone>::clone_from(&mut self.#ident, &__from.#ident),)
        },
    )
    .collect();
    let copied = (!copied.is_empty()).then(|| {
        let rest =
            (copied.len() < model.fields.len()).then(|| quote!(_ => __p::set_from(self, __from, __field)));
        let rest = rest.unwrap_or_else(|| quote!(__other => __p::no_field(#name, __other)));
        quote! {
            #[inline]
            fn copy_field(&mut self, __from: &Self, __field: __p::FieldId) {
                match __field { #(#copied)* #rest }
            }
        }
    });
    let encoded = each(model, |field| {
        let Field { index, .. } = field;
        let Here { ident, .. } = &field.here;
        let serialize = match field.policy {
            Policy::Lww => field.policy("encode"),
            _ => {
                let ty = field.typed();
                quote_spanned!(field.span=> <#ty as __p::serde::Serialize>::serialize)
            }
        };
        quote_spanned!(field.span=> #index => #serialize(&self.#ident, __serializer),)
    });
    // The trait's own `field_named` knows the wire names only.
    let named = model.fields.iter().any(|field| !field.aliases.is_empty()).then(|| {
        let arms = each(model, |field| {
            let (index, names) = (field.index, names(field));
            quote_spanned!(field.span=> #names => ::core::option::Option::Some(#index),)
        });
        quote! {
            #[inline]
            fn field_named(__name: &::core::primitive::str) -> ::core::option::Option<__p::FieldId> {
                match __name { #(#arms)* _ => ::core::option::Option::None }
            }
        }
    });
    let other = quote!(__other => __p::no_field(#name, __other));
    quote! {
        #[inline]
        fn field(__update: &Self::Update) -> __p::FieldId {
            match __update { #(#field_of)* }
        }
        #named
        #[inline]
        fn current(&self, __field: __p::FieldId) -> Self::Update {
            match __field { #(#current)* #other }
        }
        #copied
        fn encode_field<__S: __p::serde::Serializer>(
            &self,
            __field: __p::FieldId,
            __serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            match __field { #(#encoded)* #other }
        }
    }
}

/// `overlap`, `coalesce`, `timing`, `read_only`: what is asked of updates alone. Of plain fields the trait's own know.
fn comparing(model: &Model) -> TokenStream {
    let pairs = |method: &str| -> Vec<_> {
        each_but_plain(model, |field| {
            let (Here { update, variant, .. }, policy) = (&field.here, field.policy(method));
            quote_spanned!(field.span=> (#update::#variant(__a), #update::#variant(__b)) => #policy(__a, __b),)
        })
        .collect()
    };
    // A pair of two fields' operations has no arm of its own.
    let closed = |arms: Vec<_>, rest: TokenStream| {
        let rest = (model.fields.len() > 1).then_some(rest);
        quote!(#(#arms)* #rest)
    };
    let overlap = written(pairs("overlap"), |arms| {
        let arms = closed(arms, quote!((__a, __b) => __p::overlap_of_sets::<Self>(__a, __b)));
        quote! {
            #[inline]
            fn overlap(__pending: &Self::Update, __remote: &Self::Update) -> __merge::Overlap {
                match (__pending, __remote) { #arms }
            }
        }
    });
    let coalesce = written(pairs("coalesce"), |arms| {
        let arms = closed(arms, quote!((__a, __b) => __p::supersede::<Self>(__a, __b)));
        quote! {
            #[inline]
            fn coalesce(__earlier: &mut Self::Update, __later: &Self::Update) -> ::core::primitive::bool {
                match (__earlier, __later) { #arms }
            }
        }
    });
    let this = quote!(<Self as __p::SharedState>);
    let timing = each_in_parts(model, |field| {
        let (index, Here { update, variant, .. }, policy) =
            (field.index, &field.here, field.policy("timing"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op, #this::FIELDS[#index].timing),)
    });
    let timing = written(timing.collect(), |arms| {
        let arms = self::closed(arms, model, &quote!(_ => #this::FIELDS[#this::field(__update)].timing));
        quote! {
            #[inline]
            fn timing(__update: &Self::Update) -> __p::Timing {
                match __update { #arms }
            }
        }
    });
    let read_only = each_in_parts(model, |field| {
        let (Here { update, variant, .. }, policy) = (&field.here, field.policy("read_only"));
        match field.read_only {
            true => quote_spanned!(field.span=> #update::#variant(_) => true,),
            false => quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op),),
        }
    });
    let read_only = written(read_only.collect(), |arms| {
        let arms = self::closed(arms, model, &quote!(_ => #this::FIELDS[#this::field(__update)].read_only));
        quote! {
            #[inline]
            fn read_only(__update: &Self::Update) -> ::core::primitive::bool {
                match __update { #arms }
            }
        }
    });
    quote!(#overlap #coalesce #timing #read_only)
}

/// `record`, `delta`: of fields without parts the trait's own know.
fn tracking(model: &Model) -> TokenStream {
    let this = quote!(<Self as __p::SharedState>);
    let record = each_in_parts(model, |field| {
        let (index, Here { update, variant, .. }, policy) =
            (field.index, &field.here, field.policy("record"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__versions.part_mut(#index, __version), __op, __version),)
    });
    let record = written(record.collect(), |arms| {
        let whole = quote!(_ => __versions.part_mut(#this::field(__touched), __version).set_whole(__version));
        let arms = closed(arms, model, &whole);
        quote! {
            #[inline]
            fn record(
                __versions: &mut __merge::Versions,
                __touched: &Self::Update,
                __version: ::core::primitive::u64,
            ) {
                match __touched { #arms }
            }
        }
    });
    let delta = each_in_parts(model, |field| {
        let (index, Here { update, ident, variant, .. }, delta) =
            (field.index, &field.here, field.policy("__delta"));
        quote_spanned!(field.span=> #index => #delta(&self.#ident, __part, __since, __out, #update::#variant),)
    });
    let delta = written(delta.collect(), |arms| {
        quote! {
            #[inline]
            fn delta(
                &self,
                __versions: &__merge::Versions,
                __since: ::core::primitive::u64,
                __out: &mut ::std::vec::Vec<Self::Update>,
            ) {
                __p::delta(__versions, __since, |__field, __part| match __field {
                    #(#arms)*
                    _ => __out.push(#this::current(self, __field)),
                });
            }
        }
    });
    quote!(#record #delta)
}

/// `address`, `encode`, `decode`.
fn wire(model: &Model) -> TokenStream {
    let name = model.name();
    let op = |field: &Field, method: &str, argument: &TokenStream| {
        let (Here { update, variant, .. }, policy) = (&field.here, field.policy(method));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op, #argument),)
    };
    let this = quote!(<Self as __p::SharedState>);
    let address = each_but_plain(model, |field| op(field, "address", &quote!(__path)));
    let address = written(address.collect(), |arms| {
        let arms = closed(arms, model, &quote!(_ => ::core::option::Option::None));
        quote! {
            #[inline]
            fn address(
                __update: &Self::Update,
                __path: &mut __p::FieldPathBuf,
            ) -> ::core::option::Option<&'static ::core::primitive::str> {
                __path.push(#this::FIELDS[#this::field(__update)].name);
                match __update { #arms }
            }
        }
    });
    let encode = each(model, |field| op(field, "encode", &quote!(__serializer)));
    let decode = each(model, |field| {
        let (Here { update, variant, .. }, decode, names) =
            (&field.here, field.policy("__decode"), names(field));
        quote_spanned!(field.span=> #names => #decode(__path, __op, __value, #update::#variant),)
    });
    quote! {
        #address
        fn encode<__S: __p::serde::Serializer>(
            __update: &Self::Update,
            __serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            match __update { #(#encode)* }
        }
        fn decode<'de, __D: __p::serde::Deserializer<'de>>(
            mut __path: __p::FieldPath<'_>,
            __op: ::core::option::Option<&::core::primitive::str>,
            __value: __D,
        ) -> ::core::result::Result<Self::Update, __p::UpdateError> {
            let __name = __path.next_segment().unwrap_or_default();
            let __decoded = match &*__name {
                #(#decode)*
                _ => return ::core::result::Result::Err(
                    __p::UpdateError::unknown_field(#name, &__name)
                ),
            };
            __decoded.map_err(|__error| __error.in_field(&__name))
        }
    }
}

/// What `part` makes of each field, all of it at the field's type: whatever the type lacks is reported there.
fn each(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    model.fields.iter().map(part)
}

/// What `part` makes of each nested field.
fn each_nested(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let nested = model.fields.iter().filter(|field| field.nest.is_some());
    nested.map(part)
}

/// What `part` makes of each field whose operations may reach into the value.
fn each_in_parts(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let in_parts = model.fields.iter().filter(|field| field.has_parts());
    in_parts.map(part)
}

/// What `part` makes of each field that is not plain. What the last writer's policy says is known, and is left to a
/// last arm or to the trait: plain fields are the most, and each mention of a policy costs the compiler.
fn each_but_plain(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let others = model.fields.iter().filter(|field| !field.is_plain());
    others.map(part)
}

/// The method with these arms; none if there are no arms, and the trait's own is right.
fn written(
    arms: Vec<TokenStream>,
    method: impl FnOnce(Vec<TokenStream>) -> TokenStream,
) -> Option<TokenStream> {
    (!arms.is_empty()).then(|| method(arms))
}

/// The names a field is read by, as a pattern.
fn names(field: &Field) -> TokenStream {
    let wire = &field.wire;
    let others = field.aliases.iter().filter(|alias| alias.value() != field.wire);
    quote!(#wire #(| #others)*)
}

/// The arms, with `rest` after them if they do not cover every variant.
fn closed(arms: Vec<TokenStream>, model: &Model, rest: &TokenStream) -> TokenStream {
    let rest = (arms.len() < model.fields.len()).then_some(rest);
    quote!(#(#arms)* #rest)
}
