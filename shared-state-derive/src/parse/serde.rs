//! Reads serde's own attributes, because a field's name on the wire is the name that serde gives it.
//!
//! Only attributes that change names or leave fields out are read. Serde reports its own syntax errors, so
//! this module skips what it cannot read. It reports attributes under which a field would have two different
//! forms on the wire.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Result, Token, token};

use super::value;
use crate::ctxt::Ctxt;

/// Attributes on a field under which the field cannot be sent on its own.
const UNSUITABLE: [&str; 4] = ["flatten", "borrow", "skip_serializing", "skip_deserializing"];

/// `#[serde(..)]` on the struct.
#[derive(Default)]
pub(crate) struct SerdeStruct {
    /// `rename_all = "camelCase"`: the rule's name.
    pub(crate) rename_all: Option<String>,
    /// `default`: absent fields are taken from the struct's default.
    pub(crate) default: bool,
    /// `bound`: the bounds of serde's implementations are given.
    pub(crate) bound: bool,
}

/// `#[serde(..)]` on a field.
#[derive(Default)]
pub(crate) struct SerdeField {
    pub(crate) rename: Option<LitStr>,
    pub(crate) aliases: Vec<LitStr>,
    /// The attribute that leaves the field out.
    pub(crate) skip: Option<syn::Path>,
    /// `default`: the field may be absent in the input.
    pub(crate) default: bool,
    /// `skip_serializing_if`: the field may be absent in the output.
    pub(crate) skip_if: Option<syn::Path>,
    /// The function that serializes the value, from `serialize_with` or `with`.
    pub(crate) serialize: Option<ExprPath>,
    /// The function that deserializes the value, from `deserialize_with` or `with`.
    pub(crate) deserialize: Option<ExprPath>,
    /// The attribute that named one of the two functions.
    pub(crate) with: Option<syn::Path>,
    /// The attributes under which the field on its own and the field inside its struct would be written
    /// differently.
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
            found.bound |= meta.path.is_ident("bound");
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
        // Serde's derive reports what it cannot read.
        let _ = attr.parse_nested_meta(|meta| logic(&meta));
    }
}

/// Reads `= "name"`, or `(serialize = "name", deserialize = "name")` with two equal names.
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

/// Reads `= "path"`. A path that does not parse is left for serde to report.
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
    match value::ungrouped(expr) {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}
