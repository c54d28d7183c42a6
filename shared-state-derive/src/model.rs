//! The model of what will be generated. Every name, type and default is decided here, so `expand` makes no
//! decisions.
//!
//! The model is built from the parsed input. [`check`](crate::check) looks for contradictions in the input
//! before, and for name clashes in the model afterwards.

use std::collections::BTreeSet;

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, ExprPath, LitStr, Path, Visibility};

use crate::generics::{Bounded, Generics};
use crate::nest::{self, Nest};
use crate::parse::{Input, InputField, PolicyExpr};
use crate::tokens::{last_segment, mentions, names};

pub(crate) use crate::parse::Rule;

/// The struct that derives `SharedState`.
pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) vis: Visibility,
    pub(crate) generics: Generics,
    /// The struct with its parameters, `Document::<T>`: usable as a type and as the start of a path.
    pub(crate) this: TokenStream,
    /// The path of the crate `shared-state`.
    pub(crate) krate: TokenStream,
    /// The rule about the whole state.
    pub(crate) rule: Option<TokenStream>,
    /// The attribute `garde`, if the rules are garde's.
    pub(crate) garde: Option<Ident>,
    /// The rule about clients' changes.
    pub(crate) change_rule: Option<TokenStream>,
    /// The version, if it is not the first, and the function that migrates states of earlier versions.
    pub(crate) migration: Option<(u32, TokenStream)>,
    /// The shared fields, in order.
    pub(crate) fields: Vec<Field>,
    /// The span of errors about an update or a patch as a whole: the type of the field that causes them if
    /// only one can, and else the derive.
    pub(crate) span: Span,
    /// The names of the fields' own accessors.
    pub(crate) accessors: BTreeSet<Ident>,
    pub(crate) update: Ident,
    pub(crate) patch: Ident,
    pub(crate) handle: Ident,
    /// The handle's type parameter, with a name that no field's type mentions.
    pub(crate) backend: Ident,
}

/// A shared field.
pub(crate) struct Field {
    pub(crate) index: usize,
    pub(crate) ident: Ident,
    /// The type as it is named outside the struct: `Self` is replaced by the struct's name.
    pub(crate) ty: TokenStream,
    /// Whether the type is spelled `String`.
    pub(crate) is_string: bool,
    /// The span of errors about the type: the type, or the user's own policy.
    pub(crate) span: Span,
    /// The field's names and types with that span.
    pub(crate) spanned: Spanned,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) policy: Policy,
    /// The wrappers around the nested struct.
    pub(crate) nest: Option<Nest>,
    /// Whether the field's value contains nested structs: it is one, or its entries are.
    pub(crate) holds_structs: bool,
    /// Whether the policy wraps other policies.
    pub(crate) is_long: bool,
    /// Whether the struct has parameters.
    pub(crate) is_generic: bool,
    /// The policy's type.
    pub(crate) policy_type: TokenStream,
    /// The types that find the keys of the lists in the field.
    pub(crate) list_keys: Vec<ListKey>,
    /// The functions that serialize the value, if they are not its type's own.
    pub(crate) codec: Option<Codec>,
    pub(crate) read_only: bool,
    /// The role that is needed to read the field, if one is.
    pub(crate) read: Option<String>,
    /// The role that is needed to write the field, if one is.
    pub(crate) write: Option<String>,
    pub(crate) timing: Timing,
    pub(crate) rules: Vec<Rule>,
    /// The name on the wire.
    pub(crate) wire: String,
    /// The tokens that gave the field its name on the wire.
    pub(crate) wire_at: TokenStream,
    /// The name in `#[shared(rename)]`, which has to equal the name on the wire.
    pub(crate) rename: Option<LitStr>,
    /// Other names that are accepted for the field.
    pub(crate) aliases: Vec<LitStr>,
    /// The variant of the update's enum: `Title`.
    pub(crate) variant: Ident,
    /// The constant on the struct: `TITLE`.
    pub(crate) key: Ident,
    /// The setter: `set_title`.
    pub(crate) setter: Ident,
    /// The method of a counter that adds: `add_title`.
    pub(crate) adder: Ident,
    /// The method of a counter that subtracts: `sub_title`.
    pub(crate) subtracter: Ident,
    /// The private function that checks the field's rules.
    pub(crate) checker: Ident,
}

