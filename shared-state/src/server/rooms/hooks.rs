//! What the server's program has to say about what happens in a kind of rooms.
//!
//! A [`RoomHooks`] is written by the program. Here it is made the same for all types of state, and kept from doing
//! harm: what panics, or takes too long where somebody waits for it, is an error of what it was asked about.

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

/// How long somebody waits at most for `on_create` and `on_join`.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a program does when something happens in its rooms; given to
/// [`rooms_with`](crate::server::ServerBuilder::rooms_with). All of it has a default, which is to agree.
///
/// A closure or function of the state before, the state after and the [`Author`] that gives a `Result` is one as well:
/// an error refuses the change.
///
/// # Who waits for what
/// | | waits for it |
/// |---|---|
/// | [`on_change`](Self::on_change) | its room, whole: whoever changes, joins or leaves it. Not async. |
/// | [`on_create`](Self::on_create) | those who want to be in that room, 10 s at most |
/// | [`on_join`](Self::on_join) | the one who joins, 10 s at most |
/// | [`on_leave`](Self::on_leave), [`on_empty`](Self::on_empty), [`on_tick`](Self::on_tick) | nobody; of one room one after another |
///
/// Other rooms wait for none of them on a runtime of several threads; a thread that uses a [`State`] of the room waits
/// with it. On a runtime of a single thread, nothing in the program goes on before `on_change` returns.
///
/// # Panics
/// One that panics refuses what it was asked about with [`Code::RulesFailed`], as does one that takes too long. It is
/// logged, nothing is changed, and the room goes on.
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
/// struct GameRules;
///
/// impl RoomHooks<Game> for GameRules {
///     fn on_change(&self, change: &ProposedChange<'_, Game>) -> Result<Verdict<Game>, String> {
///         if change.before.moves == 9 {
///             return Err("the game is over".to_owned());
///         }
///         Ok(Verdict::amended(change, |game| game.moves += 1))
///     }
///
///     async fn on_join(&self, room: State<Game>, visitor: &Participant) -> Result<(), String> {
///         println!("{} has come to a game of {} moves", visitor.client(), room.get(Game::MOVES));
///         Ok(())
///     }
/// }
///
/// let server = Server::builder().rooms_with("game-*", Game::default, GameRules).build();
/// ```
pub trait RoomHooks<S: SharedState>: Send + Sync + 'static {
    /// What a room begins as of which nothing is stored, before anybody is in it; `initial` is what it would be. An
    /// error is what whoever wants to be in it is told, with [`Code::Forbidden`]. Called again when nobody has changed
    /// the room until it left memory.
    fn on_create(&self, room: &str, initial: S) -> impl Future<Output = Result<S, String>> + Send {
        let _ = room;
        ready(Ok(initial))
    }

    /// Somebody is about to join, and is told nothing of the room before this is done. An error keeps them out with
    /// [`Code::Forbidden`] and is what they are told. Who comes again after their connection broke joins again.
    ///
    /// Dropped unfinished if the connection ends.
    fn on_join(
        &self,
        room: State<S>,
        visitor: &Participant,
    ) -> impl Future<Output = Result<(), String>> + Send {
        let _ = (room, visitor);
        ready(Ok(()))
    }

    /// What becomes of a client's change, after the state's own rules were satisfied. An error refuses it as a whole
    /// with [`Code::Invalid`] and is what its author is told. The author is told how it was amended.
    ///
    /// It is called in the order of the room's changes and must be quick; it must not call into the server. Each
    /// client's change of such a room costs a clone of its state. What is amended must satisfy the state's own rules:
    /// if it does not, the change is refused with [`Code::RulesFailed`].
    ///
    /// # Errors
    /// Why the change is refused, for people.
    fn on_change(&self, change: &ProposedChange<'_, S>) -> Result<Verdict<S>, String> {
        let _ = change;
        Ok(Verdict::Accept)
    }

    /// Somebody is no longer in the room: left, or the connection is gone. Not called where the room itself ends with
    /// everybody in it, at shutdown or because its store failed.
    fn on_leave(&self, room: State<S>, visitor: &Participant) -> impl Future<Output = ()> + Send {
        let _ = (room, visitor);
        ready(())
    }

    /// Nobody is in the room any more, and the last `on_leave` is done.
    fn on_empty(&self, room: State<S>) -> impl Future<Output = ()> + Send {
        let _ = room;
        ready(())
    }

    /// Called every [`tick`](Self::tick) while somebody is in the room; the time is counted from the end of the last
    /// one.
    fn on_tick(&self, room: State<S>) -> impl Future<Output = ()> + Send {
        let _ = room;
        ready(())
    }

    /// How often [`on_tick`](Self::on_tick) is called. Default: never.
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

