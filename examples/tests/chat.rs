//! Two people who talk, and a server that is killed.

mod programs;

use programs::{connected, demo};

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

#[test]
fn what_is_said_is_there_once_in_one_order_also_after_a_kill() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(CHAT, &url, "chat-1", "ann");
    let mut ben = connected(CHAT, &url, "chat-1", "ben");

    ann.ask("hello all", "you: hello all");
    ann.until("said as number 1");
    let heard = ben.until("ann: hello all");
    assert!(heard.starts_with("1 [") && heard.ends_with(" UTC] ann: hello all"), "{heard}");
    ben.type_in("/cheer well said");
    ann.until("* ben cheers: well said");
    ann.ask("/dance", "no such command: /dance");

    server.kill();
    ann.until("status: offline");
    ben.until("status: offline");
    ann.type_in("are you there?");
    ann.ask("/history", "2 known, 1 pending");
    ann.until("(pending) ann: are you there?");
    ben.ask("/cheer nobody hears it", "cheer not sent: the channel is not joined now");
    ben.type_in("I am");

    let address = url.trim_start_matches("ws://").trim_end_matches("/ws");
    let (_server, _) = demo(data.path(), address);
    ann.until("ben: I am");
    ben.until("ann: are you there?");
    while !ann.ask("/history", " known, ").contains("3 known, 0 pending") {}
    let order: Vec<_> = (0..3).map(|_| ann.until(" UTC] ").replace(" you:", " ann:")).collect();

    // Somebody who comes later is given what was said, in the same order.
    let mut eve = connected(CHAT, &url, "chat-1", "eve");
    for said in order {
        eve.until(said.trim());
    }
    for program in [ann, ben, eve] {
        assert!(program.end().success());
    }
}