/// The tokens that stand for a field in expressions, all with the span for errors about the field's type. The
/// compiler then reports a missing trait at the type.
pub(crate) struct Spanned {
    pub(crate) ident: Ident,
    pub(crate) ty: TokenStream,
    /// The policy's type, in a scope where the crate's modules have their short names.
    pub(crate) policy_type: TokenStream,
    pub(crate) key: Ident,
    pub(crate) variant: Ident,
    /// The type of the nested struct, or nothing.
    pub(crate) inner: TokenStream,
    /// The struct itself.
    pub(crate) this: TokenStream,
    pub(crate) update: Ident,
}

/// The merge policy of a field, as far as generated code depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Lww,
    Counter,
    /// A struct that is always present.
    Nested,
    /// A struct that may be absent.
    Optional,
    /// A list, a map or a set.
    Entries,
    /// A text.
    Text,
    /// A type of the user's.
    Own,
}

/// A generated type that finds the key of a list's items.
pub(crate) struct ListKey {
    pub(crate) ident: Ident,
    /// Whether the generated type has the struct as its parameter, because the items' type mentions the
    /// struct's parameters.
    pub(crate) is_generic: bool,
    /// The items' type.
    pub(crate) item: TokenStream,
    /// The field of an item that is its key.
    pub(crate) field: Ident,
}

/// The functions of `#[serde(with = "..")]`. Where one is absent, the type's own is used.
pub(crate) struct Codec {
    /// The generated type that has the two functions.
    pub(crate) ident: Ident,
    pub(crate) serialize: Option<ExprPath>,
    pub(crate) deserialize: Option<ExprPath>,
}

/// When a field is sent. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    Immediate,
    Debounce { wait: u64, max_wait: u64 },
    Throttle { every: u64 },
}

impl Model {
    pub(crate) fn new(input: Input) -> Self {
        let Input { ident, vis, generics, attrs, serde, fields } = input;
        let name = ident.unraw();
        let krate = attrs.krate.map_or_else(|| quote!(::shared_state), Path::into_token_stream);
        let this = this(&ident, &generics);
        let update = format_ident!("{}Update", name, span = ident.span());
        let rename_all = serde.rename_all.as_deref();
        let owner = Owner {
            name: &name,
            this: &this,
            update: &update,
            generics: &generics,
            krate: &krate,
            rename_all,
        };
        let shared = fields.into_iter().filter(InputField::is_shared);
        let fields: Vec<_> =
            shared.enumerate().map(|(index, field)| Field::new(index, field, &owner)).collect();
        let accessors =
            fields.iter().flat_map(|field| [&field.ident, &field.setter, &field.adder, &field.subtracter]);
        let mut with_parts = fields.iter().filter(|field| field.has_parts());
        let span = match (with_parts.next(), with_parts.next()) {
            (Some(only), None) => only.span,
            _ => Span::call_site(),
        };
        Self {
            span,
            accessors: accessors.cloned().collect(),
            update,
            patch: format_ident!("{}Patch", name, span = ident.span()),
            // `SharedState` is the name of the trait and of the derive, which are often imported beside the
            // struct.
            handle: match name == "State" {
                true => format_ident!("StateHandle", span = ident.span()),
                false => format_ident!("Shared{}", name, span = ident.span()),
            },
            rule: attrs.rule.map(|rule| without_self(rule.value.into_token_stream(), &this)),
            garde: attrs.garde,
            change_rule: attrs.change_rule.map(|rule| without_self(rule.into_token_stream(), &this)),
            migration: attrs.version.zip(attrs.migrate).map(|(version, migrate)| {
                (version.value, without_self(migrate.value.into_token_stream(), &this))
            }),
            backend: free_name(&["L", "Backend", "__L"], &fields, &this),
            generics: Generics::new(
                &ident,
                generics,
                &fields.iter().map(|field| field.bounded(&krate)).collect::<Vec<_>>(),
                &krate,
            ),
            this,
            krate,
            vis,
            fields,
            ident,
        }
    }
}

