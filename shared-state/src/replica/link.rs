//! The connection's state machine: the handshake, the heartbeat that notices a half-open link, and how long to
//! wait before trying again. One for all rooms of a client.

use std::sync::Arc;
use std::time::Duration;

use crate::core::Code;
use crate::proto::compact;
use crate::proto::compact::Numbers;
use crate::proto::presence::PresenceNews;
use crate::proto::{Envelope, Frame, RoomMessage, ServerMessage, Violation, client};

/// How long before the user is no longer known a newer token is asked for, or a fifth of the time if that is less.
const RENEWAL: Duration = Duration::from_secs(60);

/// How a link behaves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// How long nothing may be heard before the server is asked for a sign of life, and how long its answer
    /// may take. Default 30 s; the server's own value is taken if it is shorter.
    pub heartbeat: Duration,
    /// How long the handshake may take. Default 10 s.
    pub handshake: Duration,
    /// How to wait between attempts.
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
    /// The first wait. Default 1 s.
    pub initial: Duration,
    /// The longest wait. Default 30 s.
    pub max: Duration,
    /// The part of a wait that is random, 0 to 1, so that many clients do not return at once. Default 0.5.
    pub jitter: f64,
    /// How many attempts in a row may fail before the client gives up; `None`: never. Default `None`.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(30), jitter: 0.5, attempts: None }
    }
}

impl Backoff {
    /// How long to wait after `failed` attempts in a row; `random` is in 0..1. `None`: give up.
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
    /// `hello` was sent, by this time `welcome` must have come.
    Greeting(Duration),
    Up,
}

/// One client's connection, as a state machine.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    secret: String,
    state: State,
    heartbeat: Duration,
    heard: Duration,
    /// When the last unanswered ping was sent.
    asked: Option<Duration>,
    public: Option<String>,
    max_frame: usize,
    /// When the server should be told a newer token.
    renewal: Option<Duration>,
    /// The rooms' numbers in brief frames.
    numbers: Numbers,
}

/// What a frame from the server meant for the caller.
#[derive(Clone, Debug)]
pub enum LinkEvent<'a> {
    /// Nothing more to do.
    Nothing,
    /// Send this.
    Reply(Frame),
    /// The connection stands: rooms may be joined, with this many unanswered changes each.
    Welcome(usize),
    /// For the replica of this room.
    Room(std::borrow::Cow<'a, str>, RoomMessage<'a>),
    /// For the presence in this room.
    Presence(std::borrow::Cow<'a, str>, PresenceNews<'a>),
    /// The server complains about the connection; it may close it.
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
            heard: Duration::ZERO,
            asked: None,
            public: None,
            max_frame: usize::MAX,
            renewal: None,
            numbers: Numbers::default(),
        }
    }

    /// The client's public name, once the server has said it.
    #[must_use]
    pub fn public_id(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// The longest frame the server takes, in bytes; as much as one likes before it has said so.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Whether rooms can be joined.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// A connection was made: the frame to begin with. `token` says who the user is, if the request could not.
    pub fn opened(&mut self, now: Duration, token: Option<&str>) -> Frame {
        self.state = State::Greeting(now + self.config.handshake);
        self.heard = now;
        self.asked = None;
        self.numbers.clear();
        client::hello(&self.secret, token)
    }

    /// The connection is gone.
    pub fn closed(&mut self) {
        self.state = State::Down;
        self.asked = None;
        self.renewal = None;
    }

    /// When the server should be told a newer token, which [`client::token`] does: some time before the user is no
    /// longer known.
    #[must_use]
    pub const fn renewal(&self) -> Option<Duration> {
        self.renewal
    }

    /// Whether it is time for a newer token; says so once.
    pub fn take_renewal(&mut self, now: Duration) -> bool {
        self.renewal.take_if(|renewal| *renewal <= now).is_some()
    }

    fn expires(&mut self, now: Duration, left: Option<u64>) {
        let left = left.map(Duration::from_millis);
        self.renewal = left.map(|left| now + left.saturating_sub((left / 5).min(RENEWAL)));
    }

    /// Takes a frame from the server.
    ///
    /// # Errors
    /// The frame is not what the protocol allows; the connection should be closed.
    pub fn receive<'a>(&mut self, now: Duration, text: &'a str) -> Result<LinkEvent<'a>, Violation> {
        self.receive_envelope(now, &Envelope::read(text)?)
    }

    /// Takes a frame from the server whose envelope was read already.
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
            ServerMessage::Welcome { id, heartbeat, window, frame, expires } => {
                if !matches!(self.state, State::Greeting(_)) {
                    return Err(Violation::new(Code::BadMessage, "a second `welcome`"));
                }
                self.state = State::Up;
                self.public = Some(id.into_owned());
                self.max_frame = frame;
                self.expires(now, expires);
                self.heartbeat = self.config.heartbeat.min(Duration::from_millis(heartbeat.max(100)));
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
            // Only a binary frame is one.
            ServerMessage::Numbered(..) => LinkEvent::Nothing,
            ServerMessage::Presence(room, news) => LinkEvent::Presence(room, news),
        })
    }

    /// Takes a binary frame from the server: what it says, for the replica of this room.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_brief<'a>(
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
        self.heard = now;
        self.asked = None;
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match (self.state, self.asked) {
            (State::Down, _) => None,
            (State::Greeting(until), _) => Some(until),
            (State::Up, Some(asked)) => Some(asked + self.heartbeat),
            (State::Up, None) => Some(self.heard + self.heartbeat),
        }
    }

    /// Asks for a sign of life when it is time.
    ///
    /// # Errors
    /// The link is dead: close the connection.
    pub fn tick(&mut self, now: Duration) -> Result<Option<Frame>, HeartbeatTimeout> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(None);
        }
        match (self.state, self.asked) {
            (State::Up, None) => {
                self.asked = Some(now);
                Ok(Some(client::ping()))
            }
            _ => Err(HeartbeatTimeout),
        }
    }
}

/// Nothing was heard for too long: the link is half-open or the server is gone.
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
        // No time that a server can say is too long to be counted.
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
