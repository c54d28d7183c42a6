//! What the app takes from a replica: the events and the answers to its writes, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::{Rejected, SharedState};
use crate::replica::change::WriteId;
use crate::replica::event::{Event, Origin};

pub(super) struct Output<S: SharedState> {
    events: VecDeque<Event<S>>,
    max_events: usize,
    /// How many events were dropped since the app last took one.
    missed: u64,
    answers: VecDeque<(WriteId, Result<u64, Rejected>)>,
}

impl<S: SharedState> Output<S> {
    pub(super) const fn new(max_events: usize) -> Self {
        Self { events: VecDeque::new(), max_events, missed: 0, answers: VecDeque::new() }
    }

    /// Adds an event, unless it has no updates.
    pub(super) fn event(
        &mut self,
        origin: Origin,
        version: Option<u64>,
        from: Option<Arc<str>>,
        updates: Vec<S::Update>,
    ) {
        if updates.is_empty() {
            return;
        }
        if self.events.len() >= self.max_events {
            // The app does not take its events: replace them by a count, after which the app reads the state.
            self.missed += self.events.len() as u64;
            self.events.clear();
        }
        self.events.push_back(Event { origin, version, from, updates });
    }

    pub(super) fn answer(&mut self, id: WriteId, answer: Result<u64, Rejected>) {
        self.answers.push_back((id, answer));
    }

    pub(super) fn poll_event(&mut self) -> Option<Event<S>> {
        if self.missed > 0 {
            let origin = Origin::Lagged(std::mem::take(&mut self.missed));
            return Some(Event { origin, version: None, from: None, updates: Vec::new() });
        }
        self.events.pop_front()
    }

    pub(super) fn poll_answer(&mut self) -> Option<(WriteId, Result<u64, Rejected>)> {
        self.answers.pop_front()
    }
}
