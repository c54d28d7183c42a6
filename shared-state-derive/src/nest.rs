//! How a nested struct lies in its field: itself, in a `Box`, in an `Option`, or in both.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, Type};

use crate::tokens::last_segment;

/// The type of a `nested` field, taken apart.
pub(crate) struct Nest {
    /// What is around the struct, from the outside in.
    around: Vec<Around>,
    /// The struct.
    pub(crate) inner: TokenStream,
}

enum Around {
    Box,
    Option,
}

impl Nest {
    /// Takes a type apart.
    ///
    /// # Errors
    /// It is known to hold no shared state; says what it is.
    pub(crate) fn new(ty: &Type) -> Result<Self, String> {
        let (mut around, mut ty) = (Vec::new(), ty);
        while let Some(last) = last_segment(ty).map(ToString::to_string) {
            let optional = around.iter().any(|around| matches!(around, Around::Option));
            match (last.as_str(), only_argument(ty)) {
                ("Box", Some(content)) => {
                    around.push(Around::Box);
                    ty = content;
                }
                ("Option", Some(content)) if !optional => {
                    around.push(Around::Option);
                    ty = content;
                }
                ("Option", Some(_)) => return Err("Option<Option<..>>".to_owned()),
                _ => match no_struct(ty) {
                    Some(what) => return Err(what),
                    None => break,
                },
            }
        }
        Ok(Self { around, inner: ty.to_token_stream() })
    }

    /// Whether there is anything around the struct.
    pub(crate) fn is_bare(&self) -> bool {
        self.around.is_empty()
    }

    /// Whether the struct may be absent.
    pub(crate) fn is_optional(&self) -> bool {
        self.around.iter().any(|around| matches!(around, Around::Option))
    }

    /// The policy; `merge` is the module of policies.
    pub(crate) fn policy(&self, merge: &TokenStream) -> TokenStream {
        self.around.iter().rev().fold(quote!(#merge::Nested), |inside, around| match around {
            Around::Box => quote!(#merge::Boxed<#inside>),
            Around::Option => quote!(#merge::Optional<#inside>),
        })
    }

    /// Replaces `Self` in the struct's type.
    pub(crate) fn map(self, change: impl Fn(TokenStream) -> TokenStream) -> Self {
        Self { inner: change(self.inner), ..self }
    }
}

/// The name of a type that is known to be no shared state.
pub(crate) fn no_struct(ty: &Type) -> Option<String> {
    const NO_STRUCTS: [&str; 25] = [
        "Option", "Box", "Rc", "Arc", "Vec", "VecDeque", "HashMap", "BTreeMap", "HashSet", "BTreeSet",
        "String", "bool", "char", "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
        "f32", "f64",
    ];
    let last = last_segment(ty)?.to_string();
    NO_STRUCTS.contains(&last.as_str()).then_some(last)
}

/// The type of a list's items, if the list's type is spelled so that it says so.
pub(crate) fn items(ty: &Type) -> Option<&Type> {
    let last = last_segment(ty)?;
    if last == "Vec" || last == "List" { only_argument(ty) } else { None }
}

/// `T` of `Name<T>`.
fn only_argument(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Path(path) => match &path.path.segments.last()?.arguments {
            PathArguments::AngleBracketed(arguments) if arguments.args.len() == 1 => {
                match arguments.args.first()? {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                }
            }
            _ => None,
        },
        Type::Group(group) => only_argument(&group.elem),
        Type::Paren(paren) => only_argument(&paren.elem),
        _ => None,
    }
}
