//! The derive macro of the crate `shared-state`, which re-exports it. Depend on that crate, not on this one.
//!
//! Each stage is a module: `parse` reads tokens into attributes, `check` looks for contradictions, `model`
//! decides every name and default, `expand` writes the code. `ctxt` collects the errors and reports them
//! together.

mod check;
mod ctxt;
mod expand;
mod generics;
mod model;
mod nest;
mod parse;
mod tokens;

use proc_macro::TokenStream;
use syn::DeriveInput;

#[doc = include_str!("derive.md")]
#[proc_macro_derive(SharedState, attributes(shared))]
pub fn derive_shared_state(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    derive(input).unwrap_or_else(syn::Error::into_compile_error).into()
}

fn derive(input: DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let cx = ctxt::Ctxt::new();
    let model = parse::input(&cx, input).map(|input| {
        check::input(&cx, &input);
        let model = model::Model::new(input);
        check::model(&cx, &model);
        model
    });
    cx.finish()?;
    Ok(model.map(|model| expand::expand(&model)).unwrap_or_default())
}
