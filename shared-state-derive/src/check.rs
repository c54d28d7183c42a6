//! Checks on what the user wrote: attributes that contradict each other or their field, and generated names
//! that clash.

use std::collections::BTreeMap;

use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::{
    Expr, ExprLit, GenericArgument, Ident, Lit, PathArguments, Type, TypeParamBound, UnOp, WherePredicate,
};

use crate::ctxt::Ctxt;
use crate::model::{Model, Policy, Rule};
use crate::nest::{Nest, first_argument, std_name};
use crate::parse::{Input, InputField, PolicyExpr};
use crate::tokens::{last_segment, mentions};

/// Checks each field on its own.
pub(crate) fn input(cx: &Ctxt, input: &Input) {
    for field in &input.fields {
        skip(cx, field);
        policy(cx, field);
        roles(cx, field);
        timing(cx, field);
        field.attrs.rules.iter().for_each(|rule| bounds(cx, rule));
        if field.is_shared() {
            serde(cx, input, field);
            owned(cx, &field.ty);
        }
    }
    for param in input.generics.type_params() {
        let shared = || input.fields.iter().filter(|field| field.is_shared());
        if shared().next().is_some()
            && !shared().any(|field| mentions(&field.ty, &|ident| *ident == param.ident))
        {
            cx.error(
                &param.ident,
                format_args!(
                    "no shared field's type mentions `{}`: share a field of it (a `PhantomData` will do), or remove \
                     the parameter",
                    param.ident
                ),
            );
        }
    }
    ambiguous(cx, input);
    migration(cx, input);
    garde(cx, input);
    if !input.fields.iter().any(InputField::is_shared) {
        cx.error(
            &input.ident,
            format_args!(
                "`{}` has no field to share: give it a field, or remove `skip` from one that others should see",
                input.ident
            ),
        );
    }
}

/// Checks that a type owns its data and can be sent to another thread, as far as its spelling shows.
fn owned(cx: &Ctxt, ty: &Type) {
    let named = |ty: &Type| ty.to_token_stream().to_string().replace(' ', "");
    match ty {
        Type::Reference(reference) => {
            let instead = match &*reference.elem {
                Type::Slice(slice) => format!("Vec<{}>", named(&slice.elem)),
                elem if named(elem) == "str" => "String".to_owned(),
                elem => named(elem),
            };
            cx.error(
                ty,
                format_args!(
                    "a shared state owns its data, because a value that is received cannot be borrowed: write `{instead}`"
                ),
            );
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return };
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return };
            if last.ident == "Rc" {
                cx.error(
                    &last.ident,
                    "a shared state is sent between threads, and an `Rc` cannot be: write `Arc` (serde takes it with its \
                     feature `rc`)",
                );
            }
            for argument in &arguments.args {
                if let GenericArgument::Type(ty) = argument {
                    owned(cx, ty);
                }
            }
        }
        Type::Array(array) => owned(cx, &array.elem),
        Type::Group(group) => owned(cx, &group.elem),
        Type::Paren(paren) => owned(cx, &paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| owned(cx, ty)),
        _ => {}
    }
}

/// Checks that serde's derive can tell how to read a type parameter. It adds `T: Deserialize<'de>` itself, and a bound
/// that says the same for every lifetime makes the two ambiguous.
fn ambiguous(cx: &Ctxt, input: &Input) {
    if input.serde.bound {
        return;
    }
    let read = |param: &Ident| {
        input.fields.iter().any(|field| {
            field.is_shared()
                && field.serde.deserialize.is_none()
                && last_segment(&field.ty).is_some_and(|last| last != "PhantomData")
                && mentions(&field.ty, &|ident| ident == param)
        })
    };
    let says_so = |bound: &&TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| {
            ["Value", "DeserializeOwned", "Shareable", "SharedState"].iter().any(|name| last.ident == name)
        }),
        _ => false,
    };
    let inline = input
        .generics
        .type_params()
        .flat_map(|param| param.bounds.iter().filter(says_so).map(move |bound| (param.ident.clone(), bound)));
    let clause = input.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let in_clause = clause.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) => {
            let param = last_segment(&predicate.bounded_ty)?.clone();
            Some(predicate.bounds.iter().filter(says_so).map(move |bound| (param.clone(), bound)))
        }
        _ => None,
    });
    for (param, bound) in inline.chain(in_clause.flatten()) {
        if read(&param) {
            let name = bound.to_token_stream().to_string().replace(' ', "");
            cx.error(
                bound,
                format_args!(
                    "serde's derive adds `{param}: Deserialize<'de>`, and cannot choose between that and `{name}`: write \
                     `#[serde(bound = \"\")]` above the struct, or remove the bound if it is `Value`, which is added here"
                ),
            );
        }
    }
}

