//! What every update can do, whatever operation it holds: be copied, compared and shown.

use std::any::Any;
use std::fmt::{self, Debug};
use std::mem::discriminant;

/// What is done with the operation in an update of type `U`.
pub trait OpVisitor<'a, U> {
    /// What comes of it.
    type Out;

    /// `make` makes the operation an update again, of the variant of this name.
    fn visit<O: Clone + PartialEq + Debug + 'static>(
        self,
        op: &'a O,
        variant: &'static str,
        make: fn(O) -> U,
    ) -> Self::Out;
}

/// An update, seen as its operation.
pub trait Operation: Sized {
    /// Hands the operation to `visitor`.
    fn operation<'a, V: OpVisitor<'a, Self>>(&'a self, visitor: V) -> V::Out;
}

/// The same update once more.
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

/// Shows an update as a derived `Debug` would.
///
/// # Errors
/// What the formatter reports.
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

    // Two fields may have operations of one type.
    discriminant(a) == discriminant(b) && a.operation(Comparing(b.operation(Seeing)))
}
