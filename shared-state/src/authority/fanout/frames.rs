//! Encodes a durable change into frames and sends them to the sessions of a room. A frame is made at most once for each
//! dialect and audience.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authority::audience::{Audience, Audiences, object};
use crate::authority::change::{self, Change, Update};
use crate::authority::fanout::header_table::Compact;
use crate::authority::fanout::in_flight::InFlight;
use crate::authority::fanout::sessions::{Flow, Session, Sessions};
use crate::authority::fanout::values::written;
use crate::authority::fanout::{Fanout, Outbox};
use crate::authority::order::{Accepted, Head};
use crate::authority::source::ChangeSource;
use crate::legacy::LegacyClock;
use crate::proto::channel::{APPEND, ChannelEntry};
use crate::proto::{Dialect, Frame, server};

/// A change, filtered for an audience.
struct View<'a> {
    change: &'a Change,
    /// `None`: every session may see the whole change.
    audience: Option<(&'a Audiences, Audience)>,
    /// The updates as a JSON array.
    text: Cow<'a, str>,
}

impl<'a> View<'a> {
    /// The views of a change for the audiences in the room. `restricted` are the roles that its readers need.
    fn of_each<O>(
        change: &'a Change,
        audiences: Option<&'a Audiences>,
        restricted: Audience,
        sessions: &Sessions<O>,
    ) -> Vec<(Audience, Self)> {
        let Some(audiences) = audiences.filter(|_| restricted > 0) else {
            return vec![(0, Self { change, audience: None, text: Cow::Borrowed(change.text()) })];
        };
        let here: BTreeSet<_> =
            sessions.iter().map(|(_, session)| session.grant.audience & restricted).collect();
        let view = |of| Self { change, audience: Some((audiences, of)), text: audiences.updates(of, change) };
        here.into_iter().map(|of| (of, view(of))).collect()
    }

    fn updates(&self) -> impl DoubleEndedIterator<Item = Update<'_>> {
        self.change.updates().filter_map(|update| match self.audience {
            Some((audiences, of)) => audiences.shown(of, update),
            None => Some(update),
        })
    }
}

/// The frames of a change for one audience. Each is made when the first session needs it.
struct Encoded<'a> {
    room: &'a str,
    version: u64,
    from: &'a str,
    view: View<'a>,
    verbatim: bool,
    compact: Compact,
    v1: Option<Frame>,
    legacy: Option<LegacyFrame>,
    /// The messages of a channel for legacy clients, each with its sequence number.
    messages: Option<Vec<(u64, Frame)>>,
}

impl<O: Outbox> Fanout<O> {
    /// Sends a change that has become durable to the sessions that are up to date. Its author is sent the answer.
    pub(super) fn send_change(&mut self, change: &InFlight, head: &Head<'_>) {
        let InFlight { accepted, verbatim, .. } = change;
        let Accepted { version, author, change, rewritten } = accepted;
        let (version, from, room) = (*version, author.name(), &*self.room);
        let author = match author {
            ChangeSource::Client { session, seq, .. } => Some((*session, *seq)),
            ChangeSource::Legacy { session: id, .. } => {
                let session = self.sessions.get_mut(*id);
                if let Some(reconcile) = session.and_then(|session| session.reconcile.as_mut()) {
                    reconcile.durable(version);
                }
                Some((*id, 0))
            }
            ChangeSource::Server => None,
        };
        let audiences = self.access.audiences();
        let restricted = audiences.map_or(0, |audiences| audiences.needs(change));
        // A change that only some sessions may read is never compact: the header would be sent to all of them.
        let compact = if restricted == 0 && self.sessions.has_compact() {
            self.headers.encode(from, change)
        } else {
            Compact::None
        };
        let views = View::of_each(change, audiences, restricted, &self.sessions);
        let encoded = views.into_iter().map(|(audience, view)| {
            let (verbatim, compact) = (*verbatim, compact.clone());
            let (v1, legacy, messages) = (None, None, None);
            (audience, Encoded { room, version, from, view, verbatim, compact, v1, legacy, messages })
        });
        let mut encoded: Vec<_> = encoded.collect();
        let mut needs_delta = Vec::new();
        let mut outdated = Vec::new();
        for (id, session) in self.sessions.iter_mut() {
            if session.flow != Flow::Live || session.synced >= version {
                continue;
            }
            let audience = session.grant.audience & restricted;
            let Some((_, encoded)) = encoded.iter_mut().find(|(of, _)| *of == audience) else { continue };
            let own = author.filter(|(session, _)| *session == id).map(|(_, seq)| seq);
            match (session.dialect, own) {
                (Dialect::V1, Some(seq)) => {
                    let frame = if *rewritten {
                        server::acked_as(room, seq, version, &encoded.view.text)
                    } else if session.compact && Some(seq) == session.answered.checked_add(1) {
                        self.headers.ack(seq)
                    } else {
                        server::ack(room, seq, version)
                    };
                    session.push_answers(&frame, seq);
                }
                (Dialect::V1, None) => session.push(encoded.v1(session.compact)),
                // A legacy client shows its own message only when the server sends it back.
                (Dialect::Legacy, _) if self.is_channel => {
                    encoded.messages().iter().for_each(|(_, frame)| session.push(frame));
                }
                // A legacy client increments its own version with each write and needs no answer.
                (Dialect::Legacy, Some(_)) => {}
                (Dialect::Legacy, None) => match encoded.legacy(head, &mut self.legacy_clock) {
                    // The session may not see any of the updates.
                    Some(change) if change.values.is_empty() => {}
                    Some(change) => {
                        change.send(room, version, session);
                        if session.is_outdated() {
                            outdated.push(id);
                        }
                    }
                    None => {
                        needs_delta.push((id, session.synced));
                        continue;
                    }
                },
            }
            if session.flow == Flow::Live {
                session.synced = version;
            }
        }
        for (id, since) in needs_delta {
            self.catch_up(id, Some(since), head);
        }
        outdated.into_iter().for_each(|id| self.resend_outdated(id, head));
    }
}