/// The rules of a kind of rooms, whatever their state.
pub(crate) trait AnyHooks: Send + Sync {
    /// The state of a stored room before it is read.
    fn begin(&self) -> Box<dyn RoomState>;
    fn create<'a>(&'a self, room: &'a str) -> Task<'a, Result<Box<dyn RoomState>, Violation>>;
    fn join<'a>(&'a self, room: Arc<Room>, visitor: &'a Participant) -> Task<'a, Result<(), Violation>>;
    fn leave<'a>(&'a self, room: Arc<Room>, visitor: &'a Participant) -> Task<'a, ()>;
    fn empty(&self, room: Arc<Room>) -> Task<'_, ()>;
    fn on_tick(&self, room: Arc<Room>) -> Task<'_, ()>;
    fn tick(&self) -> Option<Duration>;
}

/// The rules of the rooms of one type.
pub(crate) struct TypedHooks<S, R> {
    rules: Arc<R>,
    initial: Arc<dyn Fn() -> S + Send + Sync>,
}

impl<S: SharedState, R: RoomHooks<S>> TypedHooks<S, R> {
    pub(crate) fn new(rules: R, initial: Arc<dyn Fn() -> S + Send + Sync>) -> Self {
        Self { rules: Arc::new(rules), initial }
    }

    fn state(&self, initial: S) -> Box<dyn RoomState> {
        let rules = self.rules.clone();
        let on_change = move |change: &ProposedChange<'_, S>| match catch_unwind(AssertUnwindSafe(|| {
            rules.on_change(change)
        })) {
            Ok(ruling) => ruling.map_err(|message| Reject::new(Code::Invalid, message)),
            Err(_) => {
                tracing::error!(author = change.author.name(), "a panic in the rules about a change");
                Err(Reject::new(Code::RulesFailed, "the server's rules about changes failed"))
            }
        };
        Box::new(Typed::new(initial).with_rules(Arc::new(on_change)))
    }
}

/// Awaits what somebody waits for: that it panics or takes too long is an error.
async fn answer<T>(
    what: &str,
    room: &str,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, Violation> {
    let failed = match timeout(PATIENCE, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(answer)) => return answer.map_err(|message| Violation::new(Code::Forbidden, message)),
        Ok(Err(_)) => "a panic",
        Err(_) => "too long a wait",
    };
    tracing::error!(room, "{failed} in the rules' `{what}`");
    Err(Violation::new(Code::RulesFailed, "the server's rules about who comes here failed"))
}

/// Awaits what nobody waits for.
async fn quietly(what: &str, room: &str, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!(room, "a panic in the rules' `{what}`");
    }
}

impl<S: SharedState, R: RoomHooks<S>> AnyHooks for TypedHooks<S, R> {
    fn begin(&self) -> Box<dyn RoomState> {
        self.state((self.initial)())
    }

    fn create<'a>(&'a self, room: &'a str) -> Task<'a, Result<Box<dyn RoomState>, Violation>> {
        Box::pin(async move {
            let created = async { self.rules.on_create(room, (self.initial)()).await };
            answer("on_create", room, created).await.map(|state| self.state(state))
        })
    }

    fn join<'a>(&'a self, room: Arc<Room>, visitor: &'a Participant) -> Task<'a, Result<(), Violation>> {
        Box::pin(async move {
            // Whoever joins a room that has just ended is told so, or joins the next.
            let Some(state) = State::of(&room) else { return Ok(()) };
            answer("on_join", room.name(), async { self.rules.on_join(state, visitor).await }).await
        })
    }

    fn leave<'a>(&'a self, room: Arc<Room>, visitor: &'a Participant) -> Task<'a, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            quietly("on_leave", room.name(), async { self.rules.on_leave(state, visitor).await }).await;
        })
    }

    fn empty(&self, room: Arc<Room>) -> Task<'_, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            quietly("on_empty", room.name(), async { self.rules.on_empty(state).await }).await;
        })
    }

    fn on_tick(&self, room: Arc<Room>) -> Task<'_, ()> {
        Box::pin(async move {
            let Some(state) = State::of(&room) else { return };
            quietly("on_tick", room.name(), async { self.rules.on_tick(state).await }).await;
        })
    }

    fn tick(&self) -> Option<Duration> {
        self.rules.tick()
    }
}
