//! The grammar of `#[shared(..)]`.

use quote::ToTokens as _;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, ExprPath, Ident, LitStr, Path, Result, Token, WherePredicate, token};

use super::policy::{POLICIES, PolicyExpr};
use super::rule::Rule;
use super::value;
use crate::ctxt::Ctxt;

const ON_FIELD: [&str; 17] = [
    "counter",
    "nested",
    "list",
    "map",
    "set",
    "text",
    "merge",
    "skip",
    "read_only",
    "read",
    "write",
    "debounce",
    "max_wait",
    "throttle",
    "validate",
    "rename",
    "bound",
];
const ON_STRUCT: [&str; 10] = [
    "validate",
    "validate_change",
    "garde",
    "version",
    "migrate",
    "bound",
    "handle",
    "patch",
    "update",
    "crate",
];
const RULES: [&str; 8] = ["length", "range", "pattern", "email", "url", "custom", "inner", "dive"];
const UNITS: [&str; 3] = ["chars", "bytes", "items"];
const SERDES: [&str; 2] = ["alias", "default"];

/// A value, and the name of the attribute that it was given to.
pub(crate) struct Given<T> {
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// `#[shared(..)]` on the struct.
#[derive(Default)]
pub(crate) struct StructAttrs {
    pub(crate) rule: Option<Given<Path>>,
    /// The attribute `garde`, if the rules are garde's.
    pub(crate) garde: Option<Ident>,
    pub(crate) change_rule: Option<Path>,
    pub(crate) version: Option<Given<u32>>,
    pub(crate) migrate: Option<Given<Path>>,
    /// The bounds of the implementations, if they are given.
    pub(crate) bound: Option<Vec<WherePredicate>>,
    /// The names of the generated types, where they are given.
    pub(crate) handle: Option<Ident>,
    pub(crate) patch: Option<Ident>,
    pub(crate) update: Option<Ident>,
    pub(crate) krate: Option<Path>,
}

/// `#[shared(..)]` on a field.
#[derive(Default)]
pub(crate) struct FieldAttrs {
    /// The names of all attributes, in order.
    pub(crate) names: Vec<Ident>,
    pub(crate) policies: Vec<Given<PolicyExpr>>,
    pub(crate) skip: Option<Ident>,
    pub(crate) read_only: Option<Ident>,
    /// The role that is needed to read the field.
    pub(crate) read: Option<Given<LitStr>>,
    /// The role that is needed to write the field.
    pub(crate) write: Option<Given<LitStr>>,
    pub(crate) debounce: Option<Given<u64>>,
    pub(crate) max_wait: Option<Given<u64>>,
    pub(crate) throttle: Option<Given<u64>>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) rename: Option<LitStr>,
    /// The bounds that the field needs, if they are given.
    pub(crate) bound: Option<Vec<WherePredicate>>,
}

pub(super) fn container(cx: &Ctxt, attrs: &[Attribute]) -> StructAttrs {
    let mut found = StructAttrs::default();
    let mut seen = Vec::new();
    each(cx, attrs, &mut seen, |meta, name| {
        match name.to_string().as_str() {
            "validate" if meta.input.peek(token::Paren) => {
                value::skip(meta.input)?;
                return Err(meta.error(
                    "on a struct `validate` names a function over the whole state: write `validate = Self::check`, \
                     and put `validate(..)` on a field",
                ));
            }
            "validate" => {
                let path = value::path(meta, "validate = Self::check")?;
                found.rule = Some(Given { name: name.clone(), value: path });
            }
            "garde" => {
                found.garde = Some(name.clone());
                value::flag(meta, name)?;
            }
            "validate_change" => {
                found.change_rule = Some(value::path(meta, "validate_change = Self::check_change")?);
            }
            "version" => {
                found.version = Some(Given { name: name.clone(), value: value::version(meta)? });
            }
            "migrate" => {
                let path = value::path(meta, "migrate = Self::migrated")?;
                found.migrate = Some(Given { name: name.clone(), value: path });
            }
            "bound" => found.bound = Some(value::bounds(meta)?),
            "handle" => found.handle = Some(value::type_name(meta, "handle = LiveDocument")?),
            "patch" => found.patch = Some(value::type_name(meta, "patch = DocumentChanges")?),
            "update" => found.update = Some(value::type_name(meta, "update = DocumentOp")?),
            "crate" => found.krate = Some(value::crate_path(meta)?),
            other => {
                value::skip(meta.input)?;
                return Err(if ON_FIELD.contains(&other) {
                    Error::new_spanned(
                        name,
                        format_args!("`{other}` belongs on a field: move it to the field it is meant for"),
                    )
                } else {
                    value::unknown(name, "attribute on a struct", &ON_STRUCT)
                });
            }
        }
        Ok(())
    });
    found
}

