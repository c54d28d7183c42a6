//! The wrappers around a nested struct in its field: none, a `Box`, an `Option`, or both.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{GenericArgument, PathArguments, Type};

use crate::tokens::last_segment;

/// The type of a `nested` field, split into its wrappers and the struct.
pub(crate) struct Nest {
    /// The wrappers around the struct, from the outside in.
    wrappers: Vec<Wrapper>,
    /// The type of the struct.
    pub(crate) inner: TokenStream,
}

enum Wrapper {
    Box,
    Option,
}

impl Nest {
    /// Splits a type.
    ///
    /// # Errors
    /// The name of the type inside, if it is known not to be a shared state.
    pub(crate) fn new(ty: &Type) -> Result<Self, String> {
        let (mut wrappers, mut ty) = (Vec::new(), ty);
        while let Some(last) = last_segment(ty).map(ToString::to_string) {
            let optional = wrappers.iter().any(|wrapper| matches!(wrapper, Wrapper::Option));
            match (last.as_str(), only_argument(ty)) {
                ("Box", Some(content)) => {
                    wrappers.push(Wrapper::Box);
                    ty = content;
                }
                ("Option", Some(content)) if !optional => {
                    wrappers.push(Wrapper::Option);
                    ty = content;
                }
                ("Option", Some(_)) => return Err("Option<Option<..>>".to_owned()),
                // A struct of the user's may be called `String`. The compiler knows.
                _ => match std_name(ty).filter(|name| name != "String") {
                    Some(what) => return Err(what),
                    None => break,
                },
            }
        }
        Ok(Self { wrappers, inner: ty.to_token_stream() })
    }

    /// Whether the struct has no wrapper.
    pub(crate) fn is_bare(&self) -> bool {
        self.wrappers.is_empty()
    }

    /// Whether the struct may be absent.
    pub(crate) fn is_optional(&self) -> bool {
        self.wrappers.iter().any(|wrapper| matches!(wrapper, Wrapper::Option))
    }

    /// Whether the struct may hold the one that has the field: it may be absent, and is in a box.
    pub(crate) fn may_recur(&self) -> bool {
        self.is_optional() && self.wrappers.iter().any(|wrapper| matches!(wrapper, Wrapper::Box))
    }

    /// The type of the policy. `merge` is the path of the module `merge`.
    pub(crate) fn policy(&self, merge: &TokenStream) -> TokenStream {
        self.wrappers.iter().rev().fold(quote!(#merge::Nested), |inside, wrapper| match wrapper {
            Wrapper::Box => quote!(#merge::Boxed<#inside>),
            Wrapper::Option => quote!(#merge::Optional<#inside>),
        })
    }

    /// Changes the struct's type.
    pub(crate) fn map(self, change: impl Fn(TokenStream) -> TokenStream) -> Self {
        Self { inner: change(self.inner), ..self }
    }
}

/// The name of a type of the standard library. The name of a generic type does not count without arguments: a
/// struct of the user's may be called `Box`.
pub(crate) fn std_name(ty: &Type) -> Option<String> {
    const GENERIC: [&str; 10] =
        ["Option", "Box", "Rc", "Arc", "Vec", "VecDeque", "HashMap", "BTreeMap", "HashSet", "BTreeSet"];
    const OTHERS: [&str; 17] = [
        "String", "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
        "i128", "isize", "f32", "f64",
    ];
    let last = last_segment(ty)?.to_string();
    let known: &[&str] = if first_argument(ty).is_some() { &GENERIC } else { &OTHERS };
    known.contains(&last.as_str()).then_some(last)
}

/// Whether the type is spelled as a collection with methods that change it.
pub(crate) fn is_collection(ty: &Type) -> bool {
    const COLLECTIONS: [&str; 9] =
        ["Vec", "VecDeque", "List", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "IndexMap", "IndexSet"];
    let known: &[&str] = if first_argument(ty).is_some() { &COLLECTIONS } else { &["Text"] };
    last_segment(ty).is_some_and(|last| known.iter().any(|name| last == name))
}

/// `K` in `Name<K, V>`.
pub(crate) fn first_argument(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Path(path) => match &path.path.segments.last()?.arguments {
            PathArguments::AngleBracketed(arguments) => {
                arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                })
            }
            _ => None,
        },
        Type::Group(group) => first_argument(&group.elem),
        Type::Paren(paren) => first_argument(&paren.elem),
        _ => None,
    }
}

/// The type of a list's items, if the list's type is spelled `Vec<..>` or `List<..>`.
pub(crate) fn items(ty: &Type) -> Option<&Type> {
    let last = last_segment(ty)?;
    if last == "Vec" || last == "List" { only_argument(ty) } else { None }
}

/// `T` in `Name<T>`.
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