fn migration(cx: &Ctxt, input: &Input) {
    match (&input.attrs.version, &input.attrs.migrate) {
        (Some(version), None) if version.value > 1 => cx.error(
            &version.name,
            "a `version` above 1 says that older rooms do not fit without being migrated: add `migrate = path`, a \
             function `fn(u32, serde_json::Value) -> Result<serde_json::Value, E>`",
        ),
        (None, Some(migrate)) => cx.error(
            &migrate.name,
            "`migrate` has no effect without a `version`: add `version = 2`, and raise it with each change of the struct \
             that older rooms do not fit",
        ),
        (Some(version), Some(migrate)) if version.value == 1 => cx.error(
            &migrate.name,
            "there is nothing to migrate from before version 1: write `version = 2`, since a struct without a version \
             has version 1",
        ),
        _ => {}
    }
}

/// With `garde` on the struct, all rules have to come from garde.
fn garde(cx: &Ctxt, input: &Input) {
    if input.attrs.garde.is_none() {
        return;
    }
    if let Some(rule) = &input.attrs.rule {
        cx.error(
            &rule.name,
            "the rules of this struct are those of `garde`: put this one there, with `#[garde(custom(path))]` on a field, \
             or remove `garde`",
        );
    }
    for field in &input.fields {
        let rules = field.attrs.names.iter().find(|name| *name == "validate");
        if let Some(rules) = rules {
            cx.error(
                rules,
                format_args!(
                    "the rules of this struct are those of `garde`: write `#[garde(..)]` on `{}` instead, or remove \
                     `garde` from the struct",
                    field.ident
                ),
            );
        }
    }
}

fn skip(cx: &Ctxt, field: &InputField) {
    if let (Some(skip), None) = (&field.attrs.skip, &field.serde.skip) {
        cx.error(
            skip,
            format_args!(
                "serde still writes `{}` whenever the whole struct is written, so it would not stay here: add \
                 `#[serde(skip)]`",
                field.ident
            ),
        );
    }
    let other = field.attrs.names.iter().find(|name| *name != "skip");
    match (&field.attrs.skip, &field.serde.skip, other) {
        (Some(_), _, Some(other)) => cx.error(
            other,
            format_args!("`{other}` has no effect on a field that is not shared: remove `{other}`, or `skip`"),
        ),
        (None, Some(_), Some(other)) => cx.error(
            other,
            format_args!(
                "`{other}` has no effect on a field that is not shared, and `#[serde(skip)]` says it is not: remove \
                 one of the two"
            ),
        ),
        _ => {}
    }
}

fn policy(cx: &Ctxt, field: &InputField) {
    if let [first, second, ..] = field.attrs.policies.as_slice() {
        cx.error(
            &second.name,
            format_args!(
                "a field has one merge policy, and this one is `{}` already: keep one of `{}` and `{}`",
                first.name, first.name, second.name
            ),
        );
    }
    let nested = field.attrs.policies.iter().find(|given| matches!(given.value, PolicyExpr::Nested));
    if let (Some(nested), Err(what)) = (nested, Nest::new(&field.ty)) {
        cx.error(
            &nested.name,
            format_args!(
                "a `nested` field is a struct that derives `SharedState`, a `Box` or an `Option` of it, and `{}` is of type \
                 `{what}`: write {}, or remove `nested`, and the field is set as a whole",
                field.ident,
                match what.as_str() {
                    "Vec" => "`list(key = .., nested)` with the field that tells the items apart",
                    "BTreeMap" | "HashMap" => "`map(nested)`",
                    _ => "the struct",
                }
            ),
        );
    }
    if let (Some(nested), Some(Rule::Dive { name })) =
        (nested, field.attrs.rules.iter().find(|rule| matches!(rule, Rule::Dive { .. })))
    {
        cx.error(
            name,
            format_args!("the rules of a `{}` field's type are always checked: remove `dive`", nested.name),
        );
    }
    container(cx, field);
    keys(cx, field);
    let Some(counter) = field.attrs.policies.iter().find(|given| matches!(given.value, PolicyExpr::Counter))
    else {
        return;
    };
    if let Some(what) = not_a_number(&field.ty) {
        cx.error(
            &counter.name,
            format_args!(
                "a `counter` counts in integers or floats of up to 64 bits, and `{}` is {what}: use a type like \
                 `i64`, or remove `counter`",
                field.ident
            ),
        );
    }
}

