//! Edits of a text in Yjs' encoding. Each begins with its length, one byte, and who makes it, one byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared_state_fuzz::Room;

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |at| DIGITS[(bits >> (18 - 6 * at) & 63) as usize] as char)
    });
    digits.collect()
}

fuzz_target!(|input: &[u8]| {
    let mut room = Room::new();
    let mut left = input;
    while let [length, who, rest @ ..] = left {
        let (edit, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        let field = if who & 2 == 0 { "body" } else { "notes/a" };
        let edit = base64(edit);
        let (base, who) = (if who & 4 == 0 { room.version() } else { 0 }, usize::from(who & 1));
        room.updates(who, base, &format!(r#"[{{"key":"{field}","op":"edit","value":"{edit}"}}]"#));
        left = rest;
    }
    room.check();
});
