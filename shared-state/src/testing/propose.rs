//! Writes that are likely to be accepted, so that a simulation reaches the states which its struct's rules allow.

use fastrand::Rng;

use crate::core::{Invalid, SharedState};
use crate::testing::sample::sample_update;

/// How many updates are drawn for one that the rules accept.
const TRIES: usize = 8;

/// A random update of `state`. It is mostly one that changes it and that `may` and the rules accept, and now and then
/// any: what is refused has to be tried too.
pub(super) fn propose<S: SharedState>(
    rng: &mut Rng,
    state: &S,
    may: impl Fn(&S::Update) -> bool,
) -> Option<S::Update> {
    let mut last = None;
    for _ in 0..TRIES {
        let Some(update) = sample_update(rng, state) else { continue };
        // What has no effect is answered without a change.
        let is_wanted = state.has_effect(&update) || rng.u8(..8) == 0;
        if rng.u8(..16) == 0 || is_wanted && may(&update) && check(state, &update).is_ok() {
            return Some(update);
        }
        last = Some(update);
    }
    last
}

/// Checks the rules that a client checks.
fn check<S: SharedState>(state: &S, update: &S::Update) -> Result<(), Invalid> {
    state.check_op(update)?;
    let mut after = state.clone();
    let inverse = after.apply(update.clone());
    after.check(&inverse)?;
    if S::HAS_RULE { after.check_rule() } else { Ok(()) }
}