/// Checks that a list, map, set or text is not on a type that is known to be another.
fn container(cx: &Ctxt, field: &InputField) {
    let Some(given) = field.attrs.policies.first() else { return };
    let (right, write): (&[&str], _) = match given.value {
        PolicyExpr::List(..) => (&["Vec", "List"], "`Vec` or `shared_state::List`"),
        PolicyExpr::Map(_) => (&["BTreeMap", "HashMap"], "`BTreeMap` or `HashMap`"),
        PolicyExpr::Text => (&[], "`shared_state::Text`"),
        PolicyExpr::Set => (&["BTreeSet", "HashSet"], "`BTreeSet` or `HashSet`"),
        PolicyExpr::Counter | PolicyExpr::Nested | PolicyExpr::Own(_) => return,
    };
    let Some(what) = std_name(&field.ty) else { return };
    if right.contains(&&*what) {
        return;
    }
    let instead = match &*what {
        "Vec" | "VecDeque" => ", or write `list(key = ..)` with the field that tells the items apart",
        "BTreeMap" | "HashMap" => ", or write `map`",
        "BTreeSet" | "HashSet" => ", or write `set`",
        _ => "",
    };
    cx.error(
        &given.name,
        format_args!(
            "a `{}` is a {write}, and `{}` is of type `{what}`: change the type{instead}",
            given.name, field.ident
        ),
    );
}

/// Checks that the keys of a map are not of a type that JSON is known not to take as one.
fn keys(cx: &Ctxt, field: &InputField) {
    let is_map = field.attrs.policies.iter().any(|given| matches!(given.value, PolicyExpr::Map(_)));
    let Some(key) = first_argument(&field.ty).filter(|_| is_map) else { return };
    let std = std_name(key);
    let what = match (key, std.as_deref()) {
        (Type::Tuple(_), _) => "a tuple",
        (Type::Array(_), _) => "an array",
        (_, Some("Vec" | "VecDeque" | "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet")) => "a collection",
        _ => return,
    };
    cx.error(
        key,
        format_args!(
            "a key of a `map` is written as a text, and this is {what}: use a string, a number, a bool, a char or an \
             enum whose variants have no data, or `String` with the parts of the key in it"
        ),
    );
}

/// `Option<Option<T>>`.
fn is_twice_optional(ty: &Type) -> bool {
    let is_option = |ty: &Type| std_name(ty).is_some_and(|name| name == "Option");
    is_option(ty) && first_argument(ty).is_some_and(is_option)
}

fn not_a_number(ty: &Type) -> Option<String> {
    match ty {
        Type::Tuple(_) => Some("a tuple".to_owned()),
        Type::Array(_) | Type::Slice(_) => Some("an array".to_owned()),
        Type::Reference(_) => Some("a reference".to_owned()),
        _ => {
            let last = last_segment(ty)?.to_string();
            let known = [
                "String",
                "bool",
                "char",
                "str",
                "Vec",
                "VecDeque",
                "Option",
                "Box",
                "HashMap",
                "BTreeMap",
                "HashSet",
                "BTreeSet",
                "i128",
                "u128",
                "Duration",
                "SystemTime",
            ];
            known.contains(&last.as_str()).then(|| format!("a `{last}`"))
        }
    }
}

