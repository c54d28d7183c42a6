//! [`RoomHooks`]: callbacks of the program for what happens in rooms of one type.
//!
//! The trait is implemented by the program. [`TypedHooks`] erases the type of the state and contains failures: a hook
//! that panics, or takes too long while somebody waits for it, only refuses what it was asked about.

use std::fmt;
use std::future::ready;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use crate::authority::{ProposedChange, RoomState, Typed, Verdict};
use crate::core::{Author, SharedState};
use crate::core::{Code, Reject};
use crate::proto::Violation;
use crate::server::rooms::handle::State;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::Room;

/// The longest time that `on_create` and `on_join` may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Callbacks for what happens in the rooms of one type; given to
/// [`rooms_with`](crate::server::ServerBuilder::rooms_with). Every method has a default, which accepts.
///
/// A function or closure `Fn(&S, &S, &Author) -> Result<(), E>` of the state before a change, the state after it and
/// the [`Author`] implements the trait: its error refuses the change.
///
/// # Order and waiting
/// | Hook | Called | Who waits for it |
/// |---|---|---|
/// | [`on_create`] | when a room without a stored history is opened | everyone entering the room, at most 10 s |
/// | [`on_join`] | before a session joins | the one who joins, at most 10 s |
/// | [`on_change`] | for each client's change, one at a time | the whole room: every change, join and leave |
/// | [`on_leave`] | after a session has left | nobody |
/// | [`on_empty`] | after the last session has left | nobody |
/// | [`on_tick`] | every [`tick`] while somebody is in the room | nobody |
///
/// The last three run one after another for a room. `on_change` is not async and runs under the room's lock. On a
/// runtime with several threads, other rooms do not wait for it; a thread that uses a [`State`] of the same room
/// does. On a runtime with one thread, nothing else runs before it returns.
///
/// [`on_create`]: Self::on_create
/// [`on_join`]: Self::on_join
/// [`on_change`]: Self::on_change
/// [`on_leave`]: Self::on_leave
/// [`on_empty`]: Self::on_empty
/// [`on_tick`]: Self::on_tick
/// [`tick`]: Self::tick
///
/// # Panics and timeouts
/// A panic is caught and logged, nothing is changed, and the room goes on. If `on_create`, `on_join` or `on_change`
/// panics, or one of the first two takes longer than 10 s, what it was asked about is refused with
/// [`Code::RulesFailed`].
///
/// # Example
/// ```
/// use serde::{Deserialize, Serialize};
/// use shared_state::SharedState;
/// use shared_state::server::{ProposedChange, RoomHooks, Verdict, Server, State, Participant};
///
/// #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
/// struct Game {
///     board: [Option<char>; 9],
///     #[shared(read_only)]
///     moves: u32,
/// }
///
/// struct GameHooks;
///
/// impl RoomHooks<Game> for GameHooks {
///     fn on_change(&self, change: &ProposedChange<'_, Game>) -> Result<Verdict<Game>, String> {
///         if change.before.moves == 9 {
///             return Err("the game is over".to_owned());
///         }
///         Ok(Verdict::amended(change, |game| game.moves += 1))
///     }
///
///     async fn on_join(&self, room: State<Game>, participant: &Participant) -> Result<(), String> {
///         println!("{} joins a game of {} moves", participant.client(), room.get(Game::MOVES));
///         Ok(())
///     }
/// }
///
/// let server = Server::builder().rooms_with("game-*", Game::default, GameHooks).build();
/// ```
pub trait RoomHooks<S: SharedState>: Send + Sync + 'static {
    /// Makes the first state of a room of which nothing is stored, before anybody is in it. `initial` is what the
    /// room's `initial` function returned. Called again for the same room if it left memory without ever being
    /// changed.
    ///
    /// # Errors
    /// Why the room cannot be created: sent to everyone who wants to enter, with [`Code::Forbidden`].
    fn on_create(&self, room: &str, initial: S) -> impl Future<Output = Result<S, String>> + Send {
        let _ = room;
        ready(Ok(initial))
    }

    /// Somebody is about to join the room; they are sent nothing of it before this returns. A client that reconnects
    /// joins again. Dropped before it finishes if the connection ends.
    ///
    /// If the join fails after this has succeeded, [`on_leave`](Self::on_leave) is called.
    ///
    /// # Errors
    /// Why they may not join: sent to them with [`Code::Forbidden`].
    fn on_join(
        &self,
        room: State<S>,
        participant: &Participant,
    ) -> impl Future<Output = Result<(), String>> + Send {
        let _ = (room, participant);
        ready(Ok(()))
    }

    /// Decides what becomes of a client's change that satisfies the validation rules of the state: accept it, amend
    /// it, replace it or refuse it; see [`Verdict`]. Its author is sent what was amended.
    ///
    /// Called in the order of the room's changes, under the room's lock: it must be quick and must not call the
    /// server. Each client's change in such a room costs a clone of the state. If the amended state breaks a
    /// validation rule, the change is refused with [`Code::RulesFailed`].
    ///
    /// # Errors
    /// Why the change is refused: sent to its author with [`Code::Invalid`]. The whole change is refused.
    fn on_change(&self, change: &ProposedChange<'_, S>) -> Result<Verdict<S>, String> {
        let _ = change;
        Ok(Verdict::Accept)
    }

    /// Somebody is no longer in the room: they left, or their connection ended. Not called when the room itself ends
    /// with everyone in it, at shutdown or because its store failed.
    fn on_leave(&self, room: State<S>, participant: &Participant) -> impl Future<Output = ()> + Send {
        let _ = (room, participant);
        ready(())
    }

    /// Nobody is in the room any more, and the last `on_leave` has returned.
    fn on_empty(&self, room: State<S>) -> impl Future<Output = ()> + Send {
        let _ = room;
        ready(())
    }

    /// Called every [`tick`](Self::tick) while somebody is in the room. The interval is counted from the end of the
    /// previous call.
    fn on_tick(&self, room: State<S>) -> impl Future<Output = ()> + Send {
        let _ = room;
        ready(())
    }

    /// The interval of [`on_tick`](Self::on_tick). Default: `None`, never.
    fn tick(&self) -> Option<Duration> {
        None
    }
}

