//! A Yjs editor and a client of this library edit one text, over sockets.

#![allow(missing_docs)]

use std::process::Stdio;

use serde::{Deserialize, Serialize};
use shared_state::server::Server;
use shared_state::{SharedState, Text};
use shared_state_tests::{accepted, client, live, soon, start, until};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    #[shared(text)]
    body: Text,
}

const EDITS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node, and `npm ci` in tests/yjs"]
async fn a_yjs_editor_and_a_client_of_ours_end_with_the_same_text() {
    let begin = || Page { title: String::new(), body: "What both begin with 😀\n".into() };
    let (server, address) = start(Server::builder().rooms("page", begin)).await;
    let seed = fastrand::u32(1..);
    let mut editor = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/yjs/editor.mjs"))
        .args([format!("ws://{address}/ws"), "page".to_owned(), EDITS.to_string(), seed.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is installed");
    let mut lines = BufReader::new(editor.stdout.take().expect("it is piped")).lines();

    let client = client(address);
    let page = client.room("page").state(begin());
    live(&page).await;
    let mut rng = fastrand::Rng::with_seed(seed.into());
    for at in 0..EDITS {
        let body = page.body();
        let position = rng.usize(..=body.len());
        let pieces = ["x", "y", "\n", "ß", "界", "🦀", "line"];
        let piece = pieces[rng.usize(..pieces.len())];
        let count = if rng.u8(..3) == 0 { rng.usize(..4) } else { 0 };
        let written = body.replace(position, count, piece);
        if at % 3 == 0 {
            accepted(written).await;
        } else {
            written.expect("written");
        }
    }
    let typed = soon("the editor's last edit", lines.next_line()).await.expect("text");
    assert_eq!(typed.as_deref(), Some("typed"), "seed {seed}");
    until(&page, "the answers", |page| page.pending() == 0).await;
    // A client that sees this change has everything that was typed before.
    accepted(page.set_title("end")).await;
    let told = soon("the editor's text", lines.next_line()).await.expect("text").expect("a line");
    let told: String = serde_json::from_str(&told).expect("JSON");
    assert_eq!(page.body().to_string(), told, "seed {seed}");
    assert_eq!(server.room::<Page>("page").await.expect("the room").state().body, told.as_str());
    assert!(told.len() > 1_000);
}
