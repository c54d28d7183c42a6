//! Access to the operation inside an update of any field, from which updates get `Clone`, `PartialEq` and
//! `Debug`.
//!
//! An update is a generated enum with a variant for each field. These functions are written once for all
//! structs, so the derive has to generate only one match.

use std::any::Any;
use std::fmt::{self, Debug};
use std::mem::discriminant;

/// A function that is called with the operation inside an update of type `U`, whatever the operation's type
/// is.
pub trait OpVisitor<'a, U> {
    /// The result.
    type Out;

    /// Receives the operation. `variant` is the name of its variant in the update, and `make` turns an
    /// operation of this type into an update of the same field.
    fn visit<O: Clone + PartialEq + Debug + 'static>(
        self,
        op: &'a O,
        variant: &'static str,
        make: fn(O) -> U,
    ) -> Self::Out;
}

/// An update that gives access to its operation.
pub trait Operation: Sized {
    /// Calls `visitor` with the operation.
    fn operation<'a, V: OpVisitor<'a, Self>>(&'a self, visitor: V) -> V::Out;
}

/// Clones an update.
pub fn clone_update<U: Operation>(update: &U) -> U {
    struct Copying;

    impl<U> OpVisitor<'_, U> for Copying {
        type Out = U;

        fn visit<O: Clone + PartialEq + Debug + 'static>(self, op: &O, _: &str, make: fn(O) -> U) -> U {
            make(op.clone())
        }
    }

    update.operation(Copying)
}

/// Formats an update as a derived `Debug` would.
///
/// # Errors
/// The formatter failed.
pub fn show_update<U: Operation>(update: &U, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    struct Showing<'f, 'g>(&'f mut fmt::Formatter<'g>);

    impl<U> OpVisitor<'_, U> for Showing<'_, '_> {
        type Out = fmt::Result;

        fn visit<O: Clone + PartialEq + Debug + 'static>(
            self,
            op: &O,
            variant: &str,
            _: fn(O) -> U,
        ) -> fmt::Result {
            self.0.debug_tuple(variant).field(op).finish()
        }
    }

    update.operation(Showing(f))
}

/// Whether two updates are the same operation on the same field.
pub fn same_update<U: Operation>(a: &U, b: &U) -> bool {
    struct Seeing;

    impl<'a, U> OpVisitor<'a, U> for Seeing {
        type Out = &'a dyn Any;

        fn visit<O: Clone + PartialEq + Debug + 'static>(
            self,
            op: &'a O,
            _: &str,
            _: fn(O) -> U,
        ) -> &'a dyn Any {
            op
        }
    }

    struct Comparing<'b>(&'b dyn Any);

    impl<U> OpVisitor<'_, U> for Comparing<'_> {
        type Out = bool;

        fn visit<O: Clone + PartialEq + Debug + 'static>(self, op: &O, _: &str, _: fn(O) -> U) -> bool {
            self.0.downcast_ref() == Some(op)
        }
    }

    // The variant has to be compared too: two fields may have operations of one type.
    discriminant(a) == discriminant(b) && a.operation(Comparing(b.operation(Seeing)))
}
