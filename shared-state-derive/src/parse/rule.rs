//! The rules of `validate(..)`.

use proc_macro2::Ident;
use syn::{Expr, LitStr, Path};

/// One rule of `validate(..)`; `name` is the token that asked for it.
pub(crate) enum Rule {
    Length { name: Ident, unit: Option<Ident>, min: Option<Expr>, max: Option<Expr> },
    Range { name: Ident, min: Option<Expr>, max: Option<Expr> },
    Pattern { name: Ident, pattern: LitStr },
    Custom { path: Path },
    Inner { name: Ident, rules: Vec<Rule> },
    Email { name: Ident },
    Url { name: Ident },
    Dive { name: Ident },
}
