//! A server for attacks: `attacked_server <address> <directory> <idle seconds>`. Has rooms of every kind, on redb, with
//! the default limits. A panic anywhere ends the process. Ends when its standard input is closed.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::proto::Limits;
use shared_state::server::{ChannelKind, PasswordHash, RoomSettings, Server};
use shared_state::store::RedbStore;
use shared_state::{Author, SharedState, Text};
use shared_state_tests::{Load, serve_process};

/// A typed room with a field of every policy, and rules.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate_change = Board::check)]
struct Board {
    title: String,
    #[shared(validate(range(max = 1000)))]
    level: u32,
    #[shared(counter)]
    views: i64,
    #[shared(list(key = id, nested))]
    cards: Vec<Card>,
    #[shared(list(key = id, nested))]
    done: Vec<Card>,
    #[shared(map)]
    names: BTreeMap<String, u32>,
    #[shared(set)]
    tags: BTreeSet<u32>,
    #[shared(text)]
    body: Text,
    #[shared(nested)]
    layout: Layout,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: String,
    #[shared(map)]
    votes: BTreeMap<String, bool>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
struct Layout {
    columns: u8,
    theme: String,
}

impl Board {
    fn check(before: &Self, after: &Self, _author: &Author) -> Result<(), &'static str> {
        match after.level.abs_diff(before.level) > 500 {
            true => Err("a level changes by at most 500"),
            false => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(data), Some(idle)) = (args.next(), args.next(), args.next()) else {
        return Err("expected an address, a directory and a number of seconds".into());
    };
    // The runtime would catch a task's panic, and the attack would seem to have done nothing.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let mut limits = Limits::default();
    // Off by default.
    limits.relays = 1000;
    let hash = PasswordHash::of("open sesame")?;
    let server = Server::builder()
        .store(RedbStore::open(data)?)
        .limits(limits)
        .idle(Duration::from_secs(idle.parse()?))
        .untyped_rooms(true)
        .rooms("honest", Load::default)
        .rooms("board-*", Board::default)
        .channels(ChannelKind::any("chat-*"))
        .channels(ChannelKind::any("kept-*").durable(true))
        .room_settings(move |room| {
            let settings = RoomSettings::new();
            let has_password = room.starts_with("vault-");
            let settings = if has_password { settings.password(hash.clone()) } else { settings };
            ready(Ok::<_, Infallible>(settings))
        })
        .build();
    serve_process(&server, &address).await?;
    Ok(())
}
