//! The limits of a simulated server, and the check that no client sends what they forbid.

use fastrand::Rng;

use crate::authority::read_updates;
use crate::proto::{ClientLimits, ClientMessage, Envelope, Frame, Limits};

/// Sets some limits so low that what clients write comes up to them.
pub(super) fn bring_near(limits: &mut Limits, rng: &mut Rng) {
    let mut near = |limit: &mut usize, lowest, range| {
        if rng.bool() {
            *limit = lowest + rng.usize(..range);
        }
    };
    near(&mut limits.frame, 250, 1000);
    near(&mut limits.depth, 3, 6);
    near(&mut limits.key, 4, 24);
    near(&mut limits.updates, 1, 5);
    near(&mut limits.state, 200, 2000);
    if rng.bool() {
        limits.work = rng.u64(1..40);
    }
}

/// Checks that a change which a client sends is within the limits that it was told.
pub(super) fn check_sent(limits: &ClientLimits, frame: &Frame) -> Result<(), String> {
    let text = frame.as_str();
    let envelope = Envelope::read(text).map_err(|error| error.to_string())?;
    let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else { return Ok(()) };
    if change.again {
        // It may have been accepted, and others may have moved what it changes to a longer path since.
        return Ok(());
    }
    let updates = read_updates(change.updates.get()).map_err(|error| error.to_string())?;
    limits
        .check_frame(text.len())
        .and_then(|()| limits.check_depth(text, 0))
        .and_then(|()| limits.check_updates(updates.len()))
        .and_then(|()| updates.iter().try_for_each(|update| limits.check_key(&update.key)))
        .and_then(|()| change.reads.iter().flatten().try_for_each(|read| limits.check_key(read)))
        .and_then(|()| limits.check_updates(change.reads.as_ref().map_or(1, Vec::len).max(1)))
        .map_err(|reject| format!("G4: the change was shown, and is refused whatever the state: {reject}"))
}
