//! Teaches: channels (messages in one order for everyone, history, receipts, gaps, broadcasts) and presence (who is
//! here, and what they are doing).
//!
//! ```console
//! cargo demo                 # the server, in a first terminal
//! cargo chat --name ann      # in a second
//! cargo chat --name ben      # in a third
//! ```
//! Each line you type is a message.
//!
//! - Kill the server, send a message in both terminals, start the server again: both messages arrive once, in the
//!   same order for both.
//! - `/history` shows the messages known here, including those not acknowledged yet.
//! - `/cheer yes!` is a broadcast: those who are connected get it, and it is not stored.
//! - `/typing` shows the others that you are typing; `/who` lists who is here.
//! - In the server's terminal, `kick chat ben too loud` puts Ben out.

use std::time::Duration;

use clap::Parser;
use shared_state::channel::{Item, Message};
use shared_state::client::{Channel, Presence, Receipt};
use shared_state::presence::{PresenceEvent, User};
use shared_state_examples::chat::{Doing, Line};
use shared_state_examples::terminal::{
    Common, goodbye, interrupted, lines, say, split, status_line, without_state,
};
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
    say(format!("{name}, you are in {room}. Say something, or:"));
    say("  /typing, /cheer <text>, /history, /who, /quit");

    let client = common.client().connect();
    let room = client.room(room);
    let chat: Channel<Line> = room.channel("chat");
    let here = room.presence(User::new(name), Doing::default());
    let mut comings = here.events();
    let mut statuses = client.statuses();
    let mut errors = chat.errors();
    // First the retained messages, then new ones; each message once, also after a reconnect.
    let mut items = chat.stream_after(0);
    let mut cheers = chat.broadcasts();
    let mut receipts = JoinSet::new();
    let mut typed = lines();
    let mut interrupt = interrupted();
    // Commands are about what the room has, so the first one waits for that, unless there is no connection.
    let mut first = Box::pin(async { chat.live().await && here.live().await });
    let mut has_begun = false;
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
            Some(event) = comings.next() => {
                if let Some(line) = presence_line(&event) {
                    say(line);
                }
            }
            Some(status) = statuses.next() => {
                say(status_line(&status));
                if !has_begun && let Some(unknown) = without_state(&status) {
                    say(unknown);
                    has_begun = true;
                }
            }
            Some(violation) = errors.next() => say(format!("chat: {violation}")),
            is_live = &mut first, if !has_begun => {
                has_begun = true;
                if !is_live {
                    say("the room cannot be joined");
                }
            }
            line = typed.recv(), if has_begun => match line.as_deref().map(split) {
                None | Some(("/quit", _)) => break,
                Some(("/history", _)) => show(&chat),
                Some(("/who", _)) => say(format!("  here: {}", who(&here))),
                Some(("/typing", _)) => typing(&here, true),
                Some(("/cheer", text)) => {
                    if let Err(error) = chat.broadcast(&Line { name: name.to_owned(), text: text.to_owned() }) {
                        say(format!("cheer not sent: {error}"));
                    }
                }
                Some((word, _)) if word.starts_with('/') => say(format!("no such command: {word}")),
                Some(_) => {
                    let text = line.unwrap_or_default();
                    typing(&here, false);
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

/// The outcome of a message.
async fn answer(receipt: Receipt) -> String {
    match receipt.await {
        Ok(seq) => format!("said as number {seq}"),
        Err(rejected) => format!("refused: {rejected}"),
    }
}

/// Shows the others whether this user is typing. Sends nothing if they see that already.
fn typing(here: &Presence<User, Doing>, typing: bool) {
    if here.me().typing != typing
        && let Err(error) = here.set(Doing { typing })
    {
        say(format!("not shown: {error}"));
    }
}

/// Everyone who is here. A user with several terminals is listed once.
fn who(here: &Presence<User, Doing>) -> String {
    let users = here.users().into_iter().map(|user| {
        let typing = user.sessions.iter().any(|session| session.data.typing);
        format!("{}{}", user.user.id, if typing { " (typing)" } else { "" })
    });
    users.collect::<Vec<_>>().join(", ")
}

fn presence_line(event: &PresenceEvent<User, Doing>) -> Option<String> {
    match event {
        PresenceEvent::Joined(peer) => Some(format!("+ {} is here", peer.user.id)),
        PresenceEvent::Updated(peer) if peer.data.typing => Some(format!("  {} is typing", peer.user.id)),
        PresenceEvent::Left(peer) => Some(format!("- {} is gone", peer.user.id)),
        _ => None,
    }
}

fn item_line(item: &Item<Line>) -> String {
    match item {
        Item::Message(message) => message_line(message),
        Item::Unreadable(unreadable) => format!("? {unreadable}"),
        Item::Gap { from, to } => format!("... {from} to {to} are no longer kept"),
        Item::Lagged { from, to } => format!("... {from} to {to} went by too fast"),
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
