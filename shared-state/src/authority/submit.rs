//! Changes: decided and applied at the head, answered and told when durable.

use bytes::Bytes;

use crate::authority::change::{Change, Incoming};
use crate::authority::idempotency::Recall;
use crate::authority::{After, Authority, InFlight, Outbox, SessionId, Writer, log_format};
use crate::core::{Code, Reject};
use crate::proto::{ChangeRequest, ClientId, Outcome};

/// The largest sequence number and version: what a JavaScript client can count to.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// The longest message of a rejection, in bytes: it may quote what was sent.
const MAX_MESSAGE: usize = 300;

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeSource {
    /// A client of the v1 protocol; answered by sequence number.
    Client {
        /// Where the answer goes.
        session: SessionId,
        /// The client's public name.
        client: ClientId,
        /// The client's number for the change.
        seq: u64,
    },
    /// A client of the hook's dialect.
    Hook {
        /// Where it came from.
        session: SessionId,
        /// The connection's public name.
        client: ClientId,
    },
    /// The server's own program.
    Server,
}

impl ChangeSource {
    /// The author's public name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Client { client, .. } | Self::Hook { client, .. } => client,
            Self::Server => "server",
        }
    }
}

/// An entry for the store's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The version the change makes.
    pub version: u64,
    /// The entry.
    pub entry: Bytes,
}

/// What became of a submitted change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Submitted {
    /// To be appended to the log; then [`Authority::committed`].
    Accepted(LogEntry),
    /// Answered, or to be answered with an earlier change: nothing to do.
    Answered,
}

impl<O: Outbox> Authority<O> {
    /// Takes a client's change.
    pub fn submit(&mut self, session: SessionId, change: &ChangeRequest<'_>) -> Submitted {
        let Some(client) = self.client(session).cloned() else { return Submitted::Answered };
        let seq = change.seq;
        if seq == 0 || seq > MAX_COUNT {
            let message = format!("a sequence number is 1 to {MAX_COUNT}, found {seq}");
            self.refuse(session, seq, Reject::new(Code::BadSequence, message));
            return Submitted::Answered;
        }
        match self.clients.look_up(&client, seq, change.base, change.again) {
            Recall::Before(Outcome::Accepted(version)) => {
                match version.checked_sub(self.durable + 1) {
                    Some(ahead) => {
                        let waiting = usize::try_from(ahead).ok().and_then(|at| self.in_flight.get_mut(at));
                        if let Some(waiting) = waiting {
                            waiting.after.push(After::Answer(session, seq, Outcome::Accepted(version)));
                        }
                    }
                    None => self.answer(session, seq, &Outcome::Accepted(version)),
                }
                Submitted::Answered
            }
            Recall::Before(Outcome::Rejected(reject)) => {
                self.refuse(session, seq, reject);
                Submitted::Answered
            }
            Recall::Uncertain => {
                let message = "the client was away longer than its changes are remembered";
                let reject = Reject::new(Code::Uncertain, message);
                self.clients.note(&client, seq, Outcome::Rejected(reject.clone()));
                self.refuse(session, seq, reject);
                Submitted::Answered
            }
            Recall::New => {
                let author = ChangeSource::Client { session, client: client.clone(), seq };
                let verdict = self
                    .check_base(session, change)
                    .and_then(|()| self.accept(author, &Incoming::new(change.updates)?));
                match verdict {
                    Ok(append) => {
                        self.clients.note(&client, seq, Outcome::Accepted(append.version));
                        Submitted::Accepted(append)
                    }
                    Err(reject) => {
                        self.clients.note(&client, seq, Outcome::Rejected(reject.clone()));
                        self.refuse(session, seq, reject);
                        Submitted::Answered
                    }
                }
            }
        }
    }

    /// Takes a change of the server's own program.
    ///
    /// # Errors
    /// The change is wrong or breaks a rule.
    pub fn submit_server(&mut self, updates: &str) -> Result<LogEntry, Reject> {
        self.accept(ChangeSource::Server, &Incoming::parse(updates)?)
    }

