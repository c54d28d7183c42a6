//! Frames of a server that a client cannot trust, one in a line.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use shared_state::proto::ServerMessage;
use shared_state::proto::replica::{Replica, ReplicaConfig};
use shared_state_fuzz::{Board, BoardUpdate, lines};

fuzz_target!(|input: &[u8]| {
    let mut replica = Replica::new("room".into(), Board::default(), ReplicaConfig::default());
    replica.connected(64);
    for (index, frame) in lines(input).enumerate() {
        let now = Duration::from_millis(index as u64);
        if frame.is_empty() {
            let _ = replica.write(now, vec![BoardUpdate::Title(index.to_string())]);
        } else if frame == "undo" {
            let _ = replica.undo(now);
        } else if let Ok(ServerMessage::Room(_, message)) = ServerMessage::read(frame) {
            let _ = replica.receive(message);
        }
        replica.tick(now);
        while replica.poll_frame().is_some() {}
        while replica.poll_event().is_some() {}
        while replica.poll_answer().is_some() {}
    }
    // What it shows can be written and read.
    let json = serde_json::to_string(replica.state()).expect("the state has a JSON form");
    serde_json::from_str::<Board>(&json).expect("the JSON can be read");
});
