//! The work of a change, counted while it is decided. A change that would take too much is refused by whoever
//! [limits](limited) it.
//!
//! Policies count what an operation costs beyond a constant: a list in a `Vec` counts the items that it compares and
//! shifts. The count belongs to the thread, as the operations of a change run one after another on one.

use std::cell::Cell;

use crate::core::restore::Restore;
use crate::core::{Code, Reject};

thread_local! {
    /// The steps that are left; `u64::MAX`: there is no limit.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Counts steps of about 10 ns.
pub(crate) fn spend(steps: usize) {
    let left = LEFT.get();
    if left < u64::MAX {
        LEFT.set(left.saturating_sub(steps as u64));
    }
}

/// Checks that the steps that [`limited`] allows are not used up.
///
/// # Errors
/// They are.
pub(crate) fn check() -> Result<(), Reject> {
    if LEFT.get() > 0 {
        return Ok(());
    }
    let message =
        "it takes too much work to decide the change: write less at once, or keep a long list in a `List`";
    Err(Reject::new(Code::TooCostly, message))
}

/// Runs `act`, in which [`check`] fails once it has taken this many steps.
pub(crate) fn limited<R>(steps: u64, act: impl FnOnce() -> R) -> R {
    let _restore = Restore(&LEFT, LEFT.replace(steps));
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_within_a_limit_only() {
        spend(usize::MAX);
        assert!(check().is_ok());
        limited(3, || {
            spend(2);
            assert!(check().is_ok());
            limited(1, || {
                spend(5);
                assert!(check().is_err());
            });
            assert!(check().is_ok());
            spend(1);
            assert!(check().is_err());
        });
        assert!(check().is_ok());
    }
}
