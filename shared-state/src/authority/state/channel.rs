//! A channel: a room whose state is its last messages.
//!
//! A message is a change, so that the room handles order, acknowledgement, repeats, storage and slow readers. This
//! module adds the server's stamp on a message and the bounds of the history. A delta has the messages that the
//! receiver lacks; if some of these are no longer retained, it also has the number up to which messages are gone.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::authority::state::room_state::{RoomState, Writer};
use crate::core::WireUpdate;
use crate::core::{Code, Reject};
use crate::proto::channel::{APPEND, ChannelEntry, ChannelHistory, MESSAGES, SEND, check_length};

/// How many of a channel's messages are retained for clients that join or resume later. A message is dropped as soon as
/// one of the bounds is exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// The greatest number of messages. Default 1,000; 0: no messages are retained.
    pub messages: usize,
    /// The greatest size of the messages in bytes, as JSON with their stamps. Default 1 MiB.
    pub bytes: usize,
    /// The greatest age of a message. Default `None`: there is no limit.
    pub age: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { messages: 1000, bytes: 1 << 20, age: None }
    }
}

/// Checks a message, JSON text. An error says what is wrong with it.
pub type Check = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// A retained message.
struct RetainedMessage {
    seq: u64,
    at: u64,
    /// The [`ChannelEntry`] as JSON.
    json: Box<str>,
}

/// Time stamps do not decrease if the clock is set back by up to this many milliseconds. If it is set back further, it
/// was wrong before, and they follow it.
const SET_BACK: u64 = 60_000;

/// The state of a channel.
pub struct ChannelLog {
    history: Retention,
    /// The longest message, in bytes of JSON.
    longest: usize,
    check: Option<Check>,
    /// The retained messages. Their numbers are consecutive and end with `last`.
    retained: VecDeque<RetainedMessage>,
    /// The size of the retained messages, in bytes of JSON.
    bytes: usize,
    /// The number of the last message.
    last: u64,
    /// The time stamp of the last message, in milliseconds since 1970.
    last_at: u64,
    /// The time, in milliseconds since 1970.
    now: u64,
}

impl ChannelLog {
    /// An empty channel that accepts any JSON of at most `longest` bytes as a message.
    #[must_use]
    pub const fn new(history: Retention, longest: usize) -> Self {
        Self {
            history,
            longest,
            check: None,
            retained: VecDeque::new(),
            bytes: 0,
            last: 0,
            last_at: 0,
            now: 0,
        }
    }

    /// The same channel, which accepts only messages that satisfy `check`.
    #[must_use]
    pub fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Checks that a message, JSON text, fits this channel.
    ///
    /// # Errors
    /// The message is too long, or the channel's check refuses it. Without a check: it is not JSON or has a number that
    /// no program can represent.
    pub fn admit(&self, value: &str) -> Result<(), Reject> {
        check_length(value.len(), self.longest)?;
        let checked = match &self.check {
            Some(check) => check(value),
            None => {
                serde_json::from_str::<serde_json::Value>(value).map(drop).map_err(|error| error.to_string())
            }
        };
        checked.map_err(|message| Reject::new(Code::WrongType, message))
    }

    /// The number up to which messages are no longer retained.
    fn gone(&self) -> u64 {
        self.last - self.retained.len() as u64
    }

    fn retain(&mut self, entry: &ChannelEntry<'_>) {
        let json = serde_json::to_string(entry).expect("numbers, a name and JSON are JSON").into_boxed_str();
        self.bytes += json.len();
        self.retained.push_back(RetainedMessage { seq: entry.seq, at: entry.at, json });
        self.last = entry.seq;
        self.last_at = entry.at;
        self.trim();
    }

    fn trim(&mut self) {
        let age = self.history.age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        while let Some(first) = self.retained.front() {
            let old = age.is_some_and(|age| first.at.saturating_add(age) < self.now);
            if !old && self.retained.len() <= self.history.messages && self.bytes <= self.history.bytes {
                return;
            }
            self.bytes -= first.json.len();
            self.retained.pop_front();
        }
    }

    /// The time stamp of a message after one of the time `last`.
    fn time_after(&self, last: u64) -> u64 {
        if last.saturating_sub(self.now) > SET_BACK { self.now } else { self.now.max(last) }
    }

    /// Applies a message from the log of a stored channel.
    fn replay(&mut self, update: &WireUpdate<'_>, version: u64) -> Result<(), Reject> {
        let wrong = |message: String| Reject::new(Code::WrongType, message);
        let entry: ChannelEntry<'_> =
            serde_json::from_str(update.value.get()).map_err(|error| wrong(error.to_string()))?;
        if update.op.as_deref() != Some(APPEND) || entry.seq != version {
            return Err(wrong(format!("expected message {version} to be appended, found {}", entry.seq)));
        }
        self.retain(&entry);
        Ok(())
    }
}

