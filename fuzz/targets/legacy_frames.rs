//! Frames of legacy clients, one in a line.

#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use shared_state::proto::Envelope;
use shared_state::proto::legacy::LegacyMessage;
use shared_state_fuzz::{Room, lines};

/// A field's name as a path.
fn path(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fuzz_target!(|input: &[u8]| {
    let mut room = Room::new();
    for frame in lines(input) {
        let Ok(envelope) = Envelope::read(frame) else { continue };
        let (fields, version) = match LegacyMessage::read(&envelope) {
            Ok(LegacyMessage::Update { key, value, version }) => ([(key, value)].into(), version),
            Ok(LegacyMessage::Merge { data, version }) => {
                let Ok(fields) = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(data.get()) else {
                    continue;
                };
                (fields, version)
            }
            Ok(LegacyMessage::SyncRequest) => {
                room.legacy_sync();
                continue;
            }
            _ => continue,
        };
        let update = |(name, value): (&Cow<'_, str>, &&RawValue)| {
            format!(r#"{{"key":{},"value":{value}}}"#, serde_json::Value::from(path(name)))
        };
        let updates: Vec<_> = fields.iter().map(update).collect();
        room.legacy(&format!("[{}]", updates.join(",")), version);
    }
    room.check();
});
