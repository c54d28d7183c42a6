//! Writing frames.

use crate::proto::{Frame, split_address};

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        // A `str` always has a JSON form.
        Err(_) => out.push_str("\"\""),
    }
}

/// Writes one frame: `payload` appends a JSON value; `address` is a room's or a channel's.
pub(crate) fn frame(
    kind: &str,
    address: Option<&str>,
    size: usize,
    payload: impl FnOnce(&mut String),
) -> Frame {
    let mut out = String::with_capacity(size + 64 + address.map_or(0, str::len));
    out.push_str("{\"type\":\"");
    out.push_str(kind);
    out.push('"');
    if let Some(address) = address {
        let (room, channel) = split_address(address);
        out.push_str(",\"room\":");
        push_string(&mut out, room);
        if let Some(channel) = channel {
            out.push_str(",\"channel\":");
            push_string(&mut out, channel);
        }
    }
    out.push_str(",\"payload\":");
    payload(&mut out);
    out.push('}');
    Frame::from(out)
}

/// Frames that a client sends.
pub mod client {
    use super::{Frame, frame, push_string};
    use crate::proto::{JoinRequest, Resume};
    use std::fmt::Write as _;

    /// The first frame of a connection. `token` says who the user is, if the request could not.
    #[must_use]
    pub fn hello(client: &str, token: Option<&str>) -> Frame {
        frame("hello", None, 64 + token.map_or(0, str::len), |out| {
            out.push_str("{\"client\":");
            push_string(out, client);
            if let Some(token) = token {
                out.push_str(",\"token\":");
                push_string(out, token);
            }
            out.push('}');
        })
    }

    /// Says who the user is, before what was said before expires.
    #[must_use]
    pub fn token(token: &str) -> Frame {
        frame("hello:token", None, token.len() + 16, |out| {
            out.push_str("{\"token\":");
            push_string(out, token);
            out.push('}');
        })
    }

