//! [`State`]: a room's state as the server's program reads and writes it, with the server's permissions.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::sync::oneshot;

use crate::authority::{RoomState, Typed};
use crate::core::WriteError;
use crate::core::{Backend, Field, FieldId, Invalid, ServerBackend, SharedState, Watch, canonical_update};
use crate::core::{Code, Reject};
use crate::core::{MergePolicy, transfer};
use crate::merge::{Counter, CounterOp};
use crate::server::rooms::room::{Closed, Room};

/// A room's state in the server's program; see [`Server::room`](crate::server::Server::room).
///
/// It reads the state with every accepted change, including those that are not durable yet, and writes it with the
/// server's permissions: fields that are read-only for clients may be written.
///
/// Cheap to clone. The room stays in memory while a handle exists. If its store fails, the room is reset, and writes
/// fail with [`WriteError::Closed`]: call [`Server::room`](crate::server::Server::room) again.
pub struct State<S> {
    guard: Arc<RoomGuard>,
    state: PhantomData<fn() -> S>,
}

/// Keeps a room in memory until it is dropped.
pub(crate) struct RoomGuard(pub(crate) Arc<Room>);

impl Drop for RoomGuard {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The room was reset before the store answered, so the change may or may not be in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("room `{room}` was reset before the store had the change: it may or may not be in the room")]
#[non_exhaustive]
pub struct OutcomeUnknown {
    /// The room.
    pub room: Arc<str>,
}

/// What a write returns: resolves to the version of the change once that version is durable, or to the current
/// version if there was nothing to change. Dropping it does not undo the change.
#[must_use = "a write is durable when its receipt resolves; `drop` it if that does not matter"]
pub struct Receipt {
    room: Arc<str>,
    durable: oneshot::Receiver<u64>,
}

impl Receipt {
    pub(crate) const fn new(room: Arc<str>, durable: oneshot::Receiver<u64>) -> Self {
        Self { room, durable }
    }
}

impl Future for Receipt {
    type Output = Result<u64, OutcomeUnknown>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.durable.poll_unpin(cx).map_err(|_| OutcomeUnknown { room: self.room.clone() })
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<S: SharedState> State<S> {
    /// Takes over the caller's hold of the room, see [`Room::hold`]; returns the room if its state is not an `S`.
    pub(crate) fn new(room: Arc<Room>) -> Result<Self, Arc<Room>> {
        match room.read(|state, _| state.as_any().is::<Typed<S>>()) {
            true => Ok(Self { guard: Arc::new(RoomGuard(room)), state: PhantomData }),
            false => {
                room.release();
                Err(room)
            }
        }
    }

    /// A handle of a room whose state is known to be an `S`, for a task of the server; `None` if the room has ended.
    pub(crate) fn of(room: &Arc<Room>) -> Option<Self> {
        room.hold_in_task().ok()?;
        Some(Self { guard: Arc::new(RoomGuard(room.clone())), state: PhantomData })
    }

    fn room(&self) -> &Arc<Room> {
        &self.guard.0
    }

    /// A copy of the state.
    #[must_use]
    pub fn state(&self) -> S {
        self.read(S::clone)
    }

    /// The version of the last accepted change, durable or in flight.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.room().read(|_, version| version)
    }

    /// A copy of one field's value.
    #[must_use]
    pub fn get<T: Clone, P: MergePolicy<T>>(&self, field: Field<S, T, P>) -> T {
        self.read(|state| field.get(state).clone())
    }

    /// Sets one field.
    ///
    /// # Errors
    /// As [`Backend::write`]; [`WriteError::Closed`] if the room was reset or closed.
    pub fn set<T, P: MergePolicy<T>>(&self, field: Field<S, T, P>, value: T) -> Result<Receipt, WriteError> {
        self.write(field.set(value))
    }

    /// Adds to a counter.
    ///
    /// # Errors
    /// As [`Backend::write`]; [`WriteError::Closed`] if the room was reset or closed.
    pub fn add<T>(&self, field: Field<S, T, Counter>, amount: T) -> Result<Receipt, WriteError>
    where
        Counter: MergePolicy<T, Op = CounterOp<T>>,
    {
        self.write(field.op(CounterOp::Add(amount)))
    }

    /// Subtracts from a counter.
    ///
    /// # Errors
    /// As [`Backend::write`]; [`WriteError::Closed`] if the room was reset or closed.
    pub fn sub<T>(&self, field: Field<S, T, Counter>, amount: T) -> Result<Receipt, WriteError>
    where
        Counter: MergePolicy<T, Op = CounterOp<T>>,
    {
        self.write(field.op(CounterOp::Sub(amount)))
    }

    /// Sets the fields that the patch has, as one change.
    ///
    /// # Errors
    /// As [`Backend::write`]; [`WriteError::Closed`] if the room was reset or closed.
    pub fn merge(&self, patch: S::Patch) -> Result<Receipt, WriteError> {
        self.submit(|_| S::patch_updates(patch))
    }

