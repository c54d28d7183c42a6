//! The connection's state machine: the handshake, the heartbeat that detects a half-open connection, the
//! renewal of the token, and the backoff between attempts. A client has one link for all its rooms. It has no
//! socket and no clock; the client's connection task and the simulation drive it.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Code;
use crate::proto::compact;
use crate::proto::compact::Numbers;
use crate::proto::presence::PresenceNews;
use crate::proto::{ClientLimits, Envelope, Frame, RoomMessage, ServerMessage, Violation, client};

/// How long before the token expires a newer one is asked for; a fifth of the remaining time if that is less.
const RENEWAL: Duration = Duration::from_secs(60);

/// The timing of a [`Link`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// After this long without a frame from the server, a ping is sent; after as long again without an
    /// answer, the connection counts as dead. The server's own heartbeat is used if it is shorter. Default 30
    /// s.
    pub heartbeat: Duration,
    /// How long the handshake may take. Default 10 s.
    pub handshake: Duration,
    /// How long to wait between attempts to connect.
    pub backoff: Backoff,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            backoff: Backoff::default(),
        }
    }
}

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Backoff {
    /// The wait after the first failure. Default 1 s.
    pub initial: Duration,
    /// The longest wait. Default 30 s.
    pub max: Duration,
    /// The random part of a wait, 0 to 1, so that many clients do not return at the same time. Default 0.5.
    pub jitter: f64,
    /// How many attempts in a row may fail before the client gives up. `None`, the default: it never does.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(30), jitter: 0.5, attempts: None }
    }
}

impl Backoff {
    /// How long to wait after `failed` attempts in a row. `random` is in 0..1. `None`: give up.
    #[must_use]
    pub fn wait(&self, failed: u32, random: f64) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| failed >= attempts) {
            return None;
        }
        let doublings = failed.saturating_sub(1).min(20);
        let full = self.initial.saturating_mul(1 << doublings).min(self.max);
        let jitter = self.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
        Some(full.mul_f64(1.0 - jitter))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    /// `hello` was sent, and `welcome` has not arrived.
    Greeting,
    Up,
}

/// One client's connection, as a state machine.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    secret: String,
    state: State,
    heartbeat: Duration,
    /// When `welcome` or the answer to a ping must have arrived, or else when a ping is due; `None` without a
    /// connection.
    deadline: Option<Duration>,
    /// Whether a ping was sent that is not answered yet.
    asked: bool,
    public: Option<String>,
    limits: ClientLimits,
    /// When a newer token should be sent.
    renewal: Option<Duration>,
    /// The numbers of the rooms in compact frames.
    numbers: Numbers,
}

/// What the caller has to do about a frame from the server.
#[derive(Clone, Debug)]
pub enum LinkEvent<'a> {
    /// Nothing.
    Nothing,
    /// Send this frame.
    Reply(Frame),
    /// The connection is ready: rooms may be joined, with this many unanswered changes each.
    Welcome(usize),
    /// A message for the replica of this room.
    Room(std::borrow::Cow<'a, str>, RoomMessage<'a>),
    /// A message for the presence in this room.
    Presence(std::borrow::Cow<'a, str>, PresenceNews<'a>),
    /// The server reports a violation on this connection; it may close it.
    Error(Violation),
}

impl Link {
    /// A link of the client with this secret id: 16 to 128 printable ASCII characters, random.
    #[must_use]
    pub fn new(secret: String, config: LinkConfig) -> Self {
        Self {
            heartbeat: config.heartbeat,
            config,
            secret,
            state: State::Down,
            deadline: None,
            asked: false,
            public: None,
            limits: ClientLimits::default(),
            renewal: None,
            numbers: Numbers::default(),
        }
    }

