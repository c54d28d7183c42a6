//! The implementation of `SharedState`: every method is a match over the fields.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::info;
use crate::model::{Field, Model, Policy, at};

pub(super) fn implementation(model: &Model) -> TokenStream {
    let Model { ident: state, this, generics, update, patch, handle, .. } = model;
    let none = TokenStream::new;
    let (params, args, clause) =
        (generics.declared(none(), none()), generics.passed(none()), &generics.on_impls);
    let handle_args = generics.passed(quote!(__L));
    let name = quote::ToTokens::to_token_stream(state).to_string();
    let name = name.trim_start_matches("r#");
    let infos = each(model, info::of);
    let methods = [
        changing(model),
        meaning(model),
        checking(model),
        indexed(model),
        comparing(model),
        tracking(model),
        wire(model),
    ];
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #params __state::SharedState for #this #clause {
            type Update = #update #args;
            type Patch = #patch #args;
            type Handle<__L: __state::Live<Self>> = #handle #handle_args;
            const NAME: &'static ::core::primitive::str = #name;
            const FIELDS: &'static [__state::FieldInfo] = &[#(#infos),*];
            #(#methods)*
        }
    }
}

/// `apply`, `diff`, `patch_updates`.
fn changing(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let apply = each(model, |field| {
        let Field { ident, variant, .. } = field;
        let policy = field.policy("apply");
        quote!(#update::#variant(__op) => #update::#variant(#policy(&mut self.#ident, __op)),)
    });
    let diff = each(model, |field| {
        let Field { ident, variant, .. } = field;
        let policy = field.policy("diff");
        quote!(#policy(&__old.#ident, &__new.#ident, &mut |__op| __out.push(#update::#variant(__op)));)
    });
    let patched = each(model, |field| {
        let Field { ident, variant, .. } = field;
        let push = match field.policy {
            Policy::Lww | Policy::Counter | Policy::Own | Policy::Entries => {
                let set = field.set(&quote!(__value));
                quote!(__out.push(#update::#variant(#set));)
            }
            Policy::Nested => {
                let nested = field.nested("patch_updates");
                quote! {
                    __out.extend(#nested(__value).into_iter().map(|__inner| {
                        #update::#variant(__merge::NestedOp::In(::std::boxed::Box::new(__inner)))
                    }));
                }
            }
        };
        quote!(if let ::core::option::Option::Some(__value) = __patch.#ident { #push })
    });
    quote! {
        fn apply(&mut self, __update: Self::Update) -> Self::Update {
            match __update { #(#apply)* }
        }
        fn diff(__old: &Self, __new: &Self) -> ::std::vec::Vec<Self::Update> {
            let mut __out = ::std::vec::Vec::new();
            #(#diff)*
            __out
        }
        fn patch_updates(__patch: Self::Patch) -> ::std::vec::Vec<Self::Update> {
            let mut __out = ::std::vec::Vec::new();
            #(#patched)*
            __out
        }
    }
}

/// `take_back`, `expand`, `settle`, `admit`: what an update means to a state.
fn meaning(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let none = quote!(_ => ::core::option::Option::None,);
    let expand = each_in_parts(model, |field| {
        let Field { ident, variant, .. } = field;
        let policy = field.policy("expand");
        quote! {
            #update::#variant(__op) => #policy(&self.#ident, __op)
                .map(|__ops| __ops.into_iter().map(#update::#variant).collect()),
        }
    });
    let expand = closed(expand.collect(), model, &none);
    let take_back = each(model, |field| {
        let Field { ident, variant, .. } = field;
        let policy = field.policy("take_back");
        quote! {
            (#update::#variant(__op), #update::#variant(__inverse)) => {
                #policy(&self.#ident, __op, __inverse).map(#update::#variant)
            }
        }
    });
    let other = (model.fields.len() > 1).then(|| quote!(_ => ::core::option::Option::None,));
    let settle = each_in_parts(model, |field| {
        let Field { index, ident, variant, .. } = field;
        let policy = field.policy("settle");
        quote! {
            #update::#variant(__op) => #policy(&self.#ident, __track.part(#index).unwrap_or(&__none), __op)
                .map(#update::#variant),
        }
    });
    let settle = settle.collect::<Vec<_>>();
    let no_track = (!settle.is_empty())
        .then(|| quote!(let __none = <__merge::Track as ::core::default::Default>::default();));
    let settle = closed(settle, model, &none);
    let admit = each_in_parts(model, |field| {
        let Field { ident, variant, wire, .. } = field;
        let policy = field.policy("admit");
        quote! {
            #update::#variant(__op) => #policy(&self.#ident, __op)
                .map_err(|__invalid| __invalid.in_field(#wire)),
        }
    });
    let admit = closed(admit.collect(), model, &quote!(_ => ::core::result::Result::Ok(()),));
    quote! {
        fn expand(&self, __update: &Self::Update) -> ::core::option::Option<::std::vec::Vec<Self::Update>> {
            match __update { #expand }
        }
        fn take_back(
            &self,
            __update: &Self::Update,
            __inverse: &Self::Update,
        ) -> ::core::option::Option<Self::Update> {
            match (__update, __inverse) { #(#take_back)* #other }
        }
        fn settle(
            &self,
            __track: &__merge::Track,
            __update: &Self::Update,
        ) -> ::core::option::Option<Self::Update> {
            #no_track
            match __update { #settle }
        }
        fn admit(&self, __update: &Self::Update) -> ::core::result::Result<(), __state::Invalid> {
            match __update { #admit }
        }
    }
}

/// `HAS_RULE`, `check`, `check_rule`, `validate`.
fn checking(model: &Model) -> TokenStream {
    let Model { update, rule, generics, .. } = model;
    let turbofish = match generics.is_empty() {
        true => TokenStream::new(),
        false => {
            let args = generics.passed(TokenStream::new());
            quote!(::#args)
        }
    };
    let own = rule.is_some();
    let inner = each_nested(model, |field| {
        let nested = field.nested("HAS_RULE");
        quote!(|| #nested)
    });
    let in_field = |field: &Field| {
        let wire = &field.wire;
        quote!(.map_err(|__invalid| __invalid.in_field(#wire)))
    };
    let rules = |field: &Field| {
        let Field { ident, checker, .. } = field;
        let in_field = in_field(field);
        (!field.rules.is_empty()).then(|| quote!(#checker #turbofish(&self.#ident)#in_field))
    };
    let arms = model.fields.iter().filter_map(|field| {
        let Field { ident, variant, .. } = field;
        let at_type = |arm: TokenStream| Some(at(field.span, &arm));
        let in_field = in_field(field);
        match (rules(field), field.policy) {
            (Some(rules), Policy::Nested | Policy::Own | Policy::Entries) => {
                let policy = field.policy("check");
                at_type(quote! {
                    #update::#variant(__op) => { #rules?; #policy(&self.#ident, __op)#in_field }
                })
            }
            (None, Policy::Nested | Policy::Own | Policy::Entries) => {
                let policy = field.policy("check");
                at_type(quote!(#update::#variant(__op) => #policy(&self.#ident, __op)#in_field,))
            }
            (Some(rules), _) => at_type(quote!(#update::#variant(_) => #rules,)),
            (None, _) => None,
        }
    });
    let arms = closed(arms.collect(), model, &quote!(_ => ::core::result::Result::Ok(())));
    let rule = rule.as_ref().map(|rule| {
        let at = proc_macro2::Span::call_site().located_at(syn::spanned::Spanned::span(rule));
        quote_spanned!(at=> __state::rules::state(#rule(self))?;)
    });
    let inner_rules = each_nested(model, |field| {
        let Field { ident, .. } = field;
        let (nested, in_field) = (field.nested("check_rule"), in_field(field));
        quote!(#nested(&self.#ident)#in_field?;)
    });
    let all = each(model, |field| {
        let Field { ident, .. } = field;
        let rules = rules(field).map(|rules| quote!(#rules?;));
        let inner = field.has_parts().then(|| {
            let (policy, in_field) = (field.policy("validate"), in_field(field));
            quote!(#policy(&self.#ident)#in_field?;)
        });
        quote!(#rules #inner)
    });
    quote! {
        const HAS_RULE: ::core::primitive::bool = #own #(#inner)*;
        fn check(&self, __touched: &Self::Update) -> ::core::result::Result<(), __state::Invalid> {
            match __touched { #arms }
        }
        fn check_rule(&self) -> ::core::result::Result<(), __state::Invalid> {
            #(#inner_rules)*
            #rule
            ::core::result::Result::Ok(())
        }
        fn validate(&self) -> ::core::result::Result<(), __state::Invalid> {
            #(#all)*
            #rule
            ::core::result::Result::Ok(())
        }
    }
}

/// `field`, `field_named`, `current`, `copy_field`, `encode_field`: what goes by a field's index.
fn indexed(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let field_of = each(model, |Field { index, variant, .. }| quote!(#update::#variant(_) => #index,));
    let current = each(model, |field| {
        let Field { index, ident, variant, .. } = field;
        let set = field.set(&quote!(::core::clone::Clone::clone(&self.#ident)));
        quote!(#index => #update::#variant(#set),)
    });
    let copied = each(
        model,
        |Field { index, ident, .. }| quote!(#index => ::core::clone::Clone::clone_from(&mut self.#ident, &__from.#ident),),
    );
    let encoded = each(model, |field| {
        let Field { index, ident, .. } = field;
        let serialize = match field.codec.is_some() {
            true => field.policy("encode"),
            false => quote_spanned!(field.span=> __p::serde::Serialize::serialize),
        };
        quote!(#index => #serialize(&self.#ident, __serializer),)
    });
    // The trait's own `field_named` knows the wire names only.
    let named = model.fields.iter().any(|field| !field.aliases.is_empty()).then(|| {
        let arms = each(model, |field| {
            let (index, names) = (field.index, names(field));
            quote!(#names => ::core::option::Option::Some(#index),)
        });
        quote! {
            fn field_named(__name: &::core::primitive::str) -> ::core::option::Option<__state::FieldId> {
                match __name { #(#arms)* _ => ::core::option::Option::None }
            }
        }
    });
    let other = quote!(__other => __p::no_field(<Self as __state::SharedState>::NAME, __other));
    quote! {
        fn field(__update: &Self::Update) -> __state::FieldId {
            match __update { #(#field_of)* }
        }
        #named
        fn current(&self, __field: __state::FieldId) -> Self::Update {
            match __field { #(#current)* #other }
        }
        fn copy_field(&mut self, __from: &Self, __field: __state::FieldId) {
            match __field { #(#copied)* #other }
        }
        fn encode_field<__S: __p::serde::Serializer>(
            &self,
            __field: __state::FieldId,
            __serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            match __field { #(#encoded)* #other }
        }
    }
}

/// `overlap`, `coalesce`, `timing`, `read_only`: what is asked of updates alone.
fn comparing(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let this = quote!(<Self as __state::SharedState>);
    let pair = |field: &Field, method: &str| {
        let (variant, policy) = (&field.variant, field.policy(method));
        quote!((#update::#variant(__a), #update::#variant(__b)) => #policy(__a, __b),)
    };
    let overlap = each_but_lww(model, |field| pair(field, "overlap"));
    // A pair of two fields' operations has no arm of its own; of two sets of one field the later hides the other.
    let rest = (model.fields.len() > 1 || model.fields[0].policy == Policy::Lww)
        .then(|| quote!((__a, __b) => __p::overlap_of_sets(#this::field(__a), #this::field(__b))));
    let overlap = quote!(#(#overlap)* #rest);
    let coalesce = each(model, |field| pair(field, "coalesce"));
    let other = (model.fields.len() > 1).then(|| quote!(_ => false));
    let coalesce = quote!(#(#coalesce)* #other);
    // Only a nested update has a timing or a restriction of its own; the others have their field's.
    let field =
        quote!(<Self as __state::SharedState>::FIELDS[<Self as __state::SharedState>::field(__update)]);
    let timing = each_in_parts(model, |field| {
        let (index, variant, policy) = (field.index, &field.variant, field.policy("timing"));
        quote! {
            #update::#variant(__op) => {
                #policy(__op, <Self as __state::SharedState>::FIELDS[#index].timing)
            }
        }
    });
    let timing = closed(timing.collect(), model, &quote!(_ => #field.timing));
    let read_only = each_in_parts(model, |field| {
        let (variant, policy) = (&field.variant, field.policy("read_only"));
        match field.read_only {
            true => quote!(#update::#variant(_) => true,),
            false => quote!(#update::#variant(__op) => #policy(__op),),
        }
    });
    let read_only = closed(read_only.collect(), model, &quote!(_ => #field.read_only));
    quote! {
        fn overlap(__pending: &Self::Update, __remote: &Self::Update) -> __merge::Overlap {
            match (__pending, __remote) { #overlap }
        }
        fn coalesce(__earlier: &mut Self::Update, __later: &Self::Update) -> ::core::primitive::bool {
            match (__earlier, __later) { #coalesce }
        }
        fn timing(__update: &Self::Update) -> __state::Timing {
            match __update { #timing }
        }
        fn read_only(__update: &Self::Update) -> ::core::primitive::bool {
            match __update { #read_only }
        }
    }
}

/// `touch`, `delta`.
fn tracking(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let touch = each_in_parts(model, |field| {
        let (index, variant, policy) = (field.index, &field.variant, field.policy("touch"));
        quote!(#update::#variant(__op) => #policy(__track.part_mut(#index, __version), __op, __version),)
    });
    // Only a nested value is touched in parts.
    let whole = quote! {
        _ => __track.part_mut(<Self as __state::SharedState>::field(__touched), __version).set_whole(__version)
    };
    let touch = closed(touch.collect(), model, &whole);
    let delta = each(model, |field| {
        let Field { index, ident, variant, .. } = field;
        let policy = field.policy("delta");
        quote! {
            if let ::core::option::Option::Some(__part) = __track.part(#index) {
                #policy(&self.#ident, __part, __since, &mut |__op| __out.push(#update::#variant(__op)));
            }
        }
    });
    quote! {
        fn touch(__track: &mut __merge::Track, __touched: &Self::Update, __version: ::core::primitive::u64) {
            match __touched { #touch }
        }
        fn delta(
            &self,
            __track: &__merge::Track,
            __since: ::core::primitive::u64,
            __out: &mut ::std::vec::Vec<Self::Update>,
        ) {
            #(#delta)*
        }
    }
}

/// `address`, `encode`, `decode`.
fn wire(model: &Model) -> TokenStream {
    let Model { update, .. } = model;
    let op = |field: &Field, method: &str, argument: &TokenStream| {
        let (variant, policy) = (&field.variant, field.policy(method));
        quote!(#update::#variant(__op) => #policy(__op, #argument),)
    };
    let address = each_but_lww(model, |field| op(field, "address", &quote!(__path)));
    let address = closed(address.collect(), model, &quote!(_ => ::core::option::Option::None));
    let encode = each(model, |field| op(field, "encode", &quote!(__serializer)));
    let decode = each(model, |field| {
        let (variant, policy, names) = (&field.variant, field.policy("decode"), names(field));
        quote!(#names => #policy(__path, __op, __value).map(#update::#variant),)
    });
    let this = quote!(<Self as __state::SharedState>);
    quote! {
        fn address(
            __update: &Self::Update,
            __path: &mut __state::PathBuf,
        ) -> ::core::option::Option<&'static ::core::primitive::str> {
            __path.push(#this::FIELDS[#this::field(__update)].name);
            match __update { #address }
        }
        fn encode<__S: __p::serde::Serializer>(
            __update: &Self::Update,
            __serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            match __update { #(#encode)* }
        }
        fn decode<'de, __D: __p::serde::Deserializer<'de>>(
            mut __path: __state::Path<'_>,
            __op: ::core::option::Option<&::core::primitive::str>,
            __value: __D,
        ) -> ::core::result::Result<Self::Update, __state::UpdateError> {
            let __name = __path.next_segment().unwrap_or_default();
            let __decoded = match &*__name {
                #(#decode)*
                _ => return ::core::result::Result::Err(
                    __state::UpdateError::unknown_field(#this::NAME, &__name)
                ),
            };
            __decoded.map_err(|__error| __error.in_field(&__name))
        }
    }
}

/// What `part` makes of each field, all of it at the field's type: whatever the type lacks is reported there.
fn each(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    model.fields.iter().map(move |field| at(field.span, &part(field)))
}

/// What `part` makes of each nested field.
fn each_nested(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let nested = model.fields.iter().filter(|field| field.policy == Policy::Nested);
    nested.map(move |field| at(field.span, &part(field)))
}

/// What `part` makes of each field whose operations may reach into the value.
fn each_in_parts(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let in_parts = model.fields.iter().filter(|field| field.has_parts());
    in_parts.map(move |field| at(field.span, &part(field)))
}

/// What `part` makes of each field that is not plain. What the last writer's policy says is known here and is
/// left to a last arm: plain fields are the most, and each mention of a policy costs the compiler.
fn each_but_lww(model: &Model, part: impl Fn(&Field) -> TokenStream) -> impl Iterator<Item = TokenStream> {
    let others = model.fields.iter().filter(|field| field.policy != Policy::Lww);
    others.map(move |field| at(field.span, &part(field)))
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
