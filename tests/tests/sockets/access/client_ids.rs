//! A client id is bound to its user: nobody continues somebody else's client.

use std::future::ready;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::server::{Handshake, Server, ServerBuilder};
use shared_state::store::RedbStore;
use shared_state_tests::start;

use crate::common::client::{Client, connect_with};
use crate::common::kept::Kept;

const ID: &str = "the-secret-id-of-Alice-that-Mallory-has";

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Note {
    title: String,
}

struct User {
    name: String,
}

fn token(handshake: &Handshake) -> Result<String, &'static str> {
    handshake.bearer().map(str::to_owned).ok_or("a token is needed")
}

/// Servers whose users are a type of the program's own, and strings.
fn builders() -> [ServerBuilder; 2] {
    let base = || Server::builder().rooms("note", Note::default);
    [
        base()
            .authenticate(|handshake: Handshake| ready(token(&handshake).map(|name| User { name })))
            .user_id(|user: &User| user.name.clone()),
        base().authenticate(|handshake: Handshake| ready(token(&handshake))),
    ]
}

/// Connects as this user with [`ID`]; returns the client's public id, too.
async fn come(address: SocketAddr, user: &str) -> (Client, String) {
    let mut client = connect_with(address, Some(user)).await;
    client.send(json!({"type": "hello", "payload": {"client": ID}})).await;
    let name = client.expect("welcome").await["id"].as_str().unwrap().to_owned();
    (client, name)
}

#[tokio::test]
async fn g2_g16_somebody_elses_client_id_gives_another_client() {
    for builder in builders() {
        let (_server, address) = start(builder).await;
        let (mut alice, alices) = come(address, "alice").await;
        alice.join("note").await;
        alice.set("note", 1, 0, "title", json!("Alice's first")).await;
        assert_eq!(alice.expect("state:ack").await["version"], 1);

        let (mut mallory, mallorys) = come(address, "mallory").await;
        assert!(alices != mallorys && alices.len() == 32, "{alices} {mallorys}");
        let answer = mallory.join("note").await;
        assert_eq!(answer["answers"], Value::Null, "Mallory has no answers");
        // Alice's session goes on.
        alice.ping().await;
        // A change that Alice has made is Mallory's own, and the next numbers are both of them.
        mallory.set("note", 1, 1, "title", json!("Mallory's first")).await;
        assert_eq!(mallory.expect("state:ack").await, json!({"seq": 1, "version": 2}));
        mallory.set("note", 2, 2, "title", json!("Mallory's second")).await;
        assert_eq!(mallory.expect("state:ack").await, json!({"seq": 2, "version": 3}));
        assert_eq!(alice.expect("state:change").await["from"], mallorys);
        alice.expect("state:change").await;
        alice.set("note", 2, 3, "title", json!("Alice's second")).await;
        assert_eq!(alice.expect("state:ack").await, json!({"seq": 2, "version": 4}));
        let change = mallory.expect("state:change").await;
        assert_eq!(
            (&change["from"], &change["updates"][0]["value"]),
            (&json!(alices), &json!("Alice's second"))
        );

        // Alice herself comes back as the same client.
        let (mut again, name) = come(address, "alice").await;
        assert_eq!(name, alices);
        assert_eq!(alice.expect_error("superseded").await["type"], "error");
        assert_eq!(again.join("note").await["answers"]["acks"], json!([[1, 1], [2, 4]]));
    }
}

#[tokio::test]
async fn a_name_does_not_tell_the_secret_and_is_the_same_after_a_restart() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut names = Vec::new();
    for data in [&first, &first, &second] {
        let store = RedbStore::open(data.path()).unwrap();
        let (server, address) = start(Server::builder().store(store).rooms("note", Note::default)).await;
        names.push(come(address, "").await.1);
        server.shutdown().await.unwrap();
    }
    assert!(names[0] == names[1] && names[0] != names[2], "{names:?}");
    // A store without a key of its own gives the same names in every process, but no shorter ones.
    for _ in 0..2 {
        let builder = Server::builder().store(Kept::default()).rooms("note", Note::default);
        let (_server, address) = start(builder).await;
        names.push(come(address, "").await.1);
    }
    assert!(names[3] == names[4] && names.iter().all(|name| name.len() == 32), "{names:?}");
}
