//! The size of a typed room's state as it is sent, known well enough to bound it.
//!
//! Measuring it costs the state, so it is not done for each change. Between two measurements the size is at most the
//! last one and the bytes of the updates since. The state is measured when that passes the limit by a share of it, so
//! that the measurements cost a constant factor of what is written; only a change to a state that is full costs the state.

use crate::core::{Code, Reject};

/// A state may be larger than its limit by this share of it.
const SHARE: usize = 64;

/// The size of a state and its limit, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateSize {
    limit: usize,
    /// The size, or more.
    bound: usize,
}

impl Default for StateSize {
    fn default() -> Self {
        Self { limit: usize::MAX, bound: 0 }
    }
}

impl StateSize {
    /// Sets the limit of a state of this size.
    pub(super) const fn set_limit(&mut self, limit: usize, size: usize) {
        (self.limit, self.bound) = (limit, size);
    }

    /// A change of `written` bytes was accepted, whatever the size.
    pub(super) const fn add(&mut self, written: usize) {
        self.bound = self.bound.saturating_add(written);
    }

    /// Whether the size is to be measured before a client's change is applied, since the state may be over its limit.
    pub(super) const fn is_over(&self) -> bool {
        self.bound > self.limit.saturating_add(self.limit / SHARE)
    }

    /// Sets the size that was measured.
    pub(super) const fn set(&mut self, size: usize) {
        self.bound = size;
    }

    /// Decides about a client's change of `written` bytes, which the state contains already. `measure` is the size of the
    /// state with it.
    ///
    /// # Errors
    /// The state is larger than its limit, and the change has not made it smaller. It must be taken out again.
    pub(super) fn check(&mut self, written: usize, measure: impl FnOnce() -> usize) -> Result<(), Reject> {
        let before = *self;
        self.add(written);
        if !self.is_over() {
            return Ok(());
        }
        self.set(measure());
        if self.bound > self.limit && self.bound >= before.bound {
            *self = before;
            let message = format!("the state would be larger than {} bytes", self.limit);
            return Err(Reject::new(Code::StateTooLarge, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state that is a number of bytes.
    struct State {
        size: StateSize,
        bytes: usize,
        measured: usize,
    }

    impl State {
        /// Writes some bytes in the place of others.
        fn write(&mut self, written: usize, replaced: usize) -> bool {
            let bytes = (self.bytes + written).saturating_sub(replaced);
            if self.size.is_over() {
                self.size.set(self.bytes);
            }
            let measure = || {
                self.measured += 1;
                bytes
            };
            let is_accepted = self.size.check(written, measure).is_ok();
            if is_accepted {
                self.bytes = bytes;
            }
            is_accepted
        }

        fn fill(&mut self) -> bool {
            while self.write(100, 0) {}
            (9_900..=10_000 + 10_000 / SHARE).contains(&self.bytes)
        }
    }

    #[test]
    fn a_state_grows_to_its_limit_and_shrinks_from_there() {
        let mut state = State { size: StateSize::default(), bytes: 10, measured: 0 };
        state.size.set_limit(10_000, 10);
        assert!(state.fill(), "{}", state.bytes);
        assert!(state.write(50, 5_000) && state.write(4_000, 0));
        assert!(state.fill(), "{}", state.bytes);
        // A server that wrote more than the limit lets clients make it smaller.
        state.bytes += 20_000;
        state.size.add(30_000);
        assert!(state.write(0, 1) && !state.write(300, 0) && !state.write(1, 0) && state.write(20, 300));
    }

    #[test]
    fn a_state_that_is_rewritten_is_measured_after_a_share_of_its_limit() {
        let mut state = State { size: StateSize::default(), bytes: 9_900, measured: 0 };
        state.size.set_limit(10_000, 9_900);
        assert!((0..1_000).all(|_| state.write(10, 10)));
        assert!(state.measured <= 1_000 * 10 / (10_000 / SHARE) + 1, "{}", state.measured);
    }
}
