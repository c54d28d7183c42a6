//! Frames of clients, one in a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared_state_fuzz::{Room, lines};

fuzz_target!(|input: &[u8]| {
    let mut room = Room::new();
    for (index, frame) in lines(input).enumerate() {
        match frame.strip_prefix('[') {
            // Updates alone, so that the fuzzer need not guess sequence numbers.
            Some(_) => room.updates(index, room.version(), frame),
            None => room.v1(index, frame),
        }
    }
    room.check();
});
