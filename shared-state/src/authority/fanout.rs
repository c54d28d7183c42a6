//! How a change that is durable is told: to everybody in the room, made at most once for each dialect.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authority::audience::Audience;
use crate::authority::session::{Flow, Session};
use crate::authority::typed::{field_of, read_updates, touched};
use crate::authority::{Authority, ChangeSource, InFlight, Outbox, RoomState};
use crate::legacy::LegacyClock;
use crate::proto::Dialect;
use crate::proto::channel::{APPEND, ChannelEntry};
use crate::proto::compact;
use crate::proto::compact::Header;
use crate::proto::{Frame, push_string, server, split_address};

/// A change encoded at most once for each dialect that somebody in the room speaks.
struct Encoded<'a> {
    room: &'a str,
    version: u64,
    from: &'a str,
    updates: &'a str,
    verbatim: bool,
    /// The number that its header is given.
    introduces: Option<u8>,
    /// For those who take brief frames, if they know what it is about.
    brief: Option<Frame>,
    v1: Option<Frame>,
    hook: Option<LegacyFrame>,
    /// Of a channel, for the hook's dialect.
    messages: Option<Vec<(u64, Frame)>>,
}

impl<O: Outbox> Authority<O> {
    /// Tells everybody in the room of a change that is durable now; its author gets the answer.
    pub(super) fn tell(&mut self, change: &InFlight) {
        let room = self.room.clone();
        let InFlight { version, author, updates, settled, verbatim, .. } = change;
        let (version, from) = (*version, author.name());
        let author = match author {
            ChangeSource::Client { session, seq, .. } => Some((*session, *seq)),
            ChangeSource::Hook { session, .. } => Some((*session, 0)),
            ChangeSource::Server => None,
        };
        // What only some may read is never brief: what a header is would be told to all.
        let restricted = self.audiences.as_ref().map_or(0, |audiences| audiences.needs(updates));
        let (introduces, brief) = match self.brief {
            _ if restricted > 0 => (None, None),
            0 => (None, None),
            _ => self.brief(from, updates),
        };
        let texts = self.texts(restricted, updates);
        let mut encoded = Vec::with_capacity(texts.len());
        for (audience, updates) in &texts {
            let (verbatim, brief) = (*verbatim, brief.clone());
            let (v1, hook, messages) = (None, None, None);
            let made = Encoded {
                room: &room,
                version,
                from,
                updates,
                verbatim,
                introduces,
                brief,
                v1,
                hook,
                messages,
            };
            encoded.push((*audience, made));
        }
        let is_ahead = self.head > version;
        let is_channel = split_address(&room).1.is_some();
        let mut ahead = Vec::new();
        let mut outdated = Vec::new();
        if let Some((author, _)) = author
            && let Some(reconcile) =
                self.sessions.get_mut(&author).and_then(|session| session.reconcile.as_mut())
        {
            reconcile.durable(version);
        }
        for (id, session) in &mut self.sessions {
            if session.flow != Flow::Live || session.synced >= version {
                continue;
            }
            let audience = session.audience & restricted;
            let Some((_, encoded)) = encoded.iter_mut().find(|(of, _)| *of == audience) else { continue };
            let own = author.filter(|(session, _)| session == id).map(|(_, seq)| seq);
            match (session.dialect, own) {
                (Dialect::V1, Some(seq)) => {
                    let frame = match settled {
                        true => server::settled(&room, seq, version, encoded.updates),
                        false if session.brief && seq == session.answered + 1 => {
                            compact::frame(self.number, 0, &[])
                        }
                        false => server::ack(&room, seq, version),
                    };
                    session.push(&frame);
                    if session.flow == Flow::Live {
                        session.answered = session.answered.max(seq);
                    }
                }
                // The hook counts its own writes itself. A message of its own it shows when it comes back.
                (Dialect::Legacy, Some(_)) if !is_channel => {}
                (Dialect::V1, None) => session.push(encoded.v1(session.brief)),
                (Dialect::Legacy, _) if is_channel => {
                    encoded.messages().iter().for_each(|(_, frame)| session.push(frame))
                }
                (Dialect::Legacy, _) => match encoded.hook(is_ahead, &*self.state, &mut self.legacy_clock) {
                    // Nothing that it may see.
                    Some(change) if change.values.is_empty() => {}
                    Some(change) => {
                        change.send(&room, version, session);
                        if session.reconcile.as_ref().is_some_and(|reconcile| reconcile.is_outdated()) {
                            outdated.push(*id);
                        }
                    }
                    None => {
                        ahead.push((*id, session.synced));
                        continue;
                    }
                },
            }
            if session.flow == Flow::Live {
                session.synced = version;
            }
        }
        for (id, since) in ahead {
            self.catch_up(id, Some(since));
        }
        outdated.into_iter().for_each(|id| self.resend_outdated(id));
    }
}