    /// The client's public id, once the server has sent it.
    #[must_use]
    pub fn public_id(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// The server's limits on what this client sends; none before the server has said.
    #[must_use]
    pub const fn limits(&self) -> ClientLimits {
        self.limits
    }

    /// Whether the handshake is done, so that rooms can be joined.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// A connection was opened: returns the first frame to send. `token` identifies the user where the HTTP
    /// request could not carry it.
    pub fn opened(&mut self, now: Duration, token: Option<&str>) -> Frame {
        self.state = State::Greeting;
        self.deadline = Some(now + self.config.handshake);
        self.asked = false;
        self.numbers.clear();
        client::hello(&self.secret, token)
    }

    /// The connection is lost.
    pub fn closed(&mut self) {
        self.state = State::Down;
        self.deadline = None;
        self.renewal = None;
    }

    /// When a newer token should be sent, with [`client::token`]: some time before the current one expires.
    /// `None`: it does not expire, or [`take_renewal`](Self::take_renewal) has reported it already.
    #[must_use]
    pub const fn renewal(&self) -> Option<Duration> {
        self.renewal
    }

    /// Whether a newer token is due. Returns true once for each expiry.
    pub fn take_renewal(&mut self, now: Duration) -> bool {
        self.renewal.take_if(|renewal| *renewal <= now).is_some()
    }

    fn expires(&mut self, now: Duration, left: Option<u64>) {
        let left = left.map(Duration::from_millis);
        self.renewal = left.map(|left| now + left.saturating_sub((left / 5).min(RENEWAL)));
    }

    /// Processes a text frame from the server.
    ///
    /// # Errors
    /// The frame violates the protocol; the connection should be closed.
    pub fn receive<'a>(&mut self, now: Duration, text: &'a str) -> Result<LinkEvent<'a>, Violation> {
        self.receive_envelope(now, &Envelope::read(text)?)
    }

    /// Processes a text frame from the server whose envelope was read already.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_envelope<'a>(
        &mut self,
        now: Duration,
        envelope: &Envelope<'a>,
    ) -> Result<LinkEvent<'a>, Violation> {
        self.is_alive(now);
        Ok(match ServerMessage::read_envelope(envelope)? {
            ServerMessage::Welcome { id, heartbeat, window, limits, expires } => {
                if self.state != State::Greeting {
                    return Err(Violation::new(Code::BadMessage, "a second `welcome`"));
                }
                self.state = State::Up;
                self.public = Some(id.into_owned());
                self.limits = limits;
                self.expires(now, expires);
                self.heartbeat = self.config.heartbeat.min(Duration::from_millis(heartbeat.max(100)));
                self.is_alive(now);
                LinkEvent::Welcome(window)
            }
            ServerMessage::Renewed { expires } => {
                self.expires(now, expires);
                LinkEvent::Nothing
            }
            ServerMessage::Ping => LinkEvent::Reply(client::pong()),
            ServerMessage::Pong | ServerMessage::Unknown => LinkEvent::Nothing,
            ServerMessage::Error(violation) => LinkEvent::Error(violation),
            ServerMessage::Room(room, message) => {
                self.numbers.note(&room, &message);
                LinkEvent::Room(room, message)
            }
            // Compact answers come in binary frames only.
            ServerMessage::Numbered(..) => LinkEvent::Nothing,
            ServerMessage::Presence(room, news) => LinkEvent::Presence(room, news),
        })
    }

    /// Processes a binary (compact) frame from the server: returns the room it belongs to, and the message.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_compact<'a>(
        &mut self,
        now: Duration,
        bytes: &'a [u8],
    ) -> Result<(Arc<str>, RoomMessage<'a>), Violation> {
        self.is_alive(now);
        let (number, message) = compact::read(bytes)?;
        let room = self.numbers.room(number).ok_or_else(|| {
            Violation::new(Code::BadMessage, format!("no room was said to have the number {number}"))
        })?;
        Ok((room.clone(), message))
    }

    fn is_alive(&mut self, now: Duration) {
        if self.state == State::Up {
            self.deadline = Some(now + self.heartbeat);
            self.asked = false;
        }
    }

    /// When [`tick`](Self::tick) has to be called.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns the ping to send, if one is due.
    ///
    /// # Errors
    /// The handshake or the answer to a ping took too long: close the connection.
    pub fn tick(&mut self, now: Duration) -> Result<Option<Frame>, HeartbeatTimeout> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        if self.state != State::Up || self.asked {
            return Err(HeartbeatTimeout);
        }
        self.deadline = Some(now + self.heartbeat);
        self.asked = true;
        Ok(Some(client::ping()))
    }
}

