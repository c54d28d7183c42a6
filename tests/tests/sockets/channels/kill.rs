//! The server is killed while three writers send at full speed to a durable channel: every acknowledged
//! message is in it, once, in the same order for everyone.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use shared_state::channel::Item;
use shared_state::client::{Channel, Client};
use shared_state_tests::{Process, builder, next, soon};
use tokio::sync::mpsc;

const SERVER: &str = env!("CARGO_BIN_EXE_redb_server");
const WRITERS: u64 = 3;
const OUTSTANDING: usize = 150;

/// A client that stores every message.
fn client(address: SocketAddr) -> Client {
    builder(address).channel_buffer(usize::MAX, usize::MAX).connect()
}

fn chat(client: &Client) -> Channel<(u64, u64)> {
    client.room("doc-1").channel("chat")
}

/// Writes until it is stopped; returns the numbers of its messages, as they were acknowledged.
async fn write(address: SocketAddr, writer: u64, stop: Arc<AtomicBool>, acks: mpsc::Sender<u64>) -> Vec<u64> {
    let client = client(address);
    let chat = chat(&client);
    let mut receipts = VecDeque::new();
    let mut seqs = Vec::new();
    let mut number = 0;
    loop {
        while receipts.len() < OUTSTANDING && !stop.load(Ordering::Acquire) {
            number += 1;
            receipts.push_back(chat.send(&(writer, number)).unwrap());
        }
        let Some(receipt) = receipts.pop_front() else { break };
        let seq = soon("an answer", receipt).await.expect("no message is refused");
        seqs.push(seq);
        let _ = acks.send(seq).await;
    }
    assert!(soon("the client's end", client.close()).await.is_empty());
    seqs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_g3_acknowledged_messages_survive_kill_9() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let mut server = Process::start(SERVER, address, data.path()).await;
    let (told, mut acks) = mpsc::channel(2000);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write(address, writer, stop.clone(), told.clone()))).collect();
    drop(told);
    let listener = client(address);
    let listened = chat(&listener);
    let mut stream = listened.stream_after(0);
    let volatile = listener.room("doc-1").channel::<Value>("reactions");
    assert!(soon("the volatile channel", volatile.live()).await);
    let mut reactions = volatile.stream();
    for _ in 0..3 {
        for _ in 0..150 {
            soon("an answer", acks.recv()).await.unwrap();
        }
        server.kill().await;
        server = Process::start(SERVER, address, data.path()).await;
        // Discard the acknowledgements from before the kill.
        while acks.try_recv().is_ok() {}
    }
    for _ in 0..150 {
        soon("an answer", acks.recv()).await.unwrap();
    }
    stop.store(true, Ordering::Release);
    while soon("an answer, or the end", acks.recv()).await.is_some() {}
    // A channel that is not stored restarts.
    assert!(matches!(next(&mut reactions, "the beginning").await, Item::Restarted));

    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    let all: u64 = written.iter().map(|seqs| seqs.len() as u64).sum();
    let mut heard = Vec::new();
    while (heard.len() as u64) < all {
        match next(&mut stream, "a message").await {
            Item::Message(message) => {
                assert_eq!(message.seq(), Some(heard.len() as u64 + 1));
                heard.push((*message.value(), message.from().cloned(), message.at()));
            }
            other => panic!("expected a message, found {other:?}"),
        }
    }
    for (writer, seqs) in (0..).zip(written) {
        for (seq, number) in seqs.into_iter().zip(1..) {
            assert_eq!(heard[seq as usize - 1].0, (writer, number), "what was acknowledged is there");
        }
    }

    // The last kill happens at rest, so that a client that joins then gets what is on the disk.
    server.kill().await;
    let _server = Process::start(SERVER, address, data.path()).await;
    let late = client(address);
    let mut stream = chat(&late).stream_after(0);
    for (seq, heard) in (1..).zip(&heard) {
        let Item::Message(message) = next(&mut stream, "a message").await else {
            panic!("expected a message")
        };
        assert_eq!(message.seq(), Some(seq));
        assert_eq!((*message.value(), message.from().cloned(), message.at()), *heard);
    }
    println!("{all} messages through 4 kills");
}
