//! A client that is kicked from a room.

use std::time::Duration;

use shared_state::WriteError;
use shared_state::client::Client;
use shared_state::presence::User;
use shared_state::proto::Code;
use shared_state_tests::soon;

use crate::common::rig::{Document, Rig, joined, live, quick, until};

/// Waits until the server has this many users in the room.
async fn present(rig: &Rig, users: usize) {
    let (server, _) = rig.running.as_ref().unwrap();
    soon("the presence", async {
        while server.present("document-1").len() != users {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The error that a room reports when the client is kicked.
async fn put_out(client: &Client, rig: &Rig, put_out: impl FnOnce(&shared_state::server::Server)) -> Code {
    let document = client.room("document-1").state(Document::default());
    let mut errors = document.errors();
    put_out(&rig.running.as_ref().unwrap().0);
    soon("the reason", errors.next()).await.unwrap().code
}

#[tokio::test]
async fn a_kicked_client_stays_out_says_why_and_comes_back_when_it_is_asked_to() {
    let mut rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    let presence = client.room("document-1").presence(User::new("ann"), 0);
    present(&rig, 1).await;
    let code = put_out(&client, &rig, |server| assert_eq!(server.kick("document-1", "ann", "spam"), 1)).await;
    assert_eq!(code, Code::Kicked);
    let refused = |document: &shared_state::client::Handle<Document>| match document.set_title("x".to_owned())
    {
        Err(WriteError::Rejected(reject)) => Some((reject.code, reject.message)),
        _ => None,
    };
    assert_eq!(refused(&document), Some((Code::Kicked, "spam".to_owned())));

    // The client does not rejoin over a new connection, or at a new server.
    rig.stop().await;
    rig.restart().await;
    let other = client.room("document-2").state(Document::default());
    live(&other).await;
    assert_eq!(refused(&document).map(|(code, _)| code), Some(Code::Kicked));
    present(&rig, 0).await;

    // A program that drops its handles and opens the room again does.
    drop((document, presence));
    let again = soon("another membership", async {
        loop {
            let document = client.room("document-1").state(Document::default());
            if document.error().is_none() {
                return document;
            }
            drop(document);
            tokio::task::yield_now().await;
        }
    })
    .await;
    live(&again).await;
    again.set_title("back".to_owned()).unwrap().await.unwrap();
}

#[tokio::test]
async fn g4_what_was_pending_when_it_was_banned_is_rolled_back_and_refused() {
    let rig = Rig::start().await;
    let (ann, bob) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (document, others) = (joined(&ann).await, joined(&bob).await);
    let _presence = ann.room("document-1").presence(User::new("ann"), 0);
    present(&rig, 1).await;
    let hour = Duration::from_secs(3600);
    let code =
        put_out(&ann, &rig, |server| assert_eq!(server.ban("document-1", "ann", hour, "spam"), 1)).await;
    assert_eq!(code, Code::Banned);
    let receipt = document.set_title("x".to_owned());
    assert!(matches!(receipt, Err(WriteError::Rejected(reject)) if reject.code == Code::Banned));
    assert_eq!(document.title(), "");
    others.set_title("y".to_owned()).unwrap().await.unwrap();
    until(&others, Document::TITLE, "y".to_owned()).await;
    assert_eq!(document.title(), "");
}