fn roles(cx: &Ctxt, field: &InputField) {
    if let (Some(_), Some(write)) = (&field.attrs.read_only, &field.attrs.write) {
        cx.error(
            &write.name,
            "no client writes a `read_only` field, whatever its role: remove `write`, or `read_only`",
        );
    }
}

fn timing(cx: &Ctxt, field: &InputField) {
    let attrs = &field.attrs;
    let timed = attrs.debounce.as_ref().or(attrs.throttle.as_ref()).map(|given| &given.name);
    if let (Some(debounce), Some(throttle)) = (&attrs.debounce, &attrs.throttle) {
        cx.error(
            &throttle.name,
            format_args!(
                "`throttle` and `{}` exclude each other: keep `debounce` to wait for silence, or `throttle` to send at \
                 a steady pace",
                debounce.name
            ),
        );
    }
    if let (Some(_), Some(timed)) = (&attrs.read_only, timed) {
        cx.error(
            timed,
            format_args!(
                "a `read_only` field is never sent by a client, so there is nothing to {timed}: remove it"
            ),
        );
    }
    match (attrs.policies.first().map(|given| &given.value), &attrs.debounce, timed) {
        (Some(PolicyExpr::Counter), Some(debounce), _) => cx.error(
            &debounce.name,
            "additions to a `counter` are not folded into one another, so there is nothing to debounce: remove \
             `debounce`, or use `throttle`",
        ),
        (Some(PolicyExpr::Nested), _, Some(timed)) => cx.error(
            timed,
            format_args!(
                "the updates of a `nested` field are those of its inner fields: put `{timed}` on the inner field"
            ),
        ),
        _ => {}
    }
    match (&attrs.debounce, &attrs.max_wait) {
        (None, Some(max_wait)) => cx.error(
            &max_wait.name,
            "`max_wait` limits a `debounce`, and there is none: write `debounce = \"300ms\", max_wait = \"3s\"`",
        ),
        (Some(debounce), Some(max_wait)) if max_wait.value < debounce.value => cx.error(
            &max_wait.name,
            format_args!(
                "`max_wait` ({} ms) is shorter than `debounce` ({} ms), which would never be waited for: make it \
                 longer, or remove it for ten times the debounce",
                max_wait.value, debounce.value
            ),
        ),
        _ => {}
    }
}

fn bounds(cx: &Ctxt, rule: &Rule) {
    match rule {
        Rule::Length { min: Some(min), max: Some(max), .. }
        | Rule::Range { min: Some(min), max: Some(max), .. } => {
            if let (Some(low), Some(high)) = (number(min), number(max))
                && low > high
            {
                cx.error(
                    max,
                    format_args!(
                        "nothing is at least {} and at most {}: exchange `min` and `max`",
                        min.to_token_stream().to_string().replace(' ', ""),
                        max.to_token_stream().to_string().replace(' ', "")
                    ),
                );
            }
        }
        Rule::Pattern { pattern, .. } => {
            if let Err(error) = regex_lite::Regex::new(&pattern.value()) {
                cx.error(
                    pattern,
                    format_args!(
                        "the pattern does not compile: {error} (the syntax is that of the crate `regex-lite`; a \
                         literal `(`, `[` or `*` is written `\\(`, `\\[`, `\\*`)"
                    ),
                );
            }
        }
        Rule::Inner { rules, .. } => rules.iter().for_each(|rule| bounds(cx, rule)),
        Rule::Length { .. }
        | Rule::Range { .. }
        | Rule::Custom { .. }
        | Rule::Email { .. }
        | Rule::Url { .. }
        | Rule::Dive { .. } => {}
    }
}

/// The value of a bound that is a literal. Bounds beyond 2^53 are compared inexactly, which matters only if
/// they are that close.
fn number(bound: &Expr) -> Option<f64> {
    match bound {
        Expr::Group(group) => number(&group.expr),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => float.base10_parse().ok(),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => number(&unary.expr).map(|number| -number),
        _ => None,
    }
}