    /// Runs `change` on a copy of the state and writes the difference as one change. No other change comes in
    /// between.
    ///
    /// Costs about two clones of the state. The room is locked meanwhile: `change` must be quick and must not use the
    /// room.
    ///
    /// # Errors
    /// As [`Backend::write`]; [`WriteError::Closed`] if the room was reset or closed.
    ///
    /// # Panics
    /// If `change` panics; nothing is changed then.
    pub fn update(&self, change: impl FnOnce(&mut S)) -> Result<Receipt, WriteError> {
        let mut panic = None;
        let written = self.submit(|old| {
            let mut new = old.clone();
            match catch_unwind(AssertUnwindSafe(|| change(&mut new))) {
                Ok(()) => transfer::differences(old, &new),
                Err(payload) => {
                    panic = Some(payload);
                    Vec::new()
                }
            }
        });
        match panic {
            Some(payload) => resume_unwind(payload),
            None => written,
        }
    }

    /// The durable versions as they advance. A slow reader gets the latest one rather than each. Ends when the room
    /// ends.
    pub fn changes(&self) -> impl Stream<Item = u64> + Send + Unpin + use<S> {
        let mut versions = self.room().versions();
        versions.mark_unchanged();
        let changes = stream::unfold(versions, |mut versions| async move {
            versions.changed().await.ok()?;
            let version = *versions.borrow_and_update();
            Some((version, versions))
        });
        Box::pin(changes.fuse())
    }

    /// A field's value now, and then whenever a change has given it another value. Ends when the room ends; does not
    /// keep the room in memory.
    pub fn watch<T, P>(&self, field: Field<S, T, P>) -> impl Stream<Item = T> + Send + Unpin + use<S, T, P>
    where
        T: Clone + PartialEq + Send + 'static,
        P: MergePolicy<T>,
    {
        let mut last = None;
        self.values(move |state| {
            let value = field.get(state);
            let new = last.as_ref() != Some(value);
            new.then(|| last.insert(value.clone()).clone())
        })
    }

    /// What `look` returns of the state now and after each change; `None` is left out.
    fn values<T: Send + 'static>(
        &self,
        mut look: impl FnMut(&S) -> Option<T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        let room = Arc::downgrade(self.room());
        let now = stream::once(std::future::ready(0));
        let values = now.chain(self.changes()).filter_map(move |_| {
            let value =
                room.upgrade().and_then(|room| room.read(|state, _| typed::<S>(state).and_then(&mut look)));
            std::future::ready(value)
        });
        values.boxed()
    }

    fn submit(&self, updates: impl FnOnce(&S) -> Vec<S::Update>) -> Result<Receipt, WriteError> {
        let room = self.room();
        let Some(permit) = room.permit_now() else {
            return Err(match room.is_closed() {
                true => WriteError::Closed,
                false => WriteError::QueueFull { limit: room.limit(), unit: "changes" },
            });
        };
        let (durable, receipt) = oneshot::channel();
        let encoded = |state: &dyn RoomState| {
            let state = typed::<S>(state).ok_or(WriteError::Closed)?;
            let updates = updates(state);
            if updates.is_empty() {
                return Ok(None);
            }
            let mut text = String::from("[");
            for (index, update) in updates.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let (_, encoded) = canonical_update::<S>(update).map_err(WriteError::Unsendable)?;
                text.push_str(encoded.as_str());
            }
            text.push(']');
            Ok(Some(text))
        };
        match room.submit_server(encoded, permit, durable) {
            Ok(Ok(())) => Ok(Receipt::new(room.name().clone(), receipt)),
            Ok(Err(error)) => Err(as_invalid(error)),
            Err(Closed) => Err(WriteError::Closed),
        }
    }
}

fn typed<S: SharedState>(state: &dyn RoomState) -> Option<&S> {
    state.as_any().downcast_ref::<Typed<S>>().map(Typed::get)
}

/// A broken rule is reported as [`WriteError::Invalid`], as on a client.
fn as_invalid(error: WriteError) -> WriteError {
    match error {
        WriteError::Rejected(Reject { code: Code::Invalid, field, message }) => {
            WriteError::Invalid(Invalid { field: field.unwrap_or_default(), rule: "room", message })
        }
        error => error,
    }
}

impl<S: SharedState> Backend<S> for State<S> {
    type Receipt = Receipt;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        self.room().read(|state, _| {
            let state = typed::<S>(state).expect("the type was checked when the handle was made");
            look(state)
        })
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<Receipt, WriteError> {
        self.submit(decide)
    }
}

impl<S: SharedState> Watch<S> for State<S> {
    type Stream<T: Send + 'static> = BoxStream<'static, T>;

    fn watch<T: Send + 'static>(
        &self,
        _field: FieldId,
        look: impl FnMut(&S) -> Option<T> + Send + 'static,
    ) -> BoxStream<'static, T> {
        self.values(look)
    }
}

impl<S: SharedState> ServerBackend<S> for State<S> {}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self { guard: self.guard.clone(), state: PhantomData }
    }
}

impl<S> fmt::Debug for State<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("room", self.guard.0.name()).finish_non_exhaustive()
    }
}