pub(super) fn field(cx: &Ctxt, attrs: &[Attribute]) -> FieldAttrs {
    let mut found = FieldAttrs::default();
    let mut names = Vec::new();
    each(cx, attrs, &mut names, |meta, name| one(cx, &mut found, meta, name));
    found.names = names;
    found
}

fn one(cx: &Ctxt, found: &mut FieldAttrs, meta: &ParseNestedMeta<'_>, name: &Ident) -> Result<()> {
    let given = |value| Some(Given { name: name.clone(), value });
    match name.to_string().as_str() {
        policy if POLICIES.contains(&policy) => {
            let value = PolicyExpr::parse(meta, name)?;
            found.policies.push(Given { name: name.clone(), value });
        }
        "skip" => {
            found.skip = Some(name.clone());
            value::flag(meta, name)?;
        }
        "read_only" => {
            found.read_only = Some(name.clone());
            value::flag(meta, name)?;
        }
        "read" => found.read = role(meta, name)?,
        "write" => found.write = role(meta, name)?,
        "debounce" => found.debounce = given(value::duration(meta, "debounce", "300ms")?),
        "max_wait" => found.max_wait = given(value::duration(meta, "max_wait", "3s")?),
        "throttle" => found.throttle = given(value::duration(meta, "throttle", "50ms")?),
        "rename" => found.rename = Some(value::text(meta, &format!("{name} = \"name\""))?),
        "bound" => found.bound = Some(value::bounds(meta)?),
        "validate" if meta.input.peek(token::Paren) => {
            let mut seen = Vec::new();
            value::list(meta, "validate(length(max = 200))", |meta| {
                list_item(cx, &meta, &mut seen, |meta, name| {
                    found.rules.push(rule(cx, meta, name)?);
                    Ok(())
                })
            })?;
        }
        "validate" => {
            value::skip(meta.input)?;
            return Err(meta.error(
                "on a field `validate` lists rules: write `validate(custom = path)`, or `validate(length(max = 200))`",
            ));
        }
        other => {
            value::skip(meta.input)?;
            return Err(if SERDES.contains(&other) {
                Error::new_spanned(
                    name,
                    format_args!(
                        "`{other}` is serde's, and is read from there: write `#[serde({other}{})]` instead",
                        if other == "alias" { " = \"..\"" } else { "" }
                    ),
                )
            } else if ["validate_change", "garde", "crate", "version", "migrate", "handle", "patch", "update"]
                .contains(&other)
            {
                Error::new_spanned(
                    name,
                    format_args!("`{other}` belongs on the struct: move it above `struct`"),
                )
            } else {
                value::unknown(name, "attribute", &ON_FIELD)
            });
        }
    }
    Ok(())
}

/// Reads `= "role"`.
fn role(meta: &ParseNestedMeta<'_>, name: &Ident) -> Result<Option<Given<LitStr>>> {
    let value = value::text(meta, &format!("{name} = \"editor\""))?;
    if value.value().trim().is_empty() {
        let message = format_args!("a role has a name: write `{name} = \"editor\"`");
        return Err(Error::new_spanned(value, message));
    }
    Ok(Some(Given { name: name.clone(), value }))
}