    /// A transaction's reads must be what they were; a base must be a version there was.
    fn check_base(&self, session: SessionId, change: &ChangeRequest<'_>) -> Result<(), Reject> {
        if change.base > self.head {
            let message = format!("the room is at version {}, not yet at {}", self.head, change.base);
            return Err(Reject::new(Code::FutureVersion, message));
        }
        let audience = self.sessions.get(&session).map_or(0, |session| session.audience);
        for key in change.reads.iter().flatten() {
            self.check_read(audience, key)?;
            let changed = self.state.changed(key)?;
            if changed > change.base {
                let message = format!("read at version {}, changed at version {changed}", change.base);
                return Err(Reject::new(Code::Conflict, message).in_field(key.as_ref()));
            }
        }
        Ok(())
    }

    /// Decides a change and applies it to the head.
    pub(super) fn accept(&mut self, author: ChangeSource, change: &Incoming<'_>) -> Result<LogEntry, Reject> {
        self.apply(author, change).map_err(shortened)
    }

    fn apply(&mut self, author: ChangeSource, incoming: &Incoming<'_>) -> Result<LogEntry, Reject> {
        if self.head >= MAX_COUNT {
            return Err(Reject::new(Code::Unavailable, "the room has reached the last version there is"));
        }
        let wire = &incoming.updates;
        if wire.is_empty() || wire.len() > self.limits.updates {
            let message = format!("a change has 1 to {} updates, found {}", self.limits.updates, wire.len());
            return Err(Reject::new(Code::BadChange, message));
        }
        if let Some(update) = wire.iter().find(|update| update.key.len() > self.limits.key) {
            let message = format!("a key has at most {} bytes, found {}", self.limits.key, update.key.len());
            return Err(Reject::new(Code::BadKey, message));
        }
        self.check_rights(&author, wire)?;
        let version = self.head + 1;
        let initial = (self.migrated || self.head == 0 && self.state.is_complete()).then(|| {
            let mut initial = String::new();
            self.state.write_data(&mut initial);
            initial
        });
        let declared = self.state.unstored(wire);
        let by = match &author {
            ChangeSource::Server => Writer::Server,
            author => Writer::Client(author),
        };
        let settled = self.state.apply(wire, by, version)?;
        self.head = version;
        self.migrated = false;
        if declared.is_some() {
            self.state.mark_stored(wire);
        }
        let known = self.schema.as_ref().filter(|known| self.logged != Some(known.hash));
        // It has no values that JSON does not have.
        let schema = known.map(|known| serde_json::to_string(&known.schema).unwrap_or_default());
        self.logged = self.schema.as_ref().map(|known| known.hash);
        let began = self.began.filter(|_| version == 1);
        let of = self.state.struct_version();
        let context = log_format::Context { version: of, began, schema, initial, declared };
        let verbatim = settled.is_none() && (self.hooks == 0 || self.reads_verbatim(incoming));
        let (settled, change) = match settled {
            Some(updates) => (true, Change::written(updates)),
            None => (false, incoming.to_change()),
        };
        let entry = log_format::entry(&author, &context, change.text());
        self.log.note(entry.len());
        self.in_flight.push_back(InFlight { version, author, change, settled, verbatim, after: Vec::new() });
        Ok(LogEntry { version, entry })
    }

    /// The store has everything up to `version`: answers the authors, tells the others, brings those who
    /// waited.
    pub fn committed(&mut self, version: u64) {
        while let Some(InFlight { version: next, .. }) = self.in_flight.front()
            && *next <= version
            && let Some(mut done) = self.in_flight.pop_front()
        {
            self.durable = done.version;
            self.tell(&done);
            for after in std::mem::take(&mut done.after) {
                match after {
                    After::Answer(session, seq, outcome) => self.answer(session, seq, &outcome),
                    After::CatchUp(session, catch_up) => self.caught_up(session, catch_up),
                }
            }
        }
    }
}

fn shortened(mut reject: Reject) -> Reject {
    if reject.message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE).rev().find(|end| reject.message.is_char_boundary(*end)).unwrap_or(0);
        reject.message.truncate(end);
        reject.message.push('…');
    }
    reject
}