impl RoomState for ChannelLog {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        let [update] = updates else {
            let message = format!("a change of a channel is one message, found {}", updates.len());
            return Err(Reject::new(Code::BadChange, message));
        };
        if update.key != MESSAGES {
            let message = format!("a channel has the field `{MESSAGES}` only");
            return Err(Reject::new(Code::UnknownField, message).in_field(update.key.as_ref()));
        }
        let from = match by {
            Writer::Log => return self.replay(update, version).map(|()| None),
            Writer::Client(author, ..) => author.name(),
            Writer::Server => "server",
        };
        if update.op.as_deref() != Some(SEND) {
            let message = format!("the operation on `{MESSAGES}` is `{SEND}`");
            return Err(Reject::new(Code::UnknownOp, message).in_field(MESSAGES));
        }
        self.admit(update.value.get())?;
        let at = self.time_after(self.last_at);
        let entry = ChannelEntry { seq: version, from: Cow::Borrowed(from), at, value: update.value };
        self.retain(&entry);
        let accepted = Accepted { key: MESSAGES, op: APPEND, value: entry };
        Ok(Some(serde_json::to_string(&[accepted]).expect("numbers, a name and JSON are JSON")))
    }

    fn changed(&self, key: &str) -> Result<u64, Reject> {
        if key == MESSAGES {
            return Ok(self.last);
        }
        Err(Reject::new(Code::UnknownField, "a channel has no such field").in_field(key))
    }

    fn write_data(&self, out: &mut String) {
        out.push_str("{\"messages\":{\"gone\":");
        out.push_str(&self.gone().to_string());
        out.push_str(",\"entries\":[");
        for (index, message) in self.retained.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&message.json);
        }
        out.push_str(&format!("],\"longest\":{}}}}}", self.longest));
    }

    fn is_complete(&self) -> bool {
        false
    }

    fn write_delta(&self, since: u64, out: &mut String) {
        // The server may have another limit than the one whose state the client has.
        out.push_str(&format!("[{{\"key\":\"messages\",\"op\":\"longest\",\"value\":{}}}", self.longest));
        let gone = self.gone();
        if since < gone {
            out.push_str(&format!(",{{\"key\":\"messages\",\"op\":\"gone\",\"value\":{gone}}}"));
        }
        let first = self.retained.partition_point(|message| message.seq <= since);
        for message in self.retained.range(first..) {
            out.push_str(",{\"key\":\"messages\",\"op\":\"append\",\"value\":");
            out.push_str(&message.json);
            out.push('}');
        }
        out.push(']');
    }

    fn write_field(&self, _key: &str, out: &mut String) {
        out.push_str("null");
    }

    fn write_versions(&self, out: &mut String) {
        // Stored because the last message may not be retained: time stamps must not decrease if the clock was set back.
        out.push_str(&format!("{{\"at\":{}}}", self.last_at));
    }

    fn restore(&mut self, data: &str, versions: &str) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Data<'a> {
            #[serde(borrow)]
            messages: &'a RawValue,
        }
        #[derive(serde::Deserialize)]
        struct Versions {
            #[serde(default)]
            at: u64,
        }
        let data: Data<'_> = serde_json::from_str(data).map_err(|error| format!("the channel: {error}"))?;
        let ChannelHistory { gone, entries, .. } = serde_json::from_str(data.messages.get())
            .map_err(|error| format!("the channel's history: {error}"))?;
        let versions: Versions =
            serde_json::from_str(versions).map_err(|error| format!("the versions: {error}"))?;
        self.retained.clear();
        (self.bytes, self.last, self.last_at) = (0, gone, 0);
        for entry in &entries {
            if entry.seq != self.last + 1 {
                return Err(format!("expected message {} next, found {}", self.last + 1, entry.seq));
            }
            self.retain(entry);
        }
        self.last_at = self.last_at.max(versions.at);
        Ok(())
    }

    fn set_time(&mut self, now: u64) -> bool {
        if now > self.now || self.now - now > SET_BACK {
            self.now = now;
        }
        let before = self.retained.len();
        self.trim();
        self.retained.len() != before
    }
}