fn rule(cx: &Ctxt, meta: &ParseNestedMeta<'_>, name: &Ident) -> Result<Rule> {
    match name.to_string().as_str() {
        "length" => {
            let (unit, min, max) = bounds(cx, meta, name, &UNITS, "length(min = 1, max = 200)")?;
            Ok(Rule::Length { name: name.clone(), unit, min, max })
        }
        "range" => {
            let (_, min, max) = bounds(cx, meta, name, &[], "range(min = 12, max = 24)")?;
            Ok(Rule::Range { name: name.clone(), min, max })
        }
        "pattern" => {
            let example = "pattern(\"^[a-z]+$\")";
            if !meta.input.peek(token::Paren) {
                value::skip(meta.input)?;
                return Err(meta.error(format_args!("expected a pattern in parentheses: write `{example}`")));
            }
            let content;
            syn::parenthesized!(content in meta.input);
            let pattern = content.parse::<LitStr>().map_err(|error| {
                Error::new(error.span(), format_args!("expected a pattern in quotes: write `{example}`"))
            })?;
            if !content.is_empty() {
                let too_much = content.error(format_args!("expected one pattern only: write `{example}`"));
                content.parse::<proc_macro2::TokenStream>()?;
                return Err(too_much);
            }
            Ok(Rule::Pattern { name: name.clone(), pattern })
        }
        "custom" => Ok(Rule::Custom { path: value::path(meta, "custom = check_title")? }),
        "inner" => {
            let example = "inner(length(max = 20))";
            let none = meta.input.peek(token::Paren)
                && meta.input.fork().parse::<proc_macro2::Group>()?.stream().is_empty();
            if none || !meta.input.peek(token::Paren) {
                value::skip(meta.input)?;
                return Err(meta.error(format_args!("`inner` lists rules for each item: write `{example}`")));
            }
            let (mut rules, mut seen) = (Vec::new(), Vec::new());
            value::list(meta, example, |meta| {
                list_item(cx, &meta, &mut seen, |meta, name| {
                    rules.push(rule(cx, meta, name)?);
                    Ok(())
                })
            })?;
            Ok(Rule::Inner { name: name.clone(), rules })
        }
        "email" => value::flag(meta, name).map(|()| Rule::Email { name: name.clone() }),
        "url" => value::flag(meta, name).map(|()| Rule::Url { name: name.clone() }),
        "dive" => value::flag(meta, name).map(|()| Rule::Dive { name: name.clone() }),
        _ => {
            value::skip(meta.input)?;
            Err(value::unknown(name, "rule", &RULES))
        }
    }
}

/// The unit, the lower and the upper bound.
type Bounds = (Option<Ident>, Option<Expr>, Option<Expr>);

/// Reads `(unit, min = .., max = ..)`, with at least one bound.
fn bounds(
    cx: &Ctxt,
    meta: &ParseNestedMeta<'_>,
    rule: &Ident,
    units: &[&str],
    example: &str,
) -> Result<Bounds> {
    if !meta.input.peek(token::Paren) {
        value::skip(meta.input)?;
        return Err(meta.error(format_args!("`{rule}` needs its bounds: write `{example}`")));
    }
    let (mut unit, mut min, mut max) = (None, None, None);
    let mut seen = Vec::new();
    if meta.input.fork().parse::<proc_macro2::Group>()?.stream().is_empty() {
        value::skip(meta.input)?;
        return Err(meta.error(format_args!("`{rule}` has neither `min` nor `max`: write `{example}`")));
    }
    if let Some(error) = unnamed_bounds(meta, rule, example) {
        value::skip(meta.input)?;
        return Err(error);
    }
    value::list(meta, example, |meta| {
        list_item(cx, &meta, &mut seen, |meta, name| {
            match name.to_string().as_str() {
                "min" => min = Some(value::expr(meta, "min = 1")?),
                "max" => max = Some(value::expr(meta, "max = 200")?),
                found if units.contains(&found) => {
                    value::flag(meta, name)?;
                    if let Some(first) = unit.replace(name.clone()) {
                        return Err(Error::new_spanned(
                            name,
                            format_args!("the length is counted in `{first}` already: keep one of the two"),
                        ));
                    }
                }
                _ => {
                    value::skip(meta.input)?;
                    let known: Vec<_> = ["min", "max"].iter().chain(units).copied().collect();
                    return Err(value::unknown(name, "bound", &known));
                }
            }
            Ok(())
        })
    })?;
    if min.is_none() && max.is_none() && unit.is_some() {
        return Err(meta.error(format_args!("`{rule}` has neither `min` nor `max`: write `{example}`")));
    }
    Ok((unit, min, max))
}

