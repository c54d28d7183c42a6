//! Legacy clients in JavaScript, over sockets: they write continuously among typed clients, and join rooms.

#![allow(missing_docs)]

use std::convert::Infallible;
use std::future::ready;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::presence::User;
use shared_state::proto::Limits;
use shared_state::server::{PasswordHash, RoomSettings, Server, ServerBuilder};
use shared_state_tests::{accepted, client, live, soon, start, until};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    size: u8,
    theme: String,
    #[shared(counter)]
    hits: i64,
    #[shared(nested)]
    layout: Layout,
    tags: Vec<String>,
    #[shared(list(key = id))]
    items: Vec<Item>,
    untouched: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    wide: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Item {
    id: u8,
    label: String,
}

const HOOKS: usize = 8;
const WRITES: usize = 400;
const RUNS: u32 = 10;

fn initial() -> Page {
    Page { title: "begin".to_owned(), untouched: "as it was".to_owned(), ..Page::default() }
}

async fn run(builder: ServerBuilder, seed: u32) {
    let (_server, address) = start(builder).await;
    let clients = [client(address), client(address)];
    let pages = clients.each_ref().map(|client| client.room("page").state(initial()));
    for page in &pages {
        live(page).await;
    }
    let state = serde_json::to_string(&initial()).expect("JSON");
    let mut hooks = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/hook/clients.mjs"))
        .args([format!("ws://{address}/ws"), "page".to_owned()])
        .args([HOOKS.to_string(), WRITES.to_string(), seed.to_string(), state])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is installed");
    let mut lines = BufReader::new(hooks.stdout.take().expect("it is piped")).lines();

    // The typed clients write until the legacy clients have written everything.
    let mut written = 0;
    let hooks_write = (HOOKS * WRITES) as u64;
    while pages[0].version() < hooks_write / 2 {
        for page in &pages {
            let size = u8::try_from(written % 256).unwrap_or_default();
            // In a transaction, because a set to the value that is shown is not sent otherwise.
            let set = page.transact(|tx| {
                tx.set(Page::SIZE, size);
                Ok::<(), Infallible>(())
            });
            soon("the answer", set).await.expect("it is accepted");
            accepted(page.add_hits(1)).await;
            written += 2;
        }
    }
    let sent = soon("the hooks' last write", lines.next_line()).await.expect("text");
    assert_eq!(sent.as_deref(), Some("sent"), "seed {seed}");
    until(&pages[0], "all writes", |page| page.version() == hooks_write + written).await;
    accepted(pages[0].set_title("end")).await;
    until(&pages[1], "the end", |page| page.state().title == "end").await;
    assert_eq!(pages[0].state(), pages[1].state(), "seed {seed}");

    let late = client(address);
    let late = late.room("page").state(initial());
    live(&late).await;
    assert_eq!(late.state(), pages[0].state(), "seed {seed}");
    let expected = serde_json::to_value(late.state()).expect("JSON");
    for hook in 0..HOOKS {
        let line = soon("what a hook shows", lines.next_line()).await.expect("text").expect("a line");
        let shown: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(shown, expected, "seed {seed}, hook {hook}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, and `npm ci` in tests/hook"]
async fn hooks_that_write_without_a_pause_end_equal_in_a_typed_room() {
    for _ in 0..RUNS {
        run(Server::builder().rooms("page", initial), fastrand::u32(1..)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, and `npm ci` in tests/hook"]
async fn hooks_that_write_without_a_pause_end_equal_in_an_untyped_room() {
    for _ in 0..RUNS {
        run(Server::builder().untyped_rooms(true), fastrand::u32(1..)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, and `npm ci` in tests/hook"]
async fn pages_come_into_a_room_with_a_password_see_who_is_there_and_relay_to_each_other() {
    let hash = PasswordHash::of("open sesame").expect("it can be hashed");
    let mut limits = Limits::default();
    limits.relays = 10;
    let builder = Server::builder().untyped_rooms(true).limits(limits).room_settings(move |_| {
        let settings = RoomSettings::new().password(hash.clone()).metadata(json!({"title": "Cave"}));
        ready(Ok::<_, Infallible>(settings))
    });
    let (_server, address) = start(builder).await;
    let native = client(address);
    let presence = native.room("cave").password("open sesame").presence(User::new("native"), 0);
    assert!(soon("the presence", presence.live()).await);
    let mut pages = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/hook/rooms.mjs"))
        .args([format!("ws://{address}/ws"), "cave".to_owned(), "open sesame".to_owned()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is installed");
    let mut lines = BufReader::new(pages.stdout.take().expect("it is piped")).lines();
    let mut told = Vec::new();
    while let Some(line) = soon("what a page was told", lines.next_line()).await.expect("text") {
        told.push(line);
    }
    assert_eq!(
        told,
        [
            "ann error wrong_password",
            "ann error wrong_password",
            "ann joined Cave ann,native",
            "bob joined Cave ann,bob,native",
            "ann sees bob come",
            "bob is told wave by another",
            "ann sees bob go",
        ]
    );
    soon("the pages' end", async {
        while presence.count() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
