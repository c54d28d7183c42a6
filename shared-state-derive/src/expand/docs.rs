//! The documentation of generated items: the field's own documentation first, then what its attributes mean.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::model::{Field, Policy, Rule, Timing};

/// The field's documentation, then `line`, then the meaning of the field's attributes.
pub(super) fn of(field: &Field, line: &str) -> TokenStream {
    around(field, &format!("{line}\n\n{}", known(field)))
}

/// As [`of`], for a method that writes.
pub(super) fn of_write(field: &Field, line: &str) -> TokenStream {
    let errors =
        "# Errors\nA rule does not hold, or the backend does not accept the write. Nothing was changed then.";
    around(field, &format!("{line}\n\n{}\n\n{errors}", known(field)))
}

fn around(field: &Field, text: &str) -> TokenStream {
    let docs: Vec<_> = field.docs.iter().filter(|attr| attr.path().is_ident("doc")).collect();
    let others = field.docs.iter().filter(|attr| !attr.path().is_ident("doc"));
    let text = match docs.is_empty() {
        true => text.to_owned(),
        false => format!("\n{text}"),
    };
    quote! {
        #(#docs)*
        #[doc = #text]
        #(#others)*
    }
}

/// The meaning of the field's attributes, in sentences.
fn known(field: &Field) -> String {
    let mut text = String::from(match field.policy {
        Policy::Lww => "Set as a whole; the last writer wins.",
        Policy::Counter => "A counter: concurrent additions all count.",
        Policy::Own => "Changed by the operations of its own merge policy.",
        Policy::Optional => {
            "A nested struct that may be absent: while it is present, its fields are written one by one."
        }
        Policy::Entries => "Its entries are written one by one.",
        Policy::Text => "A text: concurrent edits are merged character by character.",
        Policy::Nested => "A nested struct: its fields are written one by one.",
    });
    if field.read_only {
        text.push_str(" Only the server writes it.");
    }
    if let Some(role) = &field.write {
        text.push_str(&format!(" Among clients, only those with the role `{role}` can write it."));
    }
    if let Some(role) = &field.read {
        text.push_str(&format!(
            " Only clients with the role `{role}` receive it; the others see its initial value."
        ));
    }
    match field.timing {
        Timing::Immediate => {}
        Timing::Debounce { wait, max_wait } => text.push_str(&format!(
            " Debounced: sent after {wait} ms without another write, at the latest {max_wait} ms after the first one."
        )),
        Timing::Throttle { every } => text.push_str(&format!(" Throttled: sent at most once in {every} ms.")),
    }
    for rule in &field.rules {
        text.push_str(&format!(" Its {}.", sentence(rule)));
    }
    text
}

fn sentence(rule: &Rule) -> String {
    match rule {
        Rule::Length { unit, min, max, .. } => {
            let unit = unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
            format!("length is {}{unit}", range(min, max))
        }
        Rule::Range { min, max, .. } => format!("value is {}", range(min, max)),
        Rule::Pattern { pattern, .. } => {
            let pattern = pattern.value().escape_debug().to_string().replace("\\\\", "\\");
            format!("text matches `` {pattern} ``")
        }
        Rule::Custom { path } => format!("value is checked by `{}`", spelled(path)),
        Rule::Email { .. } => String::from("text is an email address"),
        Rule::Url { .. } => String::from("text is a URL"),
        Rule::Dive { .. } => String::from("items satisfy the rules of their own type"),
        Rule::Inner { rules, .. } => {
            let rules: Vec<_> = rules.iter().map(sentence).collect();
            format!("items: each one's {}", rules.join("; "))
        }
    }
}

fn range(min: &Option<syn::Expr>, max: &Option<syn::Expr>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("at least `{}` and at most `{}`", spelled(min), spelled(max)),
        (Some(min), None) => format!("at least `{}`", spelled(min)),
        (None, Some(max)) => format!("at most `{}`", spelled(max)),
        (None, None) => String::from("anything"),
    }
}

pub(super) fn spelled(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

/// The field's documentation as plain text.
pub(super) fn prose(field: &Field) -> String {
    let lines = field.docs.iter().filter_map(|attr| match &attr.meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            path,
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }),
            ..
        }) if path.is_ident("doc") => Some(line.value()),
        _ => None,
    });
    lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}
