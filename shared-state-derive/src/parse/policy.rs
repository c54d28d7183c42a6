//! The grammar of merge policies: `counter`, `nested`, `set`, `map`, `map(counter)`, `list(key = id,
//! nested)`.

use syn::meta::ParseNestedMeta;
use syn::{Error, Expr, ExprLit, Ident, Lit, Result, Token, Type, token};

use super::value;

/// The attributes that are policies of a field. Inside `list(..)` and `map(..)` they are policies of the
/// entries.
pub(super) const POLICIES: [&str; 7] = ["counter", "nested", "list", "map", "set", "text", "merge"];

/// A merge policy as the user wrote it.
pub(crate) enum PolicyExpr {
    Counter,
    Nested,
    Set,
    Text,
    /// The entries' own policy, if it is given.
    Map(Option<Box<PolicyExpr>>),
    /// The field of an item that is its key, and the items' own policy if it is given.
    List(Ident, Option<Box<PolicyExpr>>),
    /// A type of the user's.
    Own(Box<Type>),
}

impl PolicyExpr {
    /// Reads the rest of an attribute whose name, one of [`POLICIES`], was read already.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>, name: &Ident) -> Result<Self> {
        Ok(match name.to_string().as_str() {
            "counter" => {
                value::flag(meta, name)?;
                Self::Counter
            }
            "nested" => {
                value::flag(meta, name)?;
                Self::Nested
            }
            "set" => {
                value::flag(meta, name)?;
                Self::Set
            }
            "text" => {
                value::flag(meta, name)?;
                Self::Text
            }
            "map" => Self::map(meta)?,
            "list" => Self::list(meta)?,
            _ => {
                if !meta.input.peek(Token![=]) || meta.input.peek2(syn::Lit) {
                    value::path(meta, "merge = MyPolicy")?;
                }
                Self::Own(Box::new(meta.value()?.parse()?))
            }
        })
    }

    fn map(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let mut entries = None;
        if meta.input.peek(Token![=]) {
            value::skip(meta.input)?;
            return Err(meta.error(
                "`map` takes no value: write `map`, or `map(counter)` for a policy of the entries' own",
            ));
        }
        if meta.input.peek(token::Paren) {
            value::list(meta, "map(counter)", |meta| entry(&meta, &mut entries, &[]).map(drop))?;
        }
        Ok(Self::Map(entries))
    }

    fn list(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        const MISSING: &str =
            "a `list` needs the field of an item that tells it from the others: write `list(key = id)`";
        let empty = meta.input.peek(token::Paren)
            && meta.input.fork().parse::<proc_macro2::Group>()?.stream().is_empty();
        if empty || !meta.input.peek(token::Paren) {
            value::skip(meta.input)?;
            return Err(meta.error(MISSING));
        }
        let (mut key, mut items) = (None::<Ident>, None);
        value::list(meta, "list(key = id)", |meta| {
            let is_alone = meta.input.is_empty() || meta.input.peek(Token![,]);
            if let Some(name) = meta.path.get_ident().filter(|name| {
                key.is_none() && is_alone && *name != "key" && value::nearest(name, &POLICIES).is_none()
            }) {
                return Err(Error::new_spanned(
                    name,
                    format_args!(
                        "expected the key of the items, or their policy: if `{name}` is the field that tells an item from \
                         the others, write `list(key = {name})`"
                    ),
                ));
            }
            if !entry(&meta, &mut items, &["key"])? {
                let field = match value::expr(&meta, "key = id")? {
                    Expr::Lit(ExprLit { lit: Lit::Int(index), .. }) => {
                        return Err(Error::new_spanned(
                            index,
                            "the key of an item is a field with a name, which a tuple has not: make the item a struct \
                             with named fields, and write `key = id`",
                        ));
                    }
                    other => value::path_in(other, "key = id")?,
                };
                let field = field.get_ident().cloned().ok_or_else(|| {
                    Error::new_spanned(&field, "expected the name of a field of the item: write `key = id`")
                })?;
                if key.replace(field).is_some() {
                    return Err(meta.error("`key` is given twice: remove one of the two"));
                }
            }
            Ok(())
        })?;
        match key {
            Some(key) => Ok(Self::List(key, items)),
            None => Err(meta.error(MISSING)),
        }
    }
}

/// Reads an item of `list(..)` or `map(..)` as a policy. Returns false if the item is one of `others`, which
/// is then still to be read.
fn entry(meta: &ParseNestedMeta<'_>, found: &mut Option<Box<PolicyExpr>>, others: &[&str]) -> Result<bool> {
    let name = meta.path.get_ident().cloned();
    let Some(name) = name else {
        return Err(Error::new_spanned(&meta.path, "expected a single name here, found a path"));
    };
    if others.iter().any(|other| name == other) {
        return Ok(false);
    }
    if !POLICIES.iter().any(|policy| name == policy) {
        value::skip(meta.input)?;
        let known: Vec<_> = others.iter().chain(&POLICIES).copied().collect();
        return Err(value::unknown(&name, "word here", &known));
    }
    let policy = PolicyExpr::parse(meta, &name)?;
    if found.replace(Box::new(policy)).is_some() {
        return Err(Error::new_spanned(
            &name,
            format_args!("the entries have a policy already: keep it, or `{name}`"),
        ));
    }
    Ok(true)
}