impl Model {
    /// The struct's name as text.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

impl InputField {
    pub(crate) fn is_shared(&self) -> bool {
        self.attrs.skip.is_none() && self.serde.skip.is_none()
    }
}

/// What a field needs to know of its struct.
struct Owner<'a> {
    name: &'a Ident,
    this: &'a TokenStream,
    update: &'a Ident,
    generics: &'a syn::Generics,
    krate: &'a TokenStream,
    rename_all: Option<&'a str>,
}

impl Field {
    /// Whether the field is set as a whole, so that its operation is its new value.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.policy, Policy::Lww)
    }

    /// The field's type with what its policy demands of it, for the generics of the struct.
    fn bounded(&self, krate: &TokenStream) -> Bounded {
        let Field { ty, policy_type, spanned, .. } = self;
        let inner = &spanned.inner;
        let bounds = match self.policy {
            Policy::Lww => vec![],
            Policy::Counter => vec![quote!(#ty: #krate::merge::Number)],
            Policy::Nested => vec![quote!(#inner: #krate::SharedState)],
            Policy::Optional => {
                vec![quote!(#inner: #krate::SharedState), quote!(#inner: #krate::merge::Value)]
            }
            Policy::Own | Policy::Entries | Policy::Text => {
                vec![quote!(#policy_type: #krate::merge::MergePolicy<#ty>)]
            }
        };
        Bounded { ty: ty.to_token_stream(), inner: inner.to_token_stream(), bounds }
    }

    /// Whether operations can address parts of the value, by the field's policy.
    pub(crate) const fn has_parts(&self) -> bool {
        !matches!(self.policy, Policy::Lww | Policy::Counter)
    }

    /// The rules that the field's checker checks. A `dive` into nested structs is left out, because the
    /// policy checks the rules of each struct that changed.
    pub(crate) fn checked(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| !self.holds_structs || !matches!(rule, Rule::Dive { .. }))
    }

    /// Whether the field has such a rule.
    pub(crate) fn is_checked(&self) -> bool {
        self.checked().next().is_some()
    }

    fn new(index: usize, field: InputField, owner: &Owner<'_>) -> Self {
        let Owner { name, this: owner, update, generics, krate, rename_all } = *owner;
        let InputField { ident, ty, docs, attrs, serde } = field;
        let plain = ident.unraw().to_string();
        let (wire, wire_at) = match serde.rename {
            Some(name) => (name.value(), name.into_token_stream()),
            None => (renamed(&plain, rename_all), ident.to_token_stream()),
        };
        let timing = match (attrs.debounce, attrs.throttle) {
            (Some(wait), _) => Timing::Debounce {
                wait: wait.value,
                max_wait: attrs.max_wait.map_or(wait.value.saturating_mul(10), |given| given.value),
            },
            (None, Some(every)) => Timing::Throttle { every: every.value },
            (None, None) => Timing::Immediate,
        };
        let name_at = ident.span();
        let named = |text: String| {
            if text == "Self" { Ident::new("Self_", name_at) } else { Ident::new(&text, name_at) }
        };
        let variant = pascal(&plain);
        let codec = serde.with.is_some().then(|| Codec {
            ident: format_ident!("{}Codec", variant, span = name_at),
            serialize: serde.serialize,
            deserialize: serde.deserialize,
        });
        let types = |merge: &TokenStream| PolicyTypes {
            merge: merge.clone(),
            owner,
            name: format!("{name}{variant}Key"),
            is_generic: mentions(&ty, &|ident| names(generics).any(|name| name == ident)),
            item: nest::items(&ty).map(|item| without_self(item.to_token_stream(), owner)),
            list_keys: Vec::new(),
        };
        let plain_type = without_self(ty.to_token_stream(), owner);
        let given = attrs.policies.into_iter().next().map(|given| given.value);
        let nest = match &given {
            Some(PolicyExpr::Nested) => {
                Nest::new(&ty).ok().map(|nest| nest.map(|ty| without_self(ty, owner)))
            }
            _ => None,
        };
        let policy = match (&given, &nest) {
            (None, _) => Policy::Lww,
            (Some(expr), None) => kind(expr),
            (Some(_), Some(nest)) if nest.is_optional() => Policy::Optional,
            (Some(_), Some(_)) => Policy::Nested,
        };
        let mut list_keys = Vec::new();
        let mut type_in = |merge: TokenStream| match (&given, &codec, &nest) {
            (None, Some(Codec { ident, .. }), _) => quote!(#merge::Coded<#ident<#owner>>),
            (None, None, _) => quote!(__Lww),
            (Some(_), _, Some(nest)) => nest.policy(&merge),
            (Some(expr), _, None) => {
                let mut types = types(&merge);
                let policy_type = types.of(expr, &plain_type);
                list_keys = types.list_keys;
                policy_type
            }
        };
        let (inside, policy_type) = (type_in(quote!(__merge)), type_in(quote!(#krate::merge)));
        let is_long = match policy {
            Policy::Entries | Policy::Optional => true,
            Policy::Nested => !nest.as_ref().is_none_or(Nest::is_bare),
            Policy::Lww | Policy::Counter | Policy::Text | Policy::Own => false,
        };
        let variant = named(match variant.starts_with(|c: char| c.is_ascii_digit()) || variant.is_empty() {
            true => format!("Field{variant}"),
            false => variant,
        });
        let key = named(screaming(&plain));
        let is_string = last_segment(&ty).is_some_and(|last| last == "String");
        let type_span = Span::call_site().located_at(ty.span());
        let span = match &given {
            Some(PolicyExpr::Own(own)) => Span::call_site().located_at(own.span()),
            _ => type_span,
        };
        let moved = |ident: &Ident| {
            let mut ident = ident.clone();
            ident.set_span(span);
            ident
        };
        Self {
            index,
            is_string,
            spanned: Spanned {
                ident: moved(&ident),
                // At its own span in both cases, so that an unknown name is reported once.
                ty: at(type_span, &plain_type),
                policy_type: at(span, &inside),
                key: moved(&key),
                variant: moved(&variant),
                inner: nest.as_ref().map(|nest| at(span, &nest.inner)).unwrap_or_default(),
                this: at(span, owner),
                update: moved(update),
            },
            span,
            ty: plain_type,
            docs,
            policy,
            nest,
            holds_structs: given.as_ref().is_some_and(holds_structs),
            is_long,
            is_generic: names(generics).next().is_some(),
            policy_type,
            list_keys,
            codec,
            rename: attrs.rename,
            read_only: attrs.read_only.is_some(),
            read: attrs.read.map(|role| role.value.value()),
            write: attrs.write.map(|role| role.value.value()),
            timing,
            rules: attrs.rules,
            wire,
            wire_at,
            aliases: serde.aliases,
            variant,
            key,
            setter: format_ident!("set_{}", plain, span = name_at),
            adder: format_ident!("add_{}", plain, span = name_at),
            subtracter: format_ident!("sub_{}", plain, span = name_at),
            checker: format_ident!("__check_{}", plain, span = name_at),
            ident,
        }
    }
}

const fn kind(expr: &PolicyExpr) -> Policy {
    match expr {
        PolicyExpr::Counter => Policy::Counter,
        PolicyExpr::Nested => Policy::Nested,
        PolicyExpr::List(..) | PolicyExpr::Map(_) | PolicyExpr::Set => Policy::Entries,
        PolicyExpr::Text => Policy::Text,
        PolicyExpr::Own(_) => Policy::Own,
    }
}

/// Whether values of the policy are nested structs or have such entries.
fn holds_structs(expr: &PolicyExpr) -> bool {
    match expr {
        PolicyExpr::Nested => true,
        PolicyExpr::List(_, entries) | PolicyExpr::Map(entries) => {
            entries.as_deref().is_some_and(holds_structs)
        }
        PolicyExpr::Counter | PolicyExpr::Set | PolicyExpr::Text | PolicyExpr::Own(_) => false,
    }
}

/// Builds the type of a field's policy.
struct PolicyTypes<'a> {
    /// The path of the module `merge`.
    merge: TokenStream,
    owner: &'a TokenStream,
    /// The name of the generated type that finds the key.
    name: String,
    is_generic: bool,
    /// The type of the items, if the field's type names it.
    item: Option<TokenStream>,
    list_keys: Vec<ListKey>,
}

impl PolicyTypes<'_> {
    /// The type of the policy `expr` for values of type `ty`.
    fn of(&mut self, expr: &PolicyExpr, ty: &TokenStream) -> TokenStream {
        let (merge, owner) = (self.merge.clone(), self.owner);
        match expr {
            PolicyExpr::Counter => quote!(#merge::Counter),
            PolicyExpr::Nested => quote!(#merge::Nested),
            PolicyExpr::Set => quote!(#merge::SetOf),
            PolicyExpr::Text => quote!(#merge::TextOf),
            PolicyExpr::Own(own) => without_self(own.to_token_stream(), owner),
            PolicyExpr::Map(entries) => {
                let entries = self.inner(entries, &quote!(<#ty as #merge::Mapping>::Value));
                quote!(#merge::MapOf<#entries>)
            }
            PolicyExpr::List(field, items) => {
                let item = match self.item.take() {
                    Some(item) => item,
                    None => quote!(<#ty as #merge::Sequence>::Item),
                };
                let items = self.inner(items, &item);
                let ident = match self.list_keys.len() {
                    0 => Ident::new(&self.name, field.span()),
                    more => format_ident!("{}{more}", self.name, span = field.span()),
                };
                let key = if self.is_generic { quote!(#ident<#owner>) } else { quote!(#ident) };
                let is_generic = self.is_generic;
                self.list_keys.push(ListKey { ident, is_generic, item, field: field.clone() });
                quote!(#merge::ListOf<#key, #items>)
            }
        }
    }

    fn inner(&mut self, expr: &Option<Box<PolicyExpr>>, ty: &TokenStream) -> TokenStream {
        match expr {
            Some(expr) => self.of(expr, ty),
            None => {
                let merge = &self.merge;
                quote!(#merge::Lww)
            }
        }
    }
}

/// The tokens with another span.
pub(crate) fn at(span: Span, tokens: &TokenStream) -> TokenStream {
    let moved = tokens.clone().into_iter().map(|tree| {
        let mut tree = match tree {
            TokenTree::Group(group) => {
                TokenTree::Group(Group::new(group.delimiter(), at(span, &group.stream())))
            }
            other => other,
        };
        tree.set_span(span);
        tree
    });
    moved.collect()
}

/// The struct with its parameters, with the span of the derive: what the struct lacks is reported there,
/// wherever it is used.
fn this(ident: &Ident, generics: &syn::Generics) -> TokenStream {
    let mut ident = ident.clone();
    ident.set_span(ident.span().located_at(Span::call_site()));
    let names: Vec<_> = names(generics).collect();
    match names.is_empty() {
        true => ident.into_token_stream(),
        false => quote!(#ident::<#(#names),*>),
    }
}

/// The tokens with `Self` replaced by `name`, at the span of `Self`.
pub(crate) fn without_self(tokens: TokenStream, name: &TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|tree| match tree {
            TokenTree::Ident(ident) if ident == "Self" => at(ident.span(), name),
            TokenTree::Group(group) => {
                let mut inside = Group::new(group.delimiter(), without_self(group.stream(), name));
                inside.set_span(group.span());
                TokenTree::Group(inside).into()
            }
            other => other.into(),
        })
        .collect()
}

/// The first of `names` that neither a field's type nor the struct mentions.
fn free_name(names: &[&str], fields: &[Field], this: &TokenStream) -> Ident {
    let types = fields.iter().map(|field| &field.ty).chain([this]);
    let used = quote!(#(#types)*);
    let free = names.iter().find(|name| !mentions(used.clone(), &|ident| ident == *name));
    Ident::new(free.unwrap_or(&"__Backend"), Span::call_site())
}

/// A field's name under serde's `rename_all`, by the rules of `serde_derive`'s `RenameRule`.
fn renamed(field: &str, rule: Option<&str>) -> String {
    match rule {
        Some("UPPERCASE" | "SCREAMING_SNAKE_CASE") => field.to_ascii_uppercase(),
        Some("PascalCase") => serde_pascal(field),
        Some("camelCase") => {
            let pascal = serde_pascal(field);
            let mut chars = pascal.chars();
            let first = chars.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(chars).collect()
        }
        Some("kebab-case") => field.replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => field.to_ascii_uppercase().replace('_', "-"),
        _ => field.to_owned(),
    }
}

fn serde_pascal(field: &str) -> String {
    let mut capital = true;
    let mut pascal = String::new();
    for c in field.chars() {
        if c == '_' {
            capital = true;
        } else if std::mem::take(&mut capital) {
            pascal.push(c.to_ascii_uppercase());
        } else {
            pascal.push(c);
        }
    }
    pascal
}

/// `font_size` and `fontSize` as `FontSize`.
fn pascal(field: &str) -> String {
    let words = field.split('_').filter(|word| !word.is_empty());
    words
        .flat_map(|word| {
            let mut chars = word.chars();
            chars.next().into_iter().flat_map(char::to_uppercase).chain(chars)
        })
        .collect()
}

/// `font_size` and `fontSize` as `FONT_SIZE`.
fn screaming(field: &str) -> String {
    let mut key = String::new();
    let mut after_small = false;
    for c in field.chars() {
        if c.is_uppercase() && after_small {
            key.push('_');
        }
        after_small = c.is_lowercase();
        key.extend(c.to_uppercase());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_from_the_field() {
        for (field, variant, key) in [
            ("title", "Title", "TITLE"),
            ("font_size", "FontSize", "FONT_SIZE"),
            ("fontSize", "FontSize", "FONT_SIZE"),
            ("type", "Type", "TYPE"),
            ("a1_b", "A1B", "A1_B"),
            ("_private", "Private", "_PRIVATE"),
            ("größe", "Größe", "GRÖSSE"),
        ] {
            assert_eq!((pascal(field).as_str(), screaming(field).as_str()), (variant, key));
        }
    }

    #[test]
    fn wire_names_are_serdes() {
        for (rule, name) in [
            (None, "font_size_2"),
            (Some("lowercase"), "font_size_2"),
            (Some("snake_case"), "font_size_2"),
            (Some("UPPERCASE"), "FONT_SIZE_2"),
            (Some("PascalCase"), "FontSize2"),
            (Some("camelCase"), "fontSize2"),
            (Some("SCREAMING_SNAKE_CASE"), "FONT_SIZE_2"),
            (Some("kebab-case"), "font-size-2"),
            (Some("SCREAMING-KEBAB-CASE"), "FONT-SIZE-2"),
        ] {
            assert_eq!(renamed("font_size_2", rule), name, "{rule:?}");
        }
    }
}