impl Encoded<'_> {
    fn messages(&mut self) -> &[(u64, Frame)] {
        self.messages.get_or_insert_with(|| messages(self.room, self.updates))
    }

    fn v1(&mut self, is_brief: bool) -> &Frame {
        match &self.brief {
            Some(brief) if is_brief => brief,
            _ => self.v1.get_or_insert_with(|| {
                server::change(self.room, self.version, self.from, self.updates, self.introduces)
            }),
        }
    }

    /// The hook knows only whole fields: plain sets set_time as their author wrote them, other operations as the
    /// field's value. That is the head's: `None` where the head `is_ahead` of this version, and so of what the
    /// store has.
    fn hook(
        &mut self,
        is_ahead: bool,
        state: &dyn RoomState,
        clock: &mut LegacyClock,
    ) -> Option<&mut LegacyFrame> {
        if self.hook.is_none() {
            // It was read when it was accepted.
            let updates = read_updates(self.updates).unwrap_or_default();
            let mut values = Vec::new();
            for field in touched(self.updates) {
                let last = updates.iter().rev().find(|update| field_of(&update.key) == field);
                let value = match last {
                    Some(set) if self.verbatim && set.op.is_none() && !set.key.contains('/') => {
                        set.value.get().to_owned()
                    }
                    _ if is_ahead => return None,
                    _ => written(state, &field),
                };
                values.push((value, Arc::from(field)));
            }
            let told = clock.tick();
            let frame = LegacyFrame::encode(self.room, &values, told);
            self.hook = Some(LegacyFrame { values, told, frame });
        }
        self.hook.as_mut()
    }
}

/// A change for those who speak the hook's dialect.
struct LegacyFrame {
    /// The fields' values, as JSON.
    values: Vec<(String, Arc<str>)>,
    told: u64,
    frame: Frame,
}

impl LegacyFrame {
    fn encode(room: &str, values: &[(String, Arc<str>)], told: u64) -> Frame {
        match values {
            [(value, field)] => server::hook_update(room, field, value, told),
            _ => server::hook_merge(room, &object(values), told),
        }
    }

    /// Sends it. Who has counted further than the version of all others is sent a frame of its own.
    fn send<O: Outbox>(&self, room: &str, version: u64, session: &mut Session<O>) {
        let Some(reconcile) = &mut session.reconcile else { return };
        let told = reconcile.next(self.told);
        let taken = match told == self.told {
            true => session.outbox.push(&self.frame),
            false => session.outbox.push(&Self::encode(room, &self.values, told)),
        };
        match taken {
            true => reconcile.sent(told, version, self.values.iter().map(|(_, field)| field)),
            false => session.flow = Flow::Behind,
        }
    }
}

impl<O> Authority<O> {
    /// A change's updates as each audience in the room may see them.
    fn texts<'a>(&self, restricted: Audience, updates: &'a str) -> Vec<(Audience, Cow<'a, str>)> {
        let Some(audiences) = self.audiences.as_ref().filter(|_| restricted > 0) else {
            return vec![(0, Cow::Borrowed(updates))];
        };
        let here: BTreeSet<_> = self.sessions.values().map(|session| session.audience & restricted).collect();
        here.into_iter().map(|of| (of, audiences.updates(of, updates))).collect()
    }

    /// What brief frames make of a change: the number that its header is given, or, if it has one, the frame.
    fn brief(&mut self, from: &str, updates: &str) -> (Option<u8>, Option<Frame>) {
        // They were read when they were accepted.
        let updates = read_updates(updates).unwrap_or_default();
        let Some(header) = Header::of(from, &updates) else { return (None, None) };
        let Some(value) = header.brief(&updates[0]) else { return (None, None) };
        match self.headers.number(&header) {
            Some(number) => (None, Some(compact::frame(self.number, number, &value))),
            None => (Some(self.headers.introduce(header)), None),
        }
    }
}

/// The messages among some updates of a channel, as the hook's dialect has them.
pub(super) fn messages(address: &str, updates: &str) -> Vec<(u64, Frame)> {
    // They were read when they were accepted.
    let updates = read_updates(updates).unwrap_or_default();
    let appended = updates.iter().filter(|update| update.op.as_deref() == Some(APPEND));
    let entries =
        appended.filter_map(|update| serde_json::from_str::<ChannelEntry<'_>>(update.value.get()).ok());
    let frame =
        |entry: &ChannelEntry<'_>| server::hook_broadcast(address, &entry.from, entry.at, entry.value.get());
    entries.map(|entry| (entry.seq, frame(&entry))).collect()
}

pub(super) fn written(state: &dyn RoomState, field: &str) -> String {
    let mut text = String::new();
    state.write_field(field, &mut text);
    text
}

/// A JSON object of values that are written already, each with its field.
pub(super) fn object(fields: &[(String, impl AsRef<str>)]) -> String {
    let mut out = String::from("{");
    for (index, (value, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(&mut out, field.as_ref());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}