/// The error for bounds without their names, as in `length(1, 3)`. It says what to write with the same bounds.
fn unnamed_bounds(meta: &ParseNestedMeta<'_>, rule: &Ident, example: &str) -> Option<Error> {
    let list = meta.input.fork().parse::<proc_macro2::Group>().ok()?.stream();
    let items = Punctuated::<Expr, Token![,]>::parse_terminated.parse2(list).ok()?;
    let is_bound = |name: &Expr| matches!(name, Expr::Path(name) if name.path.is_ident("min") || name.path.is_ident("max"));
    // A unit, or a name without its value. The name of a constant begins with a capital.
    let is_word = |path: &ExprPath| {
        path.path.get_ident().is_some_and(|name| !name.to_string().starts_with(char::is_uppercase))
    };
    let spelled = |expr: &Expr| expr.to_token_stream().to_string().replace("- ", "-").replace(" :: ", "::");
    let (mut named, mut unnamed) = (Vec::new(), Vec::new());
    for item in &items {
        match item {
            Expr::Assign(item) => named.push((spelled(&item.left), spelled(&item.right))),
            Expr::Call(item) if is_bound(&item.func) => return None,
            Expr::Path(path) if is_word(path) => named.push((spelled(item), String::new())),
            _ => unnamed.push(item),
        }
    }
    if unnamed.is_empty() {
        return None;
    }
    let mut free = ["min", "max"].into_iter().filter(|bound| !named.iter().any(|(name, _)| name == bound));
    let bounds: Option<Vec<_>> = match &unnamed[..] {
        [Expr::Range(_), ..] | [_, Expr::Range(_), ..] => None,
        [bound] => free.next_back().map(|name| vec![(name.to_owned(), spelled(bound))]),
        bounds => bounds.iter().map(|bound| Some((free.next()?.to_owned(), spelled(bound)))).collect(),
    };
    let instead = bounds.map(|bounds| {
        let mut all: Vec<_> = named.into_iter().chain(bounds).collect();
        all.sort_by_key(|(name, _)| ["min", "max"].iter().position(|bound| name == bound));
        let all = all
            .into_iter()
            .map(|(name, value)| if value.is_empty() { name } else { format!("{name} = {value}") });
        format!("{rule}({})", all.collect::<Vec<_>>().join(", "))
    });
    let instead = instead.unwrap_or_else(|| example.to_owned());
    Some(Error::new_spanned(&items, format_args!("the bounds of a `{rule}` have names: write `{instead}`")))
}

fn each(
    cx: &Ctxt,
    attrs: &[Attribute],
    seen: &mut Vec<Ident>,
    mut logic: impl FnMut(&ParseNestedMeta<'_>, &Ident) -> Result<()>,
) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("shared")) {
        if let Some(value) =
            attr.meta.require_list().ok().and_then(|list| value::nameless(list.tokens.clone()))
        {
            cx.error(
                value,
                "expected the name of an attribute, found a value: write `#[shared(name = value)]`",
            );
            continue;
        }
        let outcome = attr.parse_nested_meta(|meta| list_item(cx, &meta, seen, &mut logic));
        if let Err(error) = outcome {
            cx.push(error);
        }
    }
}

/// Reads one item of a list. An error in it is reported, and the list continues.
fn list_item(
    cx: &Ctxt,
    meta: &ParseNestedMeta<'_>,
    seen: &mut Vec<Ident>,
    logic: impl FnOnce(&ParseNestedMeta<'_>, &Ident) -> Result<()>,
) -> Result<()> {
    let Some(name) = meta.path.get_ident() else {
        cx.error(&meta.path, "expected a single name here, found a path");
        return value::skip(meta.input);
    };
    if seen.contains(name) {
        cx.error(name, format_args!("`{name}` is given twice: remove one of the two"));
        return value::skip(meta.input);
    }
    seen.push(name.clone());
    if let Err(error) = logic(meta, name) {
        cx.push(error);
        // Skip the rest of the item that could not be read.
        while !meta.input.is_empty() && !meta.input.peek(Token![,]) {
            meta.input.parse::<proc_macro2::TokenTree>()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first name in the first cell of each row of the table under `heading`.
    fn listed(heading: &str) -> Vec<String> {
        let page = include_str!("../derive.md");
        let section = page.split_once(heading).expect("the page has the heading").1;
        let section = section.split("\n# ").next().unwrap_or_default();
        let cells = section.lines().filter_map(|line| line.strip_prefix("| `"));
        cells.map(|cell| cell.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
    }

    #[test]
    fn the_documentation_lists_every_attribute_and_no_other() {
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            names
        };
        let owned = |names: &[&str]| sorted(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(sorted(listed("# Attributes on a field")), owned(&ON_FIELD));
        assert_eq!(sorted(listed("# Attributes on the struct")), owned(&ON_STRUCT));
        assert_eq!(sorted(listed("# Rules")), owned(&RULES));
    }
}
