//! Transactions: a change that is applied only if what it read is still so.

use crate::merge::{Counter, CounterOp, MergePolicy, Number};
use crate::state::{Field, FieldId, SharedState};

/// What a transaction's closure reads from and writes to.
///
/// Reads see the state with the transaction's own writes. What is read is remembered: the server refuses the
/// transaction if one of these fields was changed by somebody else meanwhile. A field that is only written is
/// not compared.
pub struct Transaction<S: SharedState> {
    state: S,
    reads: Vec<FieldId>,
    updates: Vec<S::Update>,
}

impl<S: SharedState> Transaction<S> {
    /// A transaction on a copy of `state`.
    #[must_use]
    pub fn new(state: &S) -> Self {
        Self { state: state.clone(), reads: Vec::new(), updates: Vec::new() }
    }

    /// Reads a field; the transaction depends on it from now on.
    pub fn get<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>) -> &T {
        if !self.reads.contains(&field.id()) {
            self.reads.push(field.id());
        }
        field.get(&self.state)
    }

    /// Sets a field.
    pub fn set<T, P: MergePolicy<T>>(&mut self, field: Field<S, T, P>, value: T) {
        self.write(field.set(value));
    }

    /// Adds to a counter.
    pub fn add<T: Number>(&mut self, field: Field<S, T, Counter>, by: T) {
        self.write(field.op(CounterOp::Add(by)));
    }

    /// Changes the state by a function and writes what is different. As the function may look at any field, the
    /// transaction depends on all of them from now on. Costs the state; gives what `change` gives.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut S) -> R) -> R {
        self.reads = (0..S::FIELDS.len()).collect();
        let mut changed = self.state.clone();
        let result = change(&mut changed);
        for update in S::diff(&self.state, &changed) {
            self.write(update);
        }
        result
    }

    /// Writes any update.
    pub fn write(&mut self, update: S::Update) {
        self.state.apply(update.clone());
        self.updates.push(update);
    }

    /// The updates written and the fields read.
    #[must_use]
    pub fn into_parts(self) -> (Vec<S::Update>, Vec<FieldId>) {
        (self.updates, self.reads)
    }
}