impl<S, E, F> RoomHooks<S> for F
where
    S: SharedState,
    E: fmt::Display,
    F: Fn(&S, &S, &Author) -> Result<(), E> + Send + Sync + 'static,
{
    fn on_change(&self, change: &ProposedChange<'_, S>) -> Result<Verdict<S>, String> {
        match self(change.before, change.after, change.author) {
            Ok(()) => Ok(Verdict::Accept),
            Err(error) => Err(error.to_string()),
        }
    }
}

type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The hooks of a type of room, with the type of the state erased.
pub(crate) trait AnyHooks: Send + Sync {
    /// The state that a stored room is loaded into.
    fn begin(&self) -> Box<dyn RoomState>;
    fn create<'a>(&'a self, room: &'a str) -> Task<'a, Result<Box<dyn RoomState>, Violation>>;
    fn join<'a>(&'a self, room: Arc<Room>, participant: &'a Participant) -> Task<'a, Result<(), Violation>>;
    fn leave<'a>(&'a self, room: Arc<Room>, participant: &'a Participant) -> Task<'a, ()>;
    fn empty(&self, room: Arc<Room>) -> Task<'_, ()>;
    fn on_tick(&self, room: Arc<Room>) -> Task<'_, ()>;
    fn tick(&self) -> Option<Duration>;
}

/// The hooks of the rooms whose state is an `S`.
pub(crate) struct TypedHooks<S, R> {
    hooks: Arc<R>,
    initial: Arc<dyn Fn() -> S + Send + Sync>,
}

impl<S: SharedState, R: RoomHooks<S>> TypedHooks<S, R> {
    pub(crate) fn new(hooks: R, initial: Arc<dyn Fn() -> S + Send + Sync>) -> Self {
        Self { hooks: Arc::new(hooks), initial }
    }

    fn state(&self, initial: S) -> Box<dyn RoomState> {
        let hooks = self.hooks.clone();
        let on_change = move |change: &ProposedChange<'_, S>| match catch_unwind(AssertUnwindSafe(|| {
            hooks.on_change(change)
        })) {
            Ok(verdict) => verdict.map_err(|message| Reject::new(Code::Invalid, message)),
            Err(_) => {
                tracing::error!(author = change.author.name(), "the `on_change` hook panicked");
                Err(Reject::new(Code::RulesFailed, "the server's `on_change` hook failed"))
            }
        };
        Box::new(Typed::new(initial).with_on_change(Arc::new(on_change)))
    }
}

/// Awaits a hook that somebody waits for. A panic or a timeout is an error.
async fn await_hook<T>(
    what: &str,
    room: &str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, Violation> {
    let failed = match timeout(HOOK_TIMEOUT, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(answer)) => return answer.map_err(|message| Violation::new(Code::Forbidden, message)),
        Ok(Err(_)) => "panicked",
        Err(_) => "took too long",
    };
    tracing::error!(room, "the `{what}` hook {failed}");
    Err(Violation::new(Code::RulesFailed, format!("the server's `{what}` hook failed")))
}

/// Awaits a hook that nobody waits for. A panic is logged.
async fn await_background_hook(what: &str, room: &str, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!(room, "the `{what}` hook panicked");
    }
}

impl<S: SharedState, R: RoomHooks<S>> AnyHooks for TypedHooks<S, R> {
    fn begin(&self) -> Box<dyn RoomState> {
        self.state((self.initial)())
    }

    fn create<'a>(&'a self, room: &'a str) -> Task<'a, Result<Box<dyn RoomState>, Violation>> {
        Box::pin(async move {
            let created = async { self.hooks.on_create(room, (self.initial)()).await };
            await_hook("on_create", room, created).await.map(|state| self.state(state))
        })
    }

    fn join<'a>(&'a self, room: Arc<Room>, participant: &'a Participant) -> Task<'a, Result<(), Violation>> {
        Box::pin(async move {
            // The room has just ended: the join that follows finds that out.
            let Some(state) = State::of(&room) else { return Ok(()) };
            await_hook("on_join", room.name(), async { self.hooks.on_join(state, participant).await }).await
        })
    }

    fn leave<'a>(&'a self, room: Arc<Room>, participant: &'a Participant) -> Task<'a, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            await_background_hook("on_leave", room.name(), async {
                self.hooks.on_leave(state, participant).await
            })
            .await;
        })
    }

    fn empty(&self, room: Arc<Room>) -> Task<'_, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            await_background_hook("on_empty", room.name(), async { self.hooks.on_empty(state).await }).await;
        })
    }

    fn on_tick(&self, room: Arc<Room>) -> Task<'_, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            await_background_hook("on_tick", room.name(), async { self.hooks.on_tick(state).await }).await;
        })
    }

    fn tick(&self) -> Option<Duration> {
        self.hooks.tick()
    }
}
