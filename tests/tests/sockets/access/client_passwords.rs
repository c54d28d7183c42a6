//! Rooms that refuse some clients, as a client sees them.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde_json::json;
use shared_state::WriteError;
use shared_state::client::Client;
use shared_state::presence::User;
use shared_state::proto::Code;
use shared_state::server::{ChannelKind, PasswordHash, RoomSettings, Server};
use shared_state_tests::{soon, start};

use crate::common::rig::{Document, live, quick, until};

/// A server whose rooms have a password, admit one user, or publish their owner.
async fn serve() -> (Server, SocketAddr) {
    let hash = PasswordHash::of("open sesame").unwrap();
    let builder = Server::builder().rooms("document*", Document::default).channels(ChannelKind::any("chat"));
    let builder = builder.room_settings(move |room| {
        let settings = RoomSettings::new().metadata(json!({"owner": "ann"}));
        ready(Ok::<_, Infallible>(match &*room {
            "document-secret" => settings.password(hash.clone()),
            "document-single" => settings.max_users(1),
            _ => settings,
        }))
    });
    start(builder).await
}

/// Waits until the server has refused the room with this code.
async fn refused(client: &Client, room: &str, code: Code) {
    let document = client.room(room).state(Document::default());
    let mut errors = document.errors();
    soon("the refusal", async { while errors.next().await.unwrap().code != code {} }).await;
}

#[tokio::test]
async fn a_client_with_the_wrong_password_waits_for_another_and_then_has_everything() {
    let (_server, address) = serve().await;
    let client = quick(address).connect();
    let room = client.room("document-secret").password("open barley");
    let document = room.state(Document::default());
    let chat = room.channel::<String>("chat");
    let presence = room.presence(User::new("ann"), 0);
    refused(&client, "document-secret", Code::WrongPassword).await;
    soon("the refusal", presence.errors().next()).await.unwrap();
    assert_eq!(presence.error().map(|error| error.code), Some(Code::WrongPassword));
    // Writes made meanwhile are not lost, and the client does not retry by itself.
    let receipt = document.set_title("written outside".to_owned()).unwrap();
    let message = chat.send(&"hello".to_owned()).unwrap();
    let other = client.room("document-1").state(Document::default());
    live(&other).await;
    assert_eq!(document.error().map(|error| error.code), Some(Code::WrongPassword));

    let _ = client.room("document-secret").password("open sesame");
    live(&document).await;
    soon("the receipts", async { receipt.await.and(message.await) }).await.unwrap();
    assert!(soon("the channel", chat.live()).await && soon("the presence", presence.live()).await);
    let details = document.details().unwrap();
    assert!(details.password && details.created_at.is_some());
    assert_eq!(details.metadata_as::<serde_json::Value>(), Some(json!({"owner": "ann"})));

    // A client that has the password from the start.
    let other = quick(address).connect();
    let others = other.room("document-secret").password("open sesame").state(Document::default());
    until(&others, Document::TITLE, "written outside".to_owned()).await;
    assert_eq!(others.error(), None);
}

#[tokio::test]
async fn a_full_room_is_asked_again_when_the_program_wants_to() {
    let (server, address) = serve().await;
    let (ann, bob) = (quick(address).connect(), quick(address).connect());
    let first = ann.room("document-single").state(Document::default());
    live(&first).await;
    let second = bob.room("document-single").state(Document::default());
    let presence = bob.room("document-single").presence(User::new("bob"), 0);
    refused(&bob, "document-single", Code::RoomFull).await;
    soon("the refusal", presence.errors().next()).await.unwrap();
    drop(first);
    soon("the room's emptiness", async {
        while server.rooms()[0].users > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bob.room("document-single").retry_join();
    live(&second).await;
    assert!(soon("the presence", presence.live()).await);
}

#[tokio::test]
async fn a_closed_room_refuses_what_is_written_and_is_there_again_when_it_is_asked_for() {
    let (server, address) = serve().await;
    let client = quick(address).connect();
    let document = client.room("document-1").state(Document::default());
    live(&document).await;
    document.set_title("kept".to_owned()).unwrap().await.unwrap();
    let mut errors = document.errors();
    assert_eq!(server.close_room("document-1", "over").await, 1);
    let violation = soon("the end", errors.next()).await.unwrap();
    assert_eq!((violation.code, &*violation.message), (Code::RoomClosed, "over"));
    let refused = document.set_title("x".to_owned());
    assert!(matches!(refused, Err(WriteError::Rejected(reject)) if reject.code == Code::RoomClosed));
    assert!(!soon("no state", document.live()).await);
    client.room("document-1").retry_join();
    let written = async {
        loop {
            match document.set_title("again".to_owned()) {
                Ok(receipt) => return receipt.await,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    soon("the room", written).await.unwrap();
}
