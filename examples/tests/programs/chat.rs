//! Two people who talk, and a server that is killed.

use crate::terminal::{connected, demo};

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

#[test]
fn who_is_here_shows_and_somebody_is_put_out() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (mut server, url) = demo(data.path(), "127.0.0.1:0");
    let mut ann = connected(CHAT, &url, "chat-1", "ann");
    let mut ben = connected(CHAT, &url, "chat-1", "ben");
    ann.until("+ ben is here");
    ben.until("+ ann is here");

    ben.type_in("/typing");
    ann.until("ben is typing");
    ann.ask("/who", "here: ann, ben (typing)");
    ben.type_in("Hello!");
    ann.until("ben: Hello!");
    // That ben no longer types comes by another way than what he said.
    while ann.ask("/who", "here: ") != "  here: ann, ben" {}

    server.ask("who chat-1", "in chat-1: ");
    server.ask("kick chat-1 nobody", "0 connections were put out of chat-1");
    server.ask("kick chat-1 ben too loud", "1 connection was put out of chat-1");
    ben.until("chat: kicked: too loud");
    ann.until("- ben is gone");
    ann.ask("/who", "here: ann");
    ben.ask("Let me in!", "refused: ");
    ann.ask("Quiet now.", "said as number 2");

    // Who was only put out may come back, who is banned may not.
    server.ask("ban chat-1 ann and quiet", "1 connection was put out of chat-1, ann for");
    ann.until("chat: banned: and quiet");
    let mut ben = connected(CHAT, &url, "chat-1", "ben");
    ben.until("ann: Quiet now.");
    ben.ask("/who", "here: ben");
    assert!(ben.end().success());
}