/// The server sent nothing for too long: the connection is half-open or the server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing was heard from the server for too long")]
pub struct HeartbeatTimeout;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_server_is_asked_once_and_then_given_up() {
        let mut link = Link::new("0123456789abcdef".into(), LinkConfig::default());
        assert_eq!(link.deadline(), None);
        link.opened(SECOND, None);
        assert_eq!(link.tick(SECOND), Ok(None));
        let welcome = r#"{"type":"welcome","payload":{"id":"me","heartbeat":20000,"window":8}}"#;
        assert!(matches!(link.receive(2 * SECOND, welcome), Ok(LinkEvent::Welcome(8))));
        assert_eq!(link.deadline(), Some(22 * SECOND));
        assert!(matches!(link.tick(22 * SECOND), Ok(Some(_))));
        assert!(matches!(link.receive(23 * SECOND, r#"{"type":"pong"}"#), Ok(LinkEvent::Nothing)));
        assert!(matches!(link.tick(43 * SECOND), Ok(Some(_))));
        assert_eq!(link.tick(62 * SECOND), Ok(None));
        assert_eq!(link.tick(63 * SECOND), Err(HeartbeatTimeout));
    }

    #[test]
    fn a_newer_token_is_due_before_the_older_one_expires() {
        let mut link = Link::new("0123456789abcdef".into(), LinkConfig::default());
        link.opened(SECOND, None);
        let welcome =
            r#"{"type":"welcome","payload":{"id":"me","heartbeat":20000,"window":8,"expires":10000}}"#;
        assert!(link.receive(2 * SECOND, welcome).is_ok());
        assert_eq!(link.renewal(), Some(10 * SECOND));
        assert!(!link.take_renewal(9 * SECOND) && link.take_renewal(10 * SECOND));
        assert!(!link.take_renewal(10 * SECOND), "it is said once");
        let renewed = r#"{"type":"welcome:token","payload":{"expires":3600000}}"#;
        assert!(link.receive(11 * SECOND, renewed).is_ok());
        assert_eq!(link.renewal(), Some((11 + 3600 - 60) * SECOND));
        assert!(link.receive(12 * SECOND, r#"{"type":"welcome:token","payload":{}}"#).is_ok());
        assert_eq!(link.renewal(), None);
        // The longest possible time does not overflow.
        let never = format!(r#"{{"type":"welcome:token","payload":{{"expires":{}}}}}"#, u64::MAX);
        assert!(link.receive(12 * SECOND, &never).is_ok());
        assert!(!link.take_renewal(100 * SECOND));
    }

    #[test]
    fn a_server_that_does_not_welcome_is_given_up() {
        let mut link = Link::new("0123456789abcdef".into(), LinkConfig::default());
        link.opened(SECOND, None);
        assert_eq!(link.tick(11 * SECOND), Err(HeartbeatTimeout));
    }

    #[test]
    fn backoff_doubles_up_to_its_maximum_and_jitters_downwards() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0.0), Some(SECOND));
        assert_eq!(backoff.wait(3, 0.0), Some(4 * SECOND));
        assert_eq!(backoff.wait(60, 0.0), Some(30 * SECOND));
        assert_eq!(backoff.wait(1, 1.0), Some(SECOND / 2));
        assert_eq!(Backoff { attempts: Some(3), ..backoff }.wait(3, 0.0), None);
    }
}
