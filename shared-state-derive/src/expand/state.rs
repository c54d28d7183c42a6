//! The implementation of `SharedState`. Every method is a match over the fields.
//!
//! A method is generated only where the trait's provided method is not right for the struct.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::info;
use crate::model::{Field, Model, Policy, Spanned, at};
use crate::nest::Nest;
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
    let migrated = quote_spanned!(at=> __p::rules::migrate(#migrate, __from, __value));
    Some(quote! {
        const VERSION: ::core::primitive::u32 = #version;
        fn migrate(
            __from: ::core::primitive::u32,
            __value: __p::Json,
        ) -> ::core::result::Result<__p::Json, __p::String> {
            #migrated
        }
    })
}

// Methods without type parameters are `#[inline]`. Like generic ones, they are then compiled where they are
// used, and not in a crate that only declares the struct.

/// `apply`, `diff`, `patch_updates`.
fn changing(model: &Model) -> TokenStream {
    let apply = each(model, |field| {
        let Spanned { update, ident, variant, .. } = &field.spanned;
        let apply = match field.policy {
            Policy::Lww => quote_spanned!(field.span=> ::core::mem::replace),
            _ => field.policy("apply"),
        };
        quote_spanned!(field.span=> #update::#variant(__op) => #update::#variant(#apply(&mut self.#ident, __op)),)
    });
    let diff = each(model, |field| {
        let Spanned { update, ident, variant, .. } = &field.spanned;
        let diff = field.policy("__diff");
        quote_spanned!(field.span=> #diff(&__old.#ident, &__new.#ident, &mut __out, #update::#variant);)
    });
    let patched = each(model, |field| {
        let Spanned { update, ident, variant, .. } = &field.spanned;
        let make = match field.policy {
            Policy::Lww => quote_spanned!(field.span=> #update::#variant),
            Policy::Nested => {
                let inner = &field.spanned.inner;
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

/// `decompose`, `undo`, `undo_guard`, `has_effect`, `resolve`, `check_op`: what an update means for a state. Plain fields are left to the
/// trait's provided methods.
fn meaning(model: &Model) -> TokenStream {
    let none = quote!(_ => ::core::option::Option::None,);
    let decompose = each_with_parts(model, |field| {
        let (Spanned { update, ident, variant, .. }, policy) = (&field.spanned, field.policy("__decompose"));
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __op, #update::#variant),
        }
    });
    let decompose = unless_empty(decompose.collect(), |arms| {
        let arms = with_rest(arms, model, &none);
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
        let (Spanned { update, ident, variant, .. }, policy) = (&field.spanned, field.policy("undo"));
        quote_spanned! {field.span=>
            (#update::#variant(__op), #update::#variant(__inverse)) => {
                #policy(&self.#ident, __op, __inverse).map(#update::#variant)
            }
        }
    });
    let undo = unless_empty(undo.collect(), |arms| {
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
    let guard = each_but_plain(model, |field| {
        let (Spanned { update, variant, .. }, policy) = (&field.spanned, field.policy("undo_guard"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op),)
    });
    let guard = unless_empty(guard.collect(), |arms| {
        let arms = with_rest(arms, model, &quote!(_ => __merge::UndoGuard::Anything,));
        quote! {
            #[inline]
            fn undo_guard(__update: &Self::Update) -> __merge::UndoGuard {
                match __update { #arms }
            }
        }
    });
    let effect = each_but_plain(model, |field| {
        let (Spanned { update, ident, variant, .. }, policy) = (&field.spanned, field.policy("has_effect"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(&self.#ident, __op),)
    });
    let effect = unless_empty(effect.collect(), |arms| {
        let arms = with_rest(arms, model, &quote!(_ => __p::differs::<Self>(self, __update),));
        quote! {
            #[inline]
            fn has_effect(&self, __update: &Self::Update) -> ::core::primitive::bool {
                match __update { #arms }
            }
        }
    });
    let resolve = each_with_parts(model, |field| {
        let index = field.index;
        let (Spanned { update, ident, variant, .. }, policy) = (&field.spanned, field.policy("resolve"));
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __versions.part(#index).unwrap_or(__merge::Versions::NONE), __op)
                .map(#update::#variant),
        }
    });
    let resolve = unless_empty(resolve.collect(), |arms| {
        let arms = with_rest(arms, model, &none);
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
    let check_op = each_but_plain(model, |field| {
        let (Spanned { update, ident, variant, .. }, policy) = (&field.spanned, field.policy("check_op"));
        let wire = &field.wire;
        quote_spanned! {field.span=>
            #update::#variant(__op) => #policy(&self.#ident, __op)
                .map_err(|__invalid| __invalid.in_field(#wire)),
        }
    });
    let check_op = unless_empty(check_op.collect(), |arms| {
        let arms = with_rest(arms, model, &quote!(_ => ::core::result::Result::Ok(()),));
        quote! {
            #[inline]
            fn check_op(&self, __update: &Self::Update) -> ::core::result::Result<(), __p::Invalid> {
                match __update { #arms }
            }
        }
    });
    quote!(#decompose #undo #guard #effect #resolve #check_op)
}

/// `HAS_RULE`, `check_keys`, `check`, `check_rule`, `validate`: nothing if there is nothing to check.
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
        let Spanned { ident, .. } = &field.spanned;
        let in_field = in_field(field);
        field.is_checked().then(|| quote_spanned!(field.span=> #checker #turbofish(&self.#ident)#in_field))
    };
    let arms = model.fields.iter().filter_map(|field| {
        let Spanned { update, ident, variant, .. } = &field.spanned;
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
    let arms = with_rest(arms.collect(), model, &quote!(_ => ::core::result::Result::Ok(())));
    let rule = rule.as_ref().map(|rule| {
        let at = proc_macro2::Span::call_site().located_at(syn::spanned::Spanned::span(rule));
        quote_spanned!(at=> __p::rules::state(self, #rule, |__state| __state)?;)
    });
    let inner_rules = each_nested(model, |field| {
        let Spanned { ident, .. } = &field.spanned;
        let (policy, in_field) = (field.policy("check_rule"), in_field(field));
        quote_spanned!(field.span=> #policy(&self.#ident)#in_field?;)
    });
    let all = each(model, |field| {
        let Spanned { ident, .. } = &field.spanned;
        let rules = rules(field).map(|rules| quote_spanned!(field.span=> #rules?;));
        let inner = field.has_parts().then(|| {
            let (policy, in_field) = (field.policy("validate"), in_field(field));
            quote_spanned!(field.span=> #policy(&self.#ident)#in_field?;)
        });
        quote_spanned!(field.span=> #rules #inner)
    });
    let keys = model.fields.iter().filter(|field| field.has_parts()).map(|field| {
        let Spanned { ident, .. } = &field.spanned;
        let (policy, in_field) = (field.policy("check_keys"), in_field(field));
        quote_spanned!(field.span=> #policy(&self.#ident)#in_field?;)
    });
    quote! {
        #has_rule
        #[inline]
        fn check_keys(&self) -> ::core::result::Result<(), __p::Invalid> {
            #(#keys)*
            ::core::result::Result::Ok(())
        }
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
        let Spanned { ident, .. } = &field.spanned;
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

/// The call to garde, which names the fields as the struct does.
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

/// Whether this struct or a nested one has a rule about the whole state. `None` if neither can have one.
fn has_rule(model: &Model, own: bool) -> Option<TokenStream> {
    if own {
        return Some(quote!(true));
    }
    // A struct inside itself adds no rule to its own.
    let others = model.fields.iter().filter(|field| {
        field.nest.is_some() && !mentions(&field.spanned.inner, &|ident| *ident == model.ident)
    });
    // Two structs inside each other cannot ask each other for a constant. One of the two is in a box.
    let mut others: Vec<_> = others.collect();
    if others.iter().any(|field| field.nest.as_ref().is_some_and(Nest::may_recur)) {
        return Some(quote!(true));
    }
    let mut asked = BTreeSet::new();
    others.retain(|field| asked.insert(field.spanned.inner.to_string()));
    let inner: Vec<_> = others.into_iter().map(|field| field.nested("HAS_RULE")).collect();
    (!inner.is_empty()).then(|| quote!(#(#inner)||*))
}

/// Adds the field's name to an `Invalid`.
fn in_field(field: &Field) -> TokenStream {
    let wire = &field.wire;
    quote_spanned!(field.span=> .map_err(|__invalid| __invalid.in_field(#wire)))
}

/// `field`, `field_named`, `current`, `copy_field`, `encode_field`: the methods that use a field's index.
fn indexed(model: &Model) -> TokenStream {
    let name = model.name();
    let field_of = each(model, |field| {
        let (index, Spanned { update, variant, .. }) = (field.index, &field.spanned);
        quote_spanned!(field.span=> #update::#variant(_) => #index,)
    });
    let current = each(model, |field| {
        let Field { index, .. } = field;
        let Spanned { update, ident, variant, .. } = &field.spanned;
        let copy = field.copy();
        let copied = quote_spanned!(field.span=> #copy(&self.#ident));
        let set = match field.is_plain() {
            true => copied,
            false => field.set(&copied),
        };
        quote_spanned!(field.span=> #index => #update::#variant(#set),)
    });
    // The trait's `copy_field` sets the whole field. For a value with parts that may not give an equal value.
    let copied: Vec<_> = each_with_parts(
        model,
        |field| {
            let (index, ident, ty) = (field.index, &field.spanned.ident, field.typed());
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
        let Spanned { ident, .. } = &field.spanned;
        let serialize = match field.policy {
            Policy::Lww => field.policy("encode"),
            _ => {
                let ty = field.typed();
                quote_spanned!(field.span=> <#ty as __p::serde::Serialize>::serialize)
            }
        };
        quote_spanned!(field.span=> #index => #serialize(&self.#ident, __serializer),)
    });
    // The trait's `field_named` knows the names on the wire, but no aliases.
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

/// `overlap`, `coalesce`, `timing`, `read_only`: questions about updates without a state. Plain fields are
/// left to the trait's provided methods.
fn comparing(model: &Model) -> TokenStream {
    let pairs = |method: &str| -> Vec<_> {
        each_but_plain(model, |field| {
            let (Spanned { update, variant, .. }, policy) = (&field.spanned, field.policy(method));
            quote_spanned!(field.span=> (#update::#variant(__a), #update::#variant(__b)) => #policy(__a, __b),)
        })
        .collect()
    };
    // Operations of two different fields have no arm.
    let with_rest = |arms: Vec<_>, rest: TokenStream| {
        let rest = (model.fields.len() > 1).then_some(rest);
        quote!(#(#arms)* #rest)
    };
    let overlap = unless_empty(pairs("overlap"), |arms| {
        let arms = with_rest(arms, quote!((__a, __b) => __p::overlap_of_sets::<Self>(__a, __b)));
        quote! {
            #[inline]
            fn overlap(__pending: &Self::Update, __remote: &Self::Update) -> __merge::Overlap {
                match (__pending, __remote) { #arms }
            }
        }
    });
    let coalesce = unless_empty(pairs("coalesce"), |arms| {
        let arms = with_rest(arms, quote!((__a, __b) => __p::supersede::<Self>(__a, __b)));
        quote! {
            #[inline]
            fn coalesce(__earlier: &mut Self::Update, __later: &Self::Update) -> ::core::primitive::bool {
                match (__earlier, __later) { #arms }
            }
        }
    });
    let this = quote!(<Self as __p::SharedState>);
    let timing = each_with_parts(model, |field| {
        let (index, Spanned { update, variant, .. }, policy) =
            (field.index, &field.spanned, field.policy("timing"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op, #this::FIELDS[#index].timing),)
    });
    let timing = unless_empty(timing.collect(), |arms| {
        let arms = self::with_rest(arms, model, &quote!(_ => #this::FIELDS[#this::field(__update)].timing));
        quote! {
            #[inline]
            fn timing(__update: &Self::Update) -> __p::Timing {
                match __update { #arms }
            }
        }
    });
    let read_only = each_with_parts(model, |field| {
        let (Spanned { update, variant, .. }, policy) = (&field.spanned, field.policy("read_only"));
        match field.read_only {
            true => quote_spanned!(field.span=> #update::#variant(_) => true,),
            false => quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op),),
        }
    });
    let read_only = unless_empty(read_only.collect(), |arms| {
        let arms =
            self::with_rest(arms, model, &quote!(_ => #this::FIELDS[#this::field(__update)].read_only));
        quote! {
            #[inline]
            fn read_only(__update: &Self::Update) -> ::core::primitive::bool {
                match __update { #arms }
            }
        }
    });
    quote!(#overlap #coalesce #timing #read_only)
}

/// `record`, `delta`. Fields without parts are left to the trait's provided methods.
fn tracking(model: &Model) -> TokenStream {
    let this = quote!(<Self as __p::SharedState>);
    let record = each_with_parts(model, |field| {
        let (index, Spanned { update, variant, .. }, policy) =
            (field.index, &field.spanned, field.policy("record"));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__versions.part_mut(#index, __version), __op, __version),)
    });
    let record = unless_empty(record.collect(), |arms| {
        let whole = quote!(_ => __versions.part_mut(#this::field(__touched), __version).set_whole(__version));
        let arms = with_rest(arms, model, &whole);
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
    let delta = each_with_parts(model, |field| {
        let (index, Spanned { update, ident, variant, .. }, delta) =
            (field.index, &field.spanned, field.policy("__delta"));
        quote_spanned!(field.span=> #index => #delta(&self.#ident, __part, __since, __out, #update::#variant),)
    });
    let delta = unless_empty(delta.collect(), |arms| {
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
        let (Spanned { update, variant, .. }, policy) = (&field.spanned, field.policy(method));
        quote_spanned!(field.span=> #update::#variant(__op) => #policy(__op, #argument),)
    };
    let this = quote!(<Self as __p::SharedState>);
    let address = each_but_plain(model, |field| op(field, "address", &quote!(__path)));
    let address = unless_empty(address.collect(), |arms| {
        let arms = with_rest(arms, model, &quote!(_ => ::core::option::Option::None));
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
        let (Spanned { update, variant, .. }, decode, names) =
            (&field.spanned, field.policy("__decode"), names(field));
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

/// What `part` makes of each field.
fn each(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    model.fields.iter().map(part)
}

/// What `part` makes of each field that is a nested struct.
fn each_nested(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let nested = model.fields.iter().filter(|field| field.nest.is_some());
    nested.map(part)
}

/// What `part` makes of each field whose operations can address parts of the value.
fn each_with_parts(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let in_parts = model.fields.iter().filter(|field| field.has_parts());
    in_parts.map(part)
}

/// What `part` makes of each field that is not plain. Plain fields, which are the most frequent, share the
/// last arm or are left to the trait, because each mention of a policy costs compile time.
fn each_but_plain(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let others = model.fields.iter().filter(|field| !field.is_plain());
    others.map(part)
}

/// The method with these arms, or nothing if there are none and the trait's provided method is right.
fn unless_empty(
    arms: Vec<TokenStream>,
    method: impl FnOnce(Vec<TokenStream>) -> TokenStream,
) -> Option<TokenStream> {
    (!arms.is_empty()).then(|| method(arms))
}

/// The pattern of a field's name and aliases.
fn names(field: &Field) -> TokenStream {
    let wire = &field.wire;
    let others = field.aliases.iter().filter(|alias| alias.value() != field.wire);
    quote!(#wire #(| #others)*)
}

/// The arms, followed by `rest` if they do not cover every variant.
fn with_rest(arms: Vec<TokenStream>, model: &Model, rest: &TokenStream) -> TokenStream {
    let rest = (arms.len() < model.fields.len()).then_some(rest);
    quote!(#(#arms)* #rest)
}
