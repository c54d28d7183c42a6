//! Frames of a server that a client cannot trust, text and compact ones. Each begins with its length, one byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state::proto::{ServerMessage, compact};
use shared_state_fuzz::Board;

/// A state, and a change whose header gets the number 1.
const BEGIN: [&str; 2] = [
    r#"{"type":"state:sync","room":"room","payload":{"epoch":"0000000000000007","version":0,"data":{},"brief":1}}"#,
    r#"{"type":"state:change","room":"room","payload":{"version":1,"from":"ann","updates":[{"key":"title","value":""}],"brief":1}}"#,
];

fuzz_target!(|input: &[u8]| {
    let mut replica = Replica::new("room".into(), Board::default(), ReplicaConfig::default());
    replica.connected(64);
    let mut receive = |frame: &[u8]| {
        let message = match std::str::from_utf8(frame) {
            Ok(text) if text.starts_with('{') => match ServerMessage::read(text) {
                Ok(ServerMessage::Room(_, message)) => message,
                _ => return,
            },
            _ => match compact::read(frame) {
                Ok((_, message)) => message,
                Err(_) => return,
            },
        };
        let _ = replica.receive(message);
        while replica.poll_frame().is_some() {}
        while replica.poll_event().is_some() {}
    };
    BEGIN.iter().for_each(|frame| receive(frame.as_bytes()));
    let mut left = input;
    while let Some((length, rest)) = left.split_first() {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        receive(frame);
        left = rest;
    }
    let json = serde_json::to_string(replica.state()).expect("the state has a JSON form");
    serde_json::from_str::<Board>(&json).expect("the JSON can be read");
});
