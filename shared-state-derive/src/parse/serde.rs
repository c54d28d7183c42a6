//! What serde's own attributes say: the wire name of a field is the name serde gives it.
//!
//! Reads only what changes names or leaves fields out. Serde reports its own syntax errors, so what cannot be
//! read is passed over here; what would make one field travel in two forms is refused.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Result, Token, token};

use super::value;
use crate::ctxt::Ctxt;

/// On a field: attributes under which a field cannot travel on its own.
const UNSUITABLE: [&str; 4] = ["flatten", "borrow", "skip_serializing", "skip_deserializing"];

/// `#[serde(..)]` on the struct.
#[derive(Default)]
pub(crate) struct SerdeStruct {
    /// `rename_all = "camelCase"`: the rule's name.
    pub(crate) rename_all: Option<String>,
    /// `default`: what is absent is taken from the struct's default.
    pub(crate) default: bool,
}

/// `#[serde(..)]` on a field.
#[derive(Default)]
pub(crate) struct SerdeField {
    pub(crate) rename: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    /// The attribute that leaves the field out.
    pub(crate) skip: Option<syn::Path>,
    /// `default`: an absent field is read.
    pub(crate) default: bool,
    /// `skip_serializing_if`: the field is sometimes absent.
    pub(crate) skip_if: Option<syn::Path>,
    /// The function that writes the value, of `serialize_with` or `with`.
    pub(crate) serialize: Option<ExprPath>,
    /// The function that reads the value, of `deserialize_with` or `with`.
    pub(crate) deserialize: Option<ExprPath>,
    /// The attribute that named one of the two.
    pub(crate) with: Option<syn::Path>,
    /// Attributes under which the field alone and the field within its struct would be written differently.
    pub(crate) unsuitable: Vec<syn::Path>,
}

pub(super) fn container(cx: &Ctxt, attrs: &[Attribute]) -> SerdeStruct {
    let mut found = SerdeStruct::default();
    each(attrs, |meta| {
        if meta.path.is_ident("rename_all") {
            found.rename_all = name(cx, meta)?.map(|rule| rule.value());
        } else if ["transparent", "tag", "into", "from", "try_from", "remote"]
            .iter()
            .any(|unsuitable| meta.path.is_ident(unsuitable))
        {
            let name = &meta.path.segments[0].ident;
            cx.error(
                &meta.path,
                format_args!(
                    "`#[serde({name})]` writes the struct in another form than its fields, which are shared one by \
                     one: remove it, and put it on the type of a field if you need it there"
                ),
            );
            value::skip(meta.input)?;
        } else {
            found.default |= meta.path.is_ident("default");
            value::skip(meta.input)?;
        }
        Ok(())
    });
    found
}

pub(super) fn field(cx: &Ctxt, attrs: &[Attribute]) -> SerdeField {
    let mut found = SerdeField::default();
    each(attrs, |meta| {
        let is = |name: &str| meta.path.is_ident(name);
        if is("rename") {
            found.rename = name(cx, meta)?;
        } else if is("alias") {
            found.aliases.extend(name(cx, meta)?);
        } else if is("with") {
            found.with = Some(meta.path.clone());
            if let Some(module) = function(meta)? {
                found.serialize = Some(inside(&module, "serialize"));
                found.deserialize = Some(inside(&module, "deserialize"));
            }
        } else if is("serialize_with") {
            found.with = Some(meta.path.clone());
            found.serialize = function(meta)?;
        } else if is("deserialize_with") {
            found.with = Some(meta.path.clone());
            found.deserialize = function(meta)?;
        } else {
            if is("skip") {
                found.skip = Some(meta.path.clone());
            } else if is("default") {
                found.default = true;
            } else if is("skip_serializing_if") {
                found.skip_if = Some(meta.path.clone());
            } else if UNSUITABLE.iter().any(|name| is(name)) {
                found.unsuitable.push(meta.path.clone());
            }
            value::skip(meta.input)?;
        }
        Ok(())
    });
    found
}

fn each(attrs: &[Attribute], mut logic: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>) {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // Serde's derive reports what it cannot read, in its own words.
        let _ = attr.parse_nested_meta(|meta| logic(&meta));
    }
}

/// `= "name"`, or `(serialize = "name", deserialize = "name")` if both are the same.
fn name(cx: &Ctxt, meta: &ParseNestedMeta<'_>) -> Result<Option<LitStr>> {
    if meta.input.peek(Token![=]) {
        return Ok(literal(meta.value()?.parse()?));
    }
    if !meta.input.peek(token::Paren) {
        return Ok(None);
    }
    let mut names = Vec::new();
    meta.parse_nested_meta(|side| {
        names.extend(literal(side.value()?.parse()?));
        Ok(())
    })?;
    match names.as_slice() {
        [serialize, deserialize] if serialize.value() == deserialize.value() => Ok(names.pop()),
        _ => {
            cx.push(meta.error(
                "a shared field has one name on the wire: write the same name for `serialize` and `deserialize`, \
                 and other names to be read as `alias`",
            ));
            Ok(None)
        }
    }
}

/// `= "path"`; a path that does not parse is serde's to report.
fn function(meta: &ParseNestedMeta<'_>) -> Result<Option<ExprPath>> {
    Ok(literal(meta.value()?.parse()?).and_then(|path| path.parse().ok()))
}

fn inside(module: &ExprPath, name: &str) -> ExprPath {
    let mut function = module.clone();
    let at = syn::spanned::Spanned::span(module);
    function.path.segments.push(Ident::new(name, at).into());
    function
}

fn literal(expr: Expr) -> Option<LitStr> {
    match expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}
