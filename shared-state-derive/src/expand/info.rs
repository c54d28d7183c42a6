//! The constant `FieldInfo` of each field.

use proc_macro2::TokenStream;
use quote::quote;

use super::{docs, rules};
use crate::model::{Field, Timing};

pub(super) fn of(field: &Field) -> TokenStream {
    let wire = &field.wire;
    let plain = syn::ext::IdentExt::unraw(&field.ident).to_string();
    let spelled = (plain != *wire).then(|| quote!(.spelled_as(#plain)));
    let read_only = field.read_only.then(|| quote!(.read_only()));
    let read = field.read.as_ref().map(|role| quote!(.read(#role)));
    let write = field.write.as_ref().map(|role| quote!(.write(#role)));
    let timing = match field.timing {
        Timing::Immediate => TokenStream::new(),
        Timing::Debounce { wait, max_wait } => quote!(.timing(__p::Timing::debounce(#wait, #max_wait))),
        Timing::Throttle { every } => quote!(.timing(__p::Timing::throttle(#every))),
    };
    let parts = field.has_parts().then(|| {
        let inside = field.policy("INFO");
        quote!(.about(&#inside))
    });
    let ty = spelled_type(&field.ty);
    let aliases = (!field.aliases.is_empty()).then(|| {
        let aliases = &field.aliases;
        quote!(.aliases(&[#(#aliases),*]))
    });
    let rules = (!field.rules.is_empty()).then(|| {
        let rules = field.rules.iter().map(rules::described);
        quote!(.rules(&[#(#rules),*]))
    });
    let prose = docs::prose(field);
    let prose_of = (!prose.is_empty()).then(|| quote!(.docs(#prose)));
    let info = match field.is_plain() && field.codec.is_none() {
        true => quote!(__p::FieldInfo::plain(#wire, #ty)),
        false => {
            let policy = field.policy("NAME");
            quote!(__p::FieldInfo::new(#wire, #policy).type_name(#ty))
        }
    };
    quote!(#info #spelled #read_only #read #write #timing #aliases #rules #prose_of #parts)
}

/// A type with the usual spaces.
fn spelled_type(ty: &TokenStream) -> String {
    let mut text = docs::spelled(ty);
    for (tight, loose) in [(",", ", "), (";", "; "), ("->", " -> ")] {
        text = text.replace(tight, loose);
    }
    text.replace("::<", "<")
}