    /// Joins a room, or resumes it where it was left.
    #[must_use]
    pub fn join(room: &str, request: &JoinRequest) -> Frame {
        let JoinRequest { resume, schema, declare, brief, password, info } = request;
        frame("room:join", Some(room), 160, |out| {
            out.push('{');
            if let Some(schema) = schema {
                put!(out, r#""schema":"{schema:016x}","#);
            }
            if let Some(Resume { epoch, version, acked, schema, audience }) = resume {
                put!(out, r#""resume":{{"epoch":"{epoch:016x}","version":{version},"acked":{acked}"#);
                if let Some(schema) = schema {
                    put!(out, r#","schema":"{schema:016x}""#);
                }
                if let Some(audience) = audience {
                    put!(out, r#","audience":"{audience:016x}""#);
                }
                out.push_str("},");
            }
            if !declare.is_empty() {
                // Declarations have no values that JSON does not have.
                put!(out, r#""declare":{},"#, serde_json::to_string(declare).unwrap_or_default());
            }
            for (name, flag) in [("brief", brief), ("info", info)] {
                if *flag {
                    put!(out, "\"{name}\":true,");
                }
            }
            if let Some(password) = password {
                out.push_str("\"password\":");
                push_string(out, password.reveal());
                out.push(',');
            }
            if out.ends_with(',') {
                out.pop();
            }
            out.push('}');
        })
    }

    /// Leaves a room.
    #[must_use]
    pub fn leave(room: &str) -> Frame {
        frame("room:leave", Some(room), 8, |out| out.push_str("{}"))
    }

    /// A change: `updates` are encoded updates, `reads` the names of the fields a transaction read; `again`: it
    /// may have been sent before.
    #[must_use]
    pub fn change<'a>(
        room: &str,
        seq: u64,
        base: u64,
        again: bool,
        updates: impl Iterator<Item = &'a str> + Clone,
        reads: Option<&[&str]>,
    ) -> Frame {
        let size = updates.clone().map(|update| update.len() + 1).sum::<usize>() + 64;
        frame("state:change", Some(room), size, |out| {
            put!(out, r#"{{"seq":{seq},"base":{base},"#);
            out.push_str(if again { "\"again\":true,\"updates\":[" } else { "\"updates\":[" });
            for (index, update) in updates.enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(update);
            }
            out.push(']');
            if let Some(reads) = reads {
                out.push_str(",\"reads\":[");
                for (index, key) in reads.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_string(out, key);
                }
                out.push(']');
            }
            out.push('}');
        })
    }

    /// A message for those who are in the channel now: `value` is JSON.
    #[must_use]
    pub fn broadcast(channel: &str, value: &str) -> Frame {
        frame("channel:broadcast", Some(channel), value.len() + 16, |out| {
            put!(out, "{{\"value\":{value}}}");
        })
    }

    /// Asks whether the other side is there.
    #[must_use]
    pub fn ping() -> Frame {
        frame("ping", None, 8, |out| out.push_str("{}"))
    }

    /// Answers a ping.
    #[must_use]
    pub fn pong() -> Frame {
        frame("pong", None, 8, |out| out.push_str("{}"))
    }
}

/// Frames that the server sends.
pub mod server {
    use super::{Frame, frame, push_string};
    use crate::core::{Code, Reject};
    use crate::proto::{Limits, Outcome, Outcomes, split_address};
    use std::fmt::Write as _;
    use std::time::Duration;

    /// The answer to `hello`. `expires` is how long the user stays known.
    #[must_use]
    pub fn welcome(id: &str, limits: &Limits, expires: Option<Duration>) -> Frame {
        frame("welcome", None, 128, |out| {
            out.push_str("{\"id\":");
            push_string(out, id);
            put!(
                out,
                r#","heartbeat":{},"window":{},"frame":{}"#,
                limits.heartbeat.as_millis(),
                limits.window,
                limits.frame
            );
            if let Some(expires) = expires {
                put!(out, ",\"expires\":{}", milliseconds(expires));
            }
            out.push('}');
        })
    }

    /// As many as everybody can count.
    fn milliseconds(time: Duration) -> u128 {
        time.as_millis().min((1 << 53) - 1)
    }

    /// The answer to `hello:token`. `expires` is how long the user stays known.
    #[must_use]
    pub fn renewed(expires: Option<Duration>) -> Frame {
        frame("welcome:token", None, 32, |out| match expires {
            Some(expires) => {
                put!(out, "{{\"expires\":{}}}", milliseconds(expires));
            }
            None => out.push_str("{}"),
        })
    }

    /// What comes beside a state or a delta.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Beside<'a> {
        /// The room's schema, for a client that has another.
        pub schema: Option<&'a str>,
        /// The room's number in brief frames, for a client that takes them.
        pub brief: Option<u64>,
        /// What the client may not do, as JSON; `None`: nothing.
        pub rights: Option<&'a str>,
        /// Of a whole state: the audience that it is for.
        pub audience: Option<u64>,
    }

    /// The whole state: `data` is a JSON object.
    #[must_use]
    pub fn sync(
        room: &str,
        epoch: u64,
        version: u64,
        data: &str,
        beside: Beside<'_>,
        outcomes: &Outcomes,
    ) -> Frame {
        frame("state:sync", Some(room), data.len() + beside.len() + 96, |out| {
            put!(out, r#"{{"epoch":"{epoch:016x}","version":{version},"data":{data}"#);
            beside.write(out);
            answers(out, outcomes);
            out.push('}');
        })
    }

    /// What changed since a version: `updates` is a JSON array of updates.
    #[must_use]
    pub fn delta(
        room: &str,
        since: u64,
        version: u64,
        updates: &str,
        beside: Beside<'_>,
        outcomes: &Outcomes,
    ) -> Frame {
        frame("state:delta", Some(room), updates.len() + beside.len() + 96, |out| {
            put!(out, r#"{{"since":{since},"version":{version},"updates":{updates}"#);
            beside.write(out);
            answers(out, outcomes);
            out.push('}');
        })
    }

    impl Beside<'_> {
        fn len(self) -> usize {
            self.schema.map_or(0, str::len) + self.rights.map_or(0, str::len)
        }

        fn write(self, out: &mut String) {
            if let Some(schema) = self.schema {
                put!(out, ",\"schema\":{schema}");
            }
            if let Some(number) = self.brief {
                put!(out, ",\"brief\":{number}");
            }
            if let Some(rights) = self.rights {
                put!(out, ",\"rights\":{rights}");
            }
            if let Some(audience) = self.audience {
                put!(out, r#","audience":"{audience:016x}""#);
            }
        }
    }

    /// The member `answers`, if there is anything to say.
    fn answers(out: &mut String, Outcomes { last, since, answers }: &Outcomes) {
        if *last == 0 && answers.is_empty() {
            return;
        }
        put!(out, r#","answers":{{"last":{last}"#);
        if *since > 0 {
            put!(out, ",\"since\":{since}");
        }
        let mut open = false;
        for (seq, outcome) in answers {
            if let Outcome::Accepted(version) = outcome {
                out.push_str(if open { "," } else { ",\"acks\":[" });
                put!(out, "[{seq},{version}]");
                open = true;
            }
        }
        if open {
            out.push(']');
        }
        open = false;
        for (seq, outcome) in answers {
            if let Outcome::Rejected(reject) = outcome {
                out.push_str(if open { "," } else { ",\"rejects\":[" });
                rejection(out, *seq, reject);
                open = true;
            }
        }
        if open {
            out.push(']');
        }
        out.push('}');
    }

    /// One accepted change of somebody: `updates` is a JSON array of updates, `brief` the number under which brief
    /// frames are about the same from now on.
    #[must_use]
    pub fn change(room: &str, version: u64, from: &str, updates: &str, brief: Option<u8>) -> Frame {
        frame("state:change", Some(room), updates.len() + 96, |out| {
            put!(out, "{{\"version\":{version},\"from\":");
            push_string(out, from);
            put!(out, ",\"updates\":{updates}");
            if let Some(number) = brief {
                put!(out, ",\"brief\":{number}");
            }
            out.push('}');
        })
    }

    /// The receiver's own change was accepted.
    #[must_use]
    pub fn ack(room: &str, seq: u64, version: u64) -> Frame {
        frame("state:ack", Some(room), 48, |out| {
            put!(out, r#"{{"seq":{seq},"version":{version}}}"#);
        })
    }

    /// The receiver's own change was accepted as these updates, a JSON array, which are not the ones it sent.
    #[must_use]
    pub fn settled(room: &str, seq: u64, version: u64, updates: &str) -> Frame {
        frame("state:ack", Some(room), updates.len() + 64, |out| {
            put!(out, r#"{{"seq":{seq},"version":{version},"updates":{updates}}}"#);
        })
    }

    /// The receiver's own change was refused.
    #[must_use]
    pub fn reject(room: &str, seq: u64, reject: &Reject) -> Frame {
        frame("state:reject", Some(room), 128, |out| rejection(out, seq, reject))
    }

    fn rejection(out: &mut String, seq: u64, reject: &Reject) {
        put!(out, r#"{{"seq":{seq},"code":"{}""#, reject.code);
        if let Some(field) = &reject.field {
            out.push_str(",\"field\":");
            push_string(out, field);
        }
        out.push_str(",\"message\":");
        push_string(out, &reject.message);
        out.push('}');
    }

    /// A message for those who are in the channel now: `value` is JSON, `at` in milliseconds since 1970.
    #[must_use]
    pub fn broadcast(channel: &str, from: &str, at: u64, value: &str) -> Frame {
        frame("channel:broadcast", Some(channel), value.len() + 64, |out| {
            out.push_str("{\"from\":");
            push_string(out, from);
            put!(out, ",\"at\":{at},\"value\":{value}}}");
        })
    }

    /// What the receiver may not do has changed: `denied` is that as JSON; `None`: nothing.
    #[must_use]
    pub fn rights(room: &str, denied: Option<&str>) -> Frame {
        let denied = denied.unwrap_or("{}");
        frame("room:rights", Some(room), denied.len(), |out| out.push_str(denied))
    }

    /// Something about a room went wrong.
    #[must_use]
    pub fn room_error(room: &str, code: Code, message: &str) -> Frame {
        frame("room:error", Some(room), 128, |out| error_payload(out, code, message))
    }

    /// Something about the connection went wrong.
    #[must_use]
    pub fn error(code: Code, message: &str) -> Frame {
        frame("error", None, 128, |out| error_payload(out, code, message))
    }

    fn error_payload(out: &mut String, code: Code, message: &str) {
        put!(out, r#"{{"code":"{code}","message":"#);
        push_string(out, message);
        out.push('}');
    }

    /// Answers a ping.
    #[must_use]
    pub fn pong() -> Frame {
        super::client::pong()
    }

    /// Asks whether the other side is there.
    #[must_use]
    pub fn ping() -> Frame {
        super::client::ping()
    }

    /// `broadcast:<channel>` of the original hook's dialect: `value` is JSON, `at` in milliseconds since 1970.
    #[must_use]
    pub fn hook_broadcast(channel: &str, from: &str, at: u64, value: &str) -> Frame {
        let (room, channel) = split_address(channel);
        let mut out = String::with_capacity(value.len() + 160);
        out.push_str("{\"type\":");
        push_string(&mut out, &format!("broadcast:{}", channel.unwrap_or_default()));
        out.push_str(",\"room\":");
        push_string(&mut out, room);
        out.push_str(",\"from\":");
        push_string(&mut out, from);
        put!(out, ",\"timestamp\":{at},\"payload\":{value}}}");
        Frame::from(out)
    }

    /// A message of the app's own in the original hook's dialect: `value` is JSON, `at` in milliseconds since 1970.
    #[must_use]
    pub fn hook_relay(room: &str, kind: &str, from: &str, at: u64, value: &str) -> Frame {
        let mut out = String::with_capacity(value.len() + kind.len() + room.len() + 96);
        for (name, text) in [("{\"type\":", kind), (",\"room\":", room), (",\"from\":", from)] {
            out.push_str(name);
            push_string(&mut out, text);
        }
        put!(out, ",\"timestamp\":{at},\"payload\":{value}}}");
        Frame::from(out)
    }

    /// `state:update` of the original hook's dialect: `value` is JSON.
    #[must_use]
    pub fn hook_update(room: &str, key: &str, value: &str, version: u64) -> Frame {
        frame("state:update", Some(room), value.len() + 64, |out| {
            out.push_str("{\"key\":");
            push_string(out, key);
            put!(out, ",\"value\":{value},\"version\":{version}}}");
        })
    }

    /// `state:merge` of the original hook's dialect: `data` is a JSON object.
    #[must_use]
    pub fn hook_merge(room: &str, data: &str, version: u64) -> Frame {
        frame("state:merge", Some(room), data.len() + 64, |out| {
            put!(out, "{{\"data\":{data},\"version\":{version}}}");
        })
    }

    /// `state:sync` of the original hook's dialect: `data` is a JSON object.
    #[must_use]
    pub fn hook_sync(room: &str, data: &str, version: u64) -> Frame {
        frame("state:sync", Some(room), data.len() + 64, |out| {
            put!(out, "{{\"data\":{data},\"version\":{version}}}");
        })
    }
}
