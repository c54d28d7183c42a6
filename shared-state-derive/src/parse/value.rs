//! The values of attributes: durations, names, paths, bounds.

use std::fmt::Display;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token, WherePredicate, token};

/// Reads `= value`. `example` is what the error says to write.
pub(super) fn expr(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Expr> {
    if meta.input.peek(Token![=]) {
        return meta.value()?.parse().map(ungrouped);
    }
    let found = if meta.input.peek(token::Paren) { "found parentheses" } else { "found none" };
    skip(meta.input)?;
    Err(meta.error(format_args!("expected a value, {found}: write `{example}`")))
}

/// The expression without the invisible group around a fragment that a macro has passed on, such as
/// `$wait:literal`.
pub(super) fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        expr => expr,
    }
}

/// Reads the list in the parentheses after an attribute's name. `example` is what the error says to write if an item
/// does not begin with a name.
pub(super) fn list(
    meta: &ParseNestedMeta<'_>,
    example: &str,
    item: impl FnMut(ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    match nameless(meta.input.fork().parse::<Group>()?.stream()) {
        None => meta.parse_nested_meta(item),
        Some(found) => {
            skip(meta.input)?;
            Err(Error::new_spanned(found, format_args!("expected a name, found a value: write `{example}`")))
        }
    }
}

/// The first item of a list that does not begin with a name.
pub(super) fn nameless(list: TokenStream) -> Option<TokenTree> {
    let mut begins = true;
    list.into_iter().find(|tree| {
        let is_value = match tree {
            TokenTree::Literal(_) => true,
            TokenTree::Punct(punct) => !matches!(punct.as_char(), ',' | ':'),
            // A fragment that a macro has passed on is a group without delimiters.
            TokenTree::Group(group) => group.delimiter() != Delimiter::None,
            TokenTree::Ident(_) => false,
        };
        let is_first =
            std::mem::replace(&mut begins, matches!(tree, TokenTree::Punct(comma) if comma.as_char() == ','));
        is_first && is_value
    })
}

/// Skips whatever follows an attribute's name.
pub(super) fn skip(input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        input.parse::<Expr>()?;
    } else if input.peek(token::Paren) {
        input.parse::<Group>()?;
    }
    Ok(())
}

/// Checks that nothing follows an attribute's name.
pub(super) fn flag(meta: &ParseNestedMeta<'_>, name: &impl Display) -> Result<()> {
    if meta.input.peek(Token![=]) || meta.input.peek(token::Paren) {
        skip(meta.input)?;
        return Err(meta.error(format_args!("`{name}` takes no value: write `{name}` alone")));
    }
    Ok(())
}

/// Reads a string in quotes.
pub(super) fn text(meta: &ParseNestedMeta<'_>, example: &str) -> Result<LitStr> {
    match expr(meta, example)? {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(Error::new_spanned(other, format_args!("expected a text in quotes: write `{example}`"))),
    }
}

/// Reads a path to a function or crate, without quotes.
pub(super) fn path(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Path> {
    path_in(expr(meta, example)?, example)
}

/// The path that an expression is.
pub(super) fn path_in(expr: Expr, example: &str) -> Result<Path> {
    match expr {
        Expr::Path(path) if path.qself.is_none() && path.attrs.is_empty() => Ok(path.path),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Err(Error::new_spanned(
            &text,
            format_args!("expected a path, found a text: write it without quotes, as in `{example}`"),
        )),
        other => Err(Error::new_spanned(other, format_args!("expected a path: write `{example}`"))),
    }
}

/// Reads a name for a generated type.
pub(super) fn type_name(meta: &ParseNestedMeta<'_>, example: &str) -> Result<Ident> {
    let path = path(meta, example)?;
    let refuse =
        || Error::new_spanned(&path, format_args!("expected the name of the new type: write `{example}`"));
    path.get_ident().cloned().ok_or_else(refuse)
}

/// Reads bounds in quotes, as serde's `bound`.
pub(super) fn bounds(meta: &ParseNestedMeta<'_>) -> Result<Vec<WherePredicate>> {
    let example = "bound = \"T: shared_state::merge::Value\"";
    let text = text(meta, example)?;
    let predicates = syn::punctuated::Punctuated::<WherePredicate, Token![,]>::parse_terminated;
    let parsed = text.parse_with(predicates);
    let refuse = |_| {
        Error::new_spanned(&text, format_args!("expected the bounds of a where clause: write `{example}`"))
    };
    Ok(parsed.map_err(refuse)?.into_iter().collect())
}

/// Reads the number of a struct's version.
pub(super) fn version(meta: &ParseNestedMeta<'_>) -> Result<u32> {
    let found = expr(meta, "version = 2")?;
    let refuse = |found: &Expr| {
        Error::new_spanned(
            found,
            "a version is a whole number from 1, raised when what was stored before does not fit: write `version = 2`",
        )
    };
    match &found {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => match number.base10_parse::<u32>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(refuse(&found)),
        },
        _ => Err(refuse(&found)),
    }
}

/// Reads a path, which may be the keyword `crate` alone. That is not an expression.
pub(super) fn crate_path(meta: &ParseNestedMeta<'_>) -> Result<Path> {
    let example = "crate = my_reexports::shared_state";
    if meta.input.peek(Token![=]) && !meta.input.peek2(syn::Lit) {
        return Path::parse_mod_style(meta.value()?);
    }
    path(meta, example)
}

/// Reads a duration, a whole number with its unit (`"300ms"`, `"3s"`, `"1m"`), in milliseconds.
pub(super) fn duration(meta: &ParseNestedMeta<'_>, name: &str, example: &str) -> Result<u64> {
    let example = format!("{name} = \"{example}\"");
    let text = text(meta, &example)?;
    let value = text.value();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let refuse = |message: String| Err(Error::new_spanned(&text, message));
    if number.is_empty() {
        return refuse(format!("expected a whole number and a unit, found `{value}`: write `{example}`"));
    }
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        fraction if fraction.starts_with(['.', ',']) => {
            return refuse(format!(
                "expected a whole number, found `{value}`: use a smaller unit, as in `{example}`"
            ));
        }
        "" => {
            return refuse(format!(
                "`{value}` has no unit: write \"{value}ms\", \"{value}s\" or \"{value}m\""
            ));
        }
        unit => {
            return refuse(format!(
                "unknown unit `{unit}`: expected `ms` (milliseconds), `s` (seconds) or `m` (minutes), as in \
                 `{example}`"
            ));
        }
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(0) => refuse(format!("a `{name}` of zero does nothing: remove it, or write `{example}`")),
        Some(ms) if ms <= 86_400_000 => Ok(ms),
        _ => refuse(format!("`{value}` is longer than a day, the longest `{name}`: write `{example}`")),
    }
}

/// The known name that `name` is most likely a misspelling of.
pub(super) fn nearest<'a>(name: &Ident, known: &[&'a str]) -> Option<&'a str> {
    let found = name.to_string().to_lowercase().replace('-', "_");
    let distances = known.iter().map(|known| (strsim::damerau_levenshtein(&found, known), *known));
    distances.min().filter(|(distance, known)| *distance <= 1 + known.len() / 4).map(|(_, known)| known)
}

pub(super) fn unknown(name: &Ident, what: &str, known: &[&str]) -> Error {
    let found = name.to_string();
    let list = known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
    let message = match nearest(name, known) {
        Some(known) => format!("unknown {what} `{found}`: did you mean `{known}`? (known: {list})"),
        None => format!("unknown {what} `{found}`: expected one of {list}"),
    };
    Error::new_spanned(name, message)
}