/// An accepted message as it is sent to the sessions.
#[derive(serde::Serialize)]
struct Accepted<'a> {
    key: &'a str,
    op: &'a str,
    value: ChannelEntry<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::change::read_updates;

    fn log(history: Retention) -> ChannelLog {
        ChannelLog::new(history, 100)
    }

    fn say(log: &mut ChannelLog, value: &str) -> Result<Option<String>, Reject> {
        let update = format!(r#"[{{"key":"messages","op":"send","value":{value}}}]"#);
        let version = log.last + 1;
        log.apply(&read_updates(&update)?, Writer::Server, version)
    }

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn a_message_is_stamped_and_time_does_not_go_back() {
        let mut log = log(Retention::default());
        log.set_time(50);
        let accepted = say(&mut log, r#"{"n":1.50}"#).unwrap().unwrap();
        let expected = r#"[{"key":"messages","op":"append","value":{"seq":1,"from":"server","at":50,"value":{"n":1.50}}}]"#;
        assert_eq!(accepted, expected);
        log.set_time(40);
        assert!(say(&mut log, "2").unwrap().unwrap().contains(r#""seq":2,"from":"server","at":50"#));
    }

    #[test]
    fn g9_number_bytes_and_age_bound_the_history() {
        for (history, gone) in [
            (Retention { messages: 3, ..Retention::default() }, 7),
            (Retention { messages: 0, ..Retention::default() }, 10),
            (Retention { bytes: 100, ..Retention::default() }, 8),
            (Retention { age: Some(Duration::from_millis(45)), ..Retention::default() }, 5),
            (Retention::default(), 0),
        ] {
            let mut log = log(history);
            for at in 1..=10 {
                log.set_time(10 * at);
                say(&mut log, "1").unwrap();
            }
            assert_eq!(log.gone(), gone, "{history:?}");
            assert!(log.retained.iter().map(|message| message.json.len()).sum::<usize>() == log.bytes);
            let delta = written(|out| log.write_delta(2, out));
            assert_eq!(delta.contains(&format!(r#""op":"gone","value":{gone}"#)), gone > 2, "{delta}");
            assert_eq!(delta.matches("append").count() as u64, 10 - gone.max(2), "{delta}");
            assert!(!written(|out| log.write_delta(10, out)).contains("append"));
        }
        // Messages also expire when no further message follows.
        let mut log = log(Retention { age: Some(Duration::from_millis(45)), ..Retention::default() });
        say(&mut log, "1").unwrap();
        log.set_time(45);
        assert_eq!(log.gone(), 0);
        log.set_time(46);
        assert_eq!((log.gone(), log.bytes), (1, 0));
    }

    #[test]
    fn what_is_no_message_is_refused_and_changes_nothing() {
        let mut log = log(Retention::default()).checked(Arc::new(|json| match json {
            "7" => Err("not seven".to_owned()),
            _ => Ok(()),
        }));
        let long = format!("\"{}\"", "x".repeat(100));
        for (updates, code) in [
            (r#"[{"key":"messages","op":"send","value":7}]"#.to_owned(), Code::WrongType),
            (format!(r#"[{{"key":"messages","op":"send","value":{long}}}]"#), Code::MessageTooLarge),
            (r#"[{"key":"messages","value":1}]"#.to_owned(), Code::UnknownOp),
            (r#"[{"key":"messages","op":"append","value":1}]"#.to_owned(), Code::UnknownOp),
            (r#"[{"key":"title","op":"send","value":1}]"#.to_owned(), Code::UnknownField),
            (
                r#"[{"key":"messages","op":"send","value":1},{"key":"messages","op":"send","value":1}]"#
                    .to_owned(),
                Code::BadChange,
            ),
        ] {
            let refused = log.apply(&read_updates(&updates).unwrap(), Writer::Server, 1).unwrap_err();
            assert_eq!(refused.code, code, "{updates}");
        }
        assert_eq!((log.last, log.bytes), (0, 0));
        let mut any = super::tests::log(Retention::default());
        assert_eq!(say(&mut any, "1e999").unwrap_err().code, Code::WrongType);
    }

    #[test]
    fn a_channel_comes_back_as_it_was() {
        let mut one = log(Retention { messages: 4, ..Retention::default() });
        for at in 1..=10 {
            one.set_time(at);
            say(&mut one, "[1]").unwrap();
        }
        let (data, versions) = (written(|out| one.write_data(out)), written(|out| one.write_versions(out)));
        let mut two = log(Retention { messages: 4, ..Retention::default() });
        two.restore(&data, &versions).unwrap();
        assert_eq!(written(|out| two.write_data(out)), data);
        assert_eq!((two.last, two.last_at, two.bytes), (10, 10, one.bytes));
        // With a shorter history than it had.
        let mut three = log(Retention { messages: 0, ..Retention::default() });
        three.restore(&data, &versions).unwrap();
        assert_eq!((three.last, three.last_at, three.gone()), (10, 10, 10));
        assert!(
            three
                .restore(r#"{"messages":{"gone":1,"entries":[{"seq":3,"from":"a","at":1,"value":1}]}}"#, "{}")
                .is_err()
        );
    }
}