/// Checks that serde writes the field on its own in the same form as inside its struct.
fn serde(cx: &Ctxt, input: &Input, field: &InputField) {
    let InputField { ident, serde, .. } = field;
    for path in &serde.unsuitable {
        let name = &path.segments[0].ident;
        let reason = match name.to_string().as_str() {
            "flatten" => format!(
                "`#[serde(flatten)]` mixes the parts of `{ident}` with the fields beside it, and a shared field is \
                 addressed by its own name: remove it, and write `#[shared(nested)]` if its parts are to be written \
                 one by one"
            ),
            "borrow" => "a shared state owns its data and cannot borrow it from a message: remove \
                         `#[serde(borrow)]`, and use `String` for `&str`, `Vec<T>` for `&[T]`"
                .to_owned(),
            _ => format!(
                "with `#[serde({name})]` the field is in one direction only, and a shared field is written and read \
                 by everyone: write `#[serde(skip)]` if it is not to be shared, or remove it"
            ),
        };
        cx.error(path, reason);
    }
    let optional = std_name(&field.ty).is_some_and(|name| name == "Option") && serde.deserialize.is_none();
    if let (true, Some(attribute)) =
        (is_twice_optional(&field.ty), serde.skip_if.as_ref().or(serde.with.as_ref()))
    {
        cx.error(
            attribute,
            format_args!(
                "on its own, `{ident}` is written as `null` for both `None` and `Some(None)`, so one of the two could \
                 never be set: write an enum with a variant for each case, or an `Option` in place of the two"
            ),
        );
        return;
    }
    if let Some(skip_if) = &serde.skip_if
        && !(optional || serde.default || input.serde.default)
    {
        cx.error(
            skip_if,
            format_args!(
                "a state without `{ident}` could be written, and not be read: add `default`, as in \
                 `#[serde(default, skip_serializing_if = \"..\")]`"
            ),
        );
    }
    if let (Some(with), Some(policy)) = (&serde.with, field.attrs.policies.first()) {
        cx.error(
            with,
            format_args!(
                "`{}` decides how the operations on `{ident}` are written: remove `{}`, or `{}` for a field that is \
                 set as a whole",
                policy.name, with.segments[0].ident, policy.name
            ),
        );
    }
}

/// Checks the names of the fields against each other.
pub(crate) fn model(cx: &Ctxt, model: &Model) {
    let mut wires: BTreeMap<String, &Ident> = BTreeMap::new();
    let mut generated: BTreeMap<String, &Ident> = BTreeMap::new();
    for field in &model.fields {
        if let Some(rename) = &field.rename
            && rename.value() != field.wire
        {
            cx.error(
                rename,
                format_args!(
                    "serde writes this field as `{}` in the whole state, and one name has to serve both: write \
                     `#[serde(rename = \"{}\")]` instead",
                    field.wire,
                    rename.value()
                ),
            );
        }
        let named = [(field.wire.clone(), field.wire_at.clone())];
        let aliases = field.aliases.iter().map(|alias| (alias.value(), alias.to_token_stream()));
        for (wire, at) in named.into_iter().chain(aliases) {
            match wires.insert(wire.clone(), &field.ident) {
                // An alias that repeats the name of its own field is harmless, and serde accepts it.
                Some(other) if *other != field.ident => cx.error(
                    at,
                    format_args!(
                        "the field `{other}` has the name `{wire}` on the wire already: give one of the two another name with \
                         `#[serde(rename = \"..\")]`"
                    ),
                ),
                _ => {}
            }
        }
        let accessors = [
            Some((field.ident.unraw().to_string(), "the accessor")),
            Some((field.setter.to_string(), "the setter")),
            (field.policy == Policy::Counter).then(|| (field.adder.to_string(), "the adder")),
            (field.policy == Policy::Counter).then(|| (field.subtracter.to_string(), "the subtracter")),
            Some((format!("const {}", field.key), "the field key")),
            Some((format!("variant {}", field.variant), "the update's variant")),
        ];
        for (name, what) in accessors.into_iter().flatten() {
            if let Some(other) = generated.insert(name.clone(), &field.ident)
                && *other != field.ident
            {
                let name = name.rsplit(' ').next().unwrap_or_default();
                cx.error(
                    &field.ident,
                    format_args!(
                        "`{name}`, {what} generated for `{}`, is generated for `{other}` too: rename one of the two \
                         fields (`#[serde(rename = \"..\")]` keeps its name on the wire)",
                        field.ident
                    ),
                );
            }
        }
    }
}