impl Encoded<'_> {
    fn messages(&mut self) -> &[(u64, Frame)] {
        self.messages.get_or_insert_with(|| messages(self.room, self.view.updates()))
    }

    fn v1(&mut self, takes_compact: bool) -> &Frame {
        let introduces = match &self.compact {
            Compact::Frame(compact) if takes_compact => return compact,
            Compact::Introduces(number) => Some(*number),
            Compact::Frame(_) | Compact::None => None,
        };
        self.v1.get_or_insert_with(|| {
            server::change(self.room, self.version, self.from, &self.view.text, introduces)
        })
    }

    /// The frame for legacy clients, which know only whole fields. A plain set is sent as its author wrote it; after
    /// any other operation the field's value is read from the state at the head. `None` if that value is needed and
    /// the head is newer than this version: it could contain changes that are not durable.
    fn legacy(&mut self, head: &Head<'_>, clock: &mut LegacyClock) -> Option<&mut LegacyFrame> {
        if self.legacy.is_none() {
            let mut values = Vec::new();
            for (field, last) in change::last_of_each(self.view.updates()) {
                let value = if self.verbatim && last.is_whole_set() {
                    last.value.to_owned()
                } else if head.version > self.version {
                    return None;
                } else {
                    written(head.state, &field)
                };
                values.push((value, field));
            }
            let version = clock.tick();
            let frame = LegacyFrame::encode(self.room, &values, version);
            self.legacy = Some(LegacyFrame { values, version, frame });
        }
        self.legacy.as_mut()
    }
}

/// A change for legacy clients.
struct LegacyFrame {
    /// The values as JSON, each with its field.
    values: Vec<(String, Arc<str>)>,
    /// The version in the frame, by the [`LegacyClock`].
    version: u64,
    frame: Frame,
}

impl LegacyFrame {
    fn encode(room: &str, values: &[(String, Arc<str>)], version: u64) -> Frame {
        match values {
            [(value, field)] => server::legacy_update(room, field, value, version),
            _ => server::legacy_merge(room, &object(values).into(), version),
        }
    }

    /// Sends the change to a session; `version` is the room's version. A client that has reached or was already sent a
    /// version at or above the shared frame's is sent a frame of its own with a higher one.
    fn send<O: Outbox>(&self, room: &str, version: u64, session: &mut Session<O>) {
        let Some(reconcile) = &mut session.reconcile else { return };
        let sent = reconcile.next(self.version);
        let taken = if sent == self.version {
            session.outbox.push(&self.frame)
        } else {
            session.outbox.push(&Self::encode(room, &self.values, sent))
        };
        if taken {
            reconcile.sent(sent, version, self.values.iter().map(|(_, field)| field));
        } else {
            session.flow = Flow::Behind;
        }
    }
}

/// The messages among the updates of a channel as frames for legacy clients, each with its sequence number.
pub(super) fn messages<'a>(address: &str, updates: impl Iterator<Item = Update<'a>>) -> Vec<(u64, Frame)> {
    let appended = updates.filter(|update| update.op == Some(APPEND));
    let entries = appended.filter_map(|update| serde_json::from_str::<ChannelEntry<'_>>(update.value).ok());
    let frame = |entry: &ChannelEntry<'_>| {
        server::legacy_broadcast(address, &entry.from, entry.at, entry.value.get())
    };
    entries.map(|entry| (entry.seq, frame(&entry))).collect()
}
