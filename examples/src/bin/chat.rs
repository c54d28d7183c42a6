//! Teaches: a channel: messages in one order for everybody, history, receipts, gaps, and what is not kept.
//!
//! ```console
//! cargo demo                 # the server, in a first terminal
//! cargo chat --name ann      # in a second
//! cargo chat --name ben      # in a third
//! ```
//! What is typed is said. Kill the server, say something in both, start it again: each is there once, in the same order
//! for both. `/history` shows what is known, with what is not acknowledged yet. `/cheer yes!` is heard by those who are
//! there now, and is gone.

use std::time::Duration;

use clap::Parser;
use shared_state::channel::{Item, Message};
use shared_state::client::{Channel, Receipt};
use shared_state_examples::chat::Line;
use shared_state_examples::terminal::{Common, goodbye, interrupted, lines, say, split, status_line};
use tokio::task::JoinSet;

/// A room to talk in.
#[derive(Parser)]
struct Args {
    /// Which room.
    #[arg(long, default_value = "chat")]
    room: String,
    #[command(flatten)]
    common: Common,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, common } = Args::parse();
    let name = &*common.name;
    say(format!("{name}, you are in {room}. Say something, or: /cheer <text>, /history, /quit"));

    let client = common.client().connect();
    let chat: Channel<Line> = client.room(room).channel("chat");
    let mut statuses = client.statuses();
    let mut errors = chat.errors();
    // What is kept, and then what comes; through reconnects, each message once.
    let mut items = chat.stream_after(0);
    let mut cheers = chat.broadcasts();
    let mut receipts = JoinSet::new();
    let mut typed = lines();
    let mut interrupt = interrupted();
    loop {
        tokio::select! {
            biased;
            () = &mut interrupt => break,
            Some(item) = items.next() => say(item_line(&item)),
            Some(Ok(answer)) = receipts.join_next() => say(answer),
            Some(cheer) = cheers.next() => match cheer {
                Ok(cheer) => say(format!("* {} cheers: {}", cheer.value.name, cheer.value.text)),
                Err(error) => say(format!("* {error}")),
            },
            Some(status) = statuses.next() => say(status_line(&status)),
            Some(violation) = errors.next() => say(format!("chat: {violation}")),
            line = typed.recv() => match line.as_deref().map(split) {
                None | Some(("/quit", _)) => break,
                Some(("/history", _)) => show(&chat),
                Some(("/cheer", text)) => {
                    if let Err(error) = chat.broadcast(&Line { name: name.to_owned(), text: text.to_owned() }) {
                        say(format!("cheer not sent: {error}"));
                    }
                }
                Some((word, _)) if word.starts_with('/') => say(format!("no such command: {word}")),
                Some(_) => {
                    let text = line.unwrap_or_default();
                    match chat.send(&Line { name: name.to_owned(), text }) {
                        Ok(receipt) => {
                            receipts.spawn(answer(receipt));
                        }
                        Err(error) => say(format!("refused: {error}")),
                    }
                }
            },
        }
    }
    goodbye(&client).await;
}

/// What becomes of a message.
async fn answer(receipt: Receipt) -> String {
    match receipt.await {
        Ok(seq) => format!("said as number {seq}"),
        Err(rejected) => format!("refused: {rejected}"),
    }
}

fn item_line(item: &Item<Line>) -> String {
    match item {
        Item::Message(message) => message_line(message),
        Item::Unreadable(unreadable) => format!("? {unreadable}"),
        Item::Gap { from, to } => format!("... {from} to {to} are no longer kept"),
        Item::Missed { from, to } => format!("... {from} to {to} went by too fast"),
        Item::Restarted => "... the channel begins anew".to_owned(),
        item => format!("{item:?}"),
    }
}

fn message_line(message: &Message<Line>) -> String {
    let Line { name, text } = message.value();
    let (Some(seq), Some(at)) = (message.seq(), message.at()) else {
        return format!("(pending) {name}: {text}");
    };
    let clock = Duration::from_millis(at).as_secs() % 86_400;
    let (hours, minutes) = (clock / 3600, clock / 60 % 60);
    let who = if message.is_own() { "you".to_owned() } else { name.clone() };
    format!("{seq} [{hours:02}:{minutes:02} UTC] {who}: {text}")
}

fn show(chat: &Channel<Line>) {
    let items = chat.items();
    say(format!("  {} known, {} pending", items.len(), chat.pending()));
    items.iter().for_each(|item| say(format!("  {}", item_line(item))));
}
