//! How a change that is durable is told: to everybody in the room, made at most once for each dialect.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authority::audience::{Audience, Audiences};
use crate::authority::change::{self, Change, Update};
use crate::authority::session::{Flow, Session};
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
    view: View<'a>,
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

/// A change as an audience may see it.
struct View<'a> {
    change: &'a Change,
    /// `None`: everybody may see all of it.
    audience: Option<(&'a Audiences, Audience)>,
    /// The updates as a JSON array.
    text: Cow<'a, str>,
}

impl View<'_> {
    fn updates(&self) -> impl DoubleEndedIterator<Item = Update<'_>> {
        let shows =
            |update: &Update<'_>| self.audience.is_none_or(|(audiences, of)| audiences.shows(of, *update));
        self.change.updates().filter(shows)
    }
}

impl<O: Outbox> Authority<O> {
    /// Tells everybody in the room of a change that is durable now; its author gets the answer.
    pub(super) fn tell(&mut self, change: &InFlight) {
        let room = self.room.clone();
        let InFlight { version, author, change, settled, verbatim, .. } = change;
        let (version, from) = (*version, author.name());
        let author = match author {
            ChangeSource::Client { session, seq, .. } => Some((*session, *seq)),
            ChangeSource::Hook { session, .. } => Some((*session, 0)),
            ChangeSource::Server => None,
        };
        // What only some may read is never brief: what a header is would be told to all.
        let restricted = self.audiences.as_ref().map_or(0, |audiences| audiences.needs(change));
        let (introduces, brief) = match self.brief {
            _ if restricted > 0 => (None, None),
            0 => (None, None),
            _ => self.brief(from, change),
        };
        // Not a field of the frames, so that the sessions can be changed while these are there.
        let audiences = self.audiences.clone();
        let mut encoded: Vec<_> = self
            .views(audiences.as_deref(), restricted, change)
            .into_iter()
            .map(|(audience, view)| {
                let (verbatim, brief) = (*verbatim, brief.clone());
                let (v1, hook, messages) = (None, None, None);
                let room = &room;
                (
                    audience,
                    Encoded { room, version, from, view, verbatim, introduces, brief, v1, hook, messages },
                )
            })
            .collect();
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
                        true => server::settled(&room, seq, version, &encoded.view.text),
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
        self.messages.get_or_insert_with(|| messages(self.room, self.view.updates()))
    }

    fn v1(&mut self, is_brief: bool) -> &Frame {
        match &self.brief {
            Some(brief) if is_brief => brief,
            _ => self.v1.get_or_insert_with(|| {
                server::change(self.room, self.version, self.from, &self.view.text, self.introduces)
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
            let mut values = Vec::new();
            for field in change::fields(self.view.updates()) {
                let last = self.view.updates().rev().find(|update| update.field() == *field);
                let value = match last {
                    Some(set) if self.verbatim && set.is_whole_set() => set.value.to_owned(),
                    _ if is_ahead => return None,
                    _ => written(state, &field),
                };
                values.push((value, field));
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
    /// A change as each audience in the room may see it.
    fn views<'a>(
        &self,
        audiences: Option<&'a Audiences>,
        restricted: Audience,
        change: &'a Change,
    ) -> Vec<(Audience, View<'a>)> {
        let Some(audiences) = audiences.filter(|_| restricted > 0) else {
            return vec![(0, View { change, audience: None, text: Cow::Borrowed(change.text()) })];
        };
        let here: BTreeSet<_> = self.sessions.values().map(|session| session.audience & restricted).collect();
        let view = |of| View { change, audience: Some((audiences, of)), text: audiences.updates(of, change) };
        here.into_iter().map(|of| (of, view(of))).collect()
    }

    /// What brief frames make of a change: the number that its header is given, or, if it has one, the frame.
    fn brief(&mut self, from: &str, change: &Change) -> (Option<u8>, Option<Frame>) {
        let mut updates = change.updates();
        let (Some(update), None) = (updates.next(), updates.next()) else { return (None, None) };
        let header = Header::new(from, update.key, update.op);
        let Some(value) = header.compact_value(update.value) else { return (None, None) };
        match self.headers.number(&header) {
            Some(number) => (None, Some(compact::frame(self.number, number, &value))),
            None => (Some(self.headers.introduce(header)), None),
        }
    }
}

/// The messages among some updates of a channel, as the hook's dialect has them.
pub(super) fn messages<'a>(address: &str, updates: impl Iterator<Item = Update<'a>>) -> Vec<(u64, Frame)> {
    let appended = updates.filter(|update| update.op == Some(APPEND));
    let entries = appended.filter_map(|update| serde_json::from_str::<ChannelEntry<'_>>(update.value).ok());
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
