//! What an app adds to a simulation: its rules on the server, its operations and its invariants.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::authority::OnChange;
use crate::core::{
    Backend, Field, FieldPathBuf, MergePolicy, Roles, SharedState, WriteError, WritePermissions, transfer,
};
use crate::testing::client::Client;

type Work<S> =
    dyn Fn(&<S as SharedState>::Handle<SimulatedClient<S>>, &mut Rng) -> Result<(), WriteError> + Send + Sync;

/// An operation of the app.
pub(super) struct Operation<S: SharedState> {
    pub(super) name: &'static str,
    pub(super) work: Arc<Work<S>>,
}

impl<S: SharedState> Clone for Operation<S> {
    fn clone(&self) -> Self {
        Self { name: self.name, work: self.work.clone() }
    }
}

type Check<S> = dyn Fn(&S) -> Result<(), String> + Send + Sync;

/// What must hold of each state of the room.
pub(super) struct Invariant<S> {
    pub(super) name: &'static str,
    pub(super) holds: Arc<Check<S>>,
}

impl<S> Clone for Invariant<S> {
    fn clone(&self) -> Self {
        Self { name: self.name, holds: self.holds.clone() }
    }
}

/// The app's part of a simulation.
pub(super) struct App<S: SharedState> {
    pub(super) on_change: Option<Arc<OnChange<S>>>,
    pub(super) operations: Vec<Operation<S>>,
    pub(super) invariants: Vec<Invariant<S>>,
    /// Whether clients make no random writes besides the operations.
    pub(super) only_operations: bool,
    /// Whether the server's program writes at random; `None`: unless there are rules.
    pub(super) server_writes: Option<bool>,
    /// The roles that users have; empty: any of those that the struct asks for.
    pub(super) roles: Vec<Roles>,
}

impl<S: SharedState> Clone for App<S> {
    fn clone(&self) -> Self {
        let Self { on_change, operations, invariants, only_operations, server_writes, roles } = self;
        Self {
            on_change: on_change.clone(),
            operations: operations.clone(),
            invariants: invariants.clone(),
            only_operations: *only_operations,
            server_writes: *server_writes,
            roles: roles.clone(),
        }
    }
}

impl<S: SharedState> App<S> {
    pub(super) const fn new() -> Self {
        Self {
            on_change: None,
            operations: Vec::new(),
            invariants: Vec::new(),
            only_operations: false,
            server_writes: None,
            roles: Vec::new(),
        }
    }

    /// Checks the invariants of the room's state.
    pub(super) fn check(&self, state: &S, version: u64) -> Result<(), String> {
        self.invariants.iter().try_for_each(|Invariant { name, holds }| {
            let held =
                catch_unwind(AssertUnwindSafe(|| holds(state))).unwrap_or_else(|panic| Err(told(&*panic)));
            held.map_err(|why| {
                let shown = crate::testing::json::json(state);
                format!("the invariant `{name}` does not hold at version {version}: {why}\n{shown}")
            })
        })
    }
}

/// What an invariant says of a state: a bool, or a `Result` whose error tells what is wrong.
pub trait Holds {
    /// The error, if the invariant does not hold.
    ///
    /// # Errors
    /// It does not hold.
    fn holds(self) -> Result<(), String>;
}

impl Holds for bool {
    fn holds(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("it is false".to_owned()) }
    }
}

impl<E: fmt::Display> Holds for Result<(), E> {
    fn holds(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// The message of a panic.
pub(super) fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(|text| &**text));
    format!("it panicked: {}", text.unwrap_or("without a message"))
}

/// A client of a [`Simulation`](crate::testing::Simulation) during one of the app's operations; the handle that the
/// operation is given dereferences to it.
///
/// A write shows at once, and is sent over the simulated network later. It may be refused or overtaken. Usable until
/// the operation returns.
pub struct SimulatedClient<S: SharedState>(Rc<RefCell<Option<Turn<S>>>>);

struct Turn<S: SharedState> {
    client: Client<S>,
    now: Duration,
    /// A fault of the crate that a write has found.
    fault: Option<String>,
}

impl<S: SharedState> SimulatedClient<S> {
    /// Runs an operation as `client`. Returns the client, and what the operation returned or the fault that it found.
    pub(super) fn run(
        client: Client<S>,
        now: Duration,
        operation: &Operation<S>,
        rng: &mut Rng,
    ) -> (Client<S>, Result<Result<(), WriteError>, String>) {
        let turn = Rc::new(RefCell::new(Some(Turn { client, now, fault: None })));
        let handle = S::Handle::from(Self(turn.clone()));
        let done = catch_unwind(AssertUnwindSafe(|| (operation.work)(&handle, rng)));
        let Turn { client, fault, .. } = turn.borrow_mut().take().expect("only this function takes it");
        let done = match (fault, done) {
            (Some(fault), _) => Err(format!("the operation `{}`: {fault}", operation.name)),
            (None, Err(panic)) => Err(format!("the operation `{}`: {}", operation.name, told(&*panic))),
            (None, Ok(done)) => Ok(done),
        };
        (client, done)
    }

    fn with<R>(&self, look: impl FnOnce(&mut Turn<S>) -> R) -> R {
        look(
            self.0
                .borrow_mut()
                .as_mut()
                .expect("a simulated client is used after its operation has returned"),
        )
    }

    /// The client's public id, by which rules know the author of its changes.
    #[must_use]
    pub fn name(&self) -> String {
        self.with(|turn| turn.client.name.clone())
    }

    /// Whether the client has this role. The client may not have been told of it yet.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.with(|turn| turn.client.roles.has(role))
    }

    /// A copy of the state that this client shows.
    #[must_use]
    pub fn state(&self) -> S {
        self.read(S::clone)
    }

    /// A copy of a field.
    #[must_use]
    pub fn get<T: Clone, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> T {
        self.read(|state| field.get(state).clone())
    }

    /// Sets a field.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>, value: T) -> Result<(), WriteError> {
        self.write(field.set(value))
    }

    /// Sets the fields that the patch has, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn merge(&self, patch: S::Patch) -> Result<(), WriteError> {
        self.write_with(|_| S::patch_updates(patch))
    }

    /// Changes a copy of the state and writes what is different, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn update(&self, change: impl FnOnce(&mut S)) -> Result<(), WriteError> {
        self.write_with(|state| transfer::changes(state, change).1)
    }

    /// Whether this client may set a field, as far as the room has said.
    #[must_use]
    pub fn can_set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> bool {
        !S::FIELDS[field.id()].read_only && self.can_write(FieldPathBuf::of(field.name()).as_str())
    }
}

impl<S: SharedState> Backend<S> for SimulatedClient<S> {
    type Receipt = ();
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        self.with(|turn| look(turn.client.replica.state()))
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<(), WriteError> {
        self.with(|turn| {
            let updates = decide(turn.client.replica.state());
            turn.client.write_updates(turn.now, updates).map(|recorded| {
                if let Err(fault) = recorded {
                    turn.fault.get_or_insert(fault);
                }
            })
        })
    }
}

impl<S: SharedState> WritePermissions<S> for SimulatedClient<S> {
    fn can_write(&self, path: &str) -> bool {
        self.with(|turn| turn.client.replica.permissions().can_write(path))
    }
}

impl<S: SharedState> Clone for SimulatedClient<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: SharedState> fmt::Debug for SimulatedClient<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedClient").field("type", &S::NAME).finish_non_exhaustive()
    }
}
