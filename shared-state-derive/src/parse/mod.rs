//! Reads tokens into attributes: what the user wrote, each part with the token that it came from.
//!
//! This module owns the grammar. It reports what it cannot read, and never contradictions between attributes:
//! those are for [`check`](crate::check).

mod policy;
mod rule;
mod serde;
mod shared;
mod value;

pub(crate) use self::policy::PolicyExpr;
pub(crate) use self::rule::Rule;
pub(crate) use self::serde::{SerdeField, SerdeStruct};
pub(crate) use self::shared::{FieldAttrs, StructAttrs};

use quote::ToTokens as _;
use syn::{Attribute, Data, DeriveInput, Fields, Generics, Ident, Type, Visibility};

use crate::ctxt::Ctxt;

/// A struct with named fields, and the attributes on it.
pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) generics: Generics,
    pub(crate) attrs: StructAttrs,
    pub(crate) serde: SerdeStruct,
    pub(crate) fields: Vec<InputField>,
}

/// A field, and the attributes on it.
pub(crate) struct InputField {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) attrs: FieldAttrs,
    pub(crate) serde: SerdeField,
}

/// Reads the derive's input. `None` if it is not a struct that the derive supports.
pub(crate) fn input(cx: &Ctxt, input: DeriveInput) -> Option<Input> {
    let DeriveInput { attrs, vis, ident, generics, data } = input;
    let Data::Struct(data) = data else {
        let found = if matches!(data, Data::Enum(_)) { "an enum" } else { "a union" };
        cx.error(
            &ident,
            format_args!(
                "`{ident}` is {found}, and only a struct with named fields can derive `SharedState`: make `{ident}` \
                 the type of a field of such a struct (no derive is needed on it beyond serde's)"
            ),
        );
        return None;
    };
    let fields = match data.fields {
        Fields::Named(fields) => fields.named,
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            let inner = &fields.unnamed[0].ty;
            cx.error(
                &ident,
                format_args!(
                    "`{ident}` is a newtype, whose field has no name to be addressed by: share `{}` itself, or write \
                     `struct {ident} {{ #[shared(nested)] name: {} }}`; as a field's type `{ident}` needs no derive \
                     beyond serde's",
                    inner.to_token_stream(),
                    inner.to_token_stream()
                ),
            );
            return None;
        }
        Fields::Unnamed(_) => {
            cx.error(
                &ident,
                format_args!(
                    "`{ident}` is a tuple struct, whose fields have no names to be addressed by: write \
                     `struct {ident} {{ name: Type, .. }}`"
                ),
            );
            return None;
        }
        Fields::Unit => {
            cx.error(
                &ident,
                format_args!("`{ident}` has no fields to share: write `struct {ident} {{ name: Type, .. }}`"),
            );
            return None;
        }
    };
    for param in &generics.params {
        if let syn::GenericParam::Lifetime(lifetime) = param {
            cx.error(
                lifetime,
                "a shared state owns its data and cannot borrow: remove the lifetime, and use `String` for `&str`, \
                 `Vec<T>` for `&[T]`",
            );
        }
    }
    let fields = fields.into_iter().filter_map(|field| {
        let ident = field.ident?;
        Some(InputField {
            attrs: shared::field(cx, &field.attrs),
            serde: serde::field(cx, &field.attrs),
            docs: field.attrs.into_iter().filter(is_carried).collect(),
            ident,
            ty: field.ty,
        })
    });
    let fields = fields.collect();
    Some(Input {
        attrs: shared::container(cx, &attrs),
        serde: serde::container(cx, &attrs),
        ident,
        vis,
        generics,
        fields,
    })
}

/// Whether an attribute is copied to the items that are generated for its field.
fn is_carried(attr: &Attribute) -> bool {
    attr.path().is_ident("doc") || attr.path().is_ident("deprecated")
}
