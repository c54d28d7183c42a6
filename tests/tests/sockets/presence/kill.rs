//! The server is killed while users come and go: afterwards exactly the sessions that are present are shown,
//! and what the users said in a durable channel is there, once, in the same order for everyone.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_state::channel::Item;
use shared_state::client::{Channel, Client, Presence};
use shared_state::presence::User;
use shared_state_tests::{Process, builder, next, soon};
use tokio::sync::mpsc;

const SERVER: &str = env!("CARGO_BIN_EXE_redb_server");
const ROOM: &str = "doc-1";
const RESIDENTS: usize = 3;
const COMERS: usize = 4;
const KILLS: usize = 6;

type Here = Presence<User, u32>;

fn enter(client: &Client, name: &str) -> (Here, Channel<String>) {
    let room = client.room(ROOM);
    (room.presence(User::new(name), 0), room.channel("chat"))
}

/// Joins, sends a greeting and leaves, repeatedly: by closing the client, or as a program that dies. Returns
/// the number of every greeting that was acknowledged.
async fn come_and_go(
    address: SocketAddr,
    name: String,
    stop: Arc<AtomicBool>,
    came: mpsc::Sender<()>,
) -> BTreeMap<u64, String> {
    let mut said = BTreeMap::new();
    for visit in 0.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        let client = builder(address).connect();
        let (here, chat) = enter(&client, &name);
        let greeting = format!("{name}, for the {visit}th time");
        let seq = soon("an answer", chat.send(&greeting).unwrap()).await.expect("no greeting is refused");
        assert_eq!(said.insert(seq, greeting), None);
        assert!(soon("who is here", here.live()).await);
        came.send(()).await.unwrap();
        match visit % 2 {
            0 => drop(soon("the client's end", client.close()).await),
            // The client's task ends with the last handle, and the socket is closed without a message.
            _ => drop((here, chat, client)),
        }
    }
    said
}

/// Waits until a resident is shown exactly these others.
async fn shown(here: &Here, expected: &BTreeSet<String>) {
    let mut others = here.watch();
    loop {
        let others = next(&mut others, "who is here, and nobody who is not").await;
        // The connection may be new, without the others yet.
        let names: Vec<_> = others.iter().map(|peer| peer.user.id.clone()).collect();
        if here.is_live()
            && names.len() == expected.len()
            && names.into_iter().collect::<BTreeSet<_>>() == *expected
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_g3_nobody_haunts_a_room_whose_server_was_killed_during_joins() {
    let data = tempfile::tempdir().unwrap();
    let address = Process::address();
    let mut server = Process::start(SERVER, address, data.path()).await;
    let names: Vec<_> = (0..RESIDENTS).map(|number| format!("resident-{number}")).collect();
    let clients: Vec<_> = names.iter().map(|_| builder(address).connect()).collect();
    let residents: Vec<_> = clients.iter().zip(&names).map(|(client, name)| enter(client, name)).collect();

    let stop = Arc::new(AtomicBool::new(false));
    let (came, mut comings) = mpsc::channel(1);
    let comers: Vec<_> = (0..COMERS)
        .map(|number| {
            tokio::spawn(come_and_go(address, format!("comer-{number}"), stop.clone(), came.clone()))
        })
        .collect();
    drop(came);
    for kill in 0..KILLS {
        // So many users have come; the next ones are on their way.
        for _ in 0..3 + 5 * kill {
            soon("somebody's coming", comings.recv()).await.unwrap();
        }
        server.kill().await;
        server = Process::start(SERVER, address, data.path()).await;
    }
    stop.store(true, Ordering::Release);
    while soon("somebody's coming, or the end", comings.recv()).await.is_some() {}
    let mut said = BTreeMap::new();
    for comer in comers {
        for (seq, greeting) in comer.await.unwrap() {
            assert_eq!(said.insert(seq, greeting), None, "a number is given once");
        }
    }

    // The residents and a new client see each other; the others are gone.
    let late = builder(address).connect();
    let (here, chat) = enter(&late, "late");
    shown(&here, &names.iter().cloned().collect()).await;
    for ((here, _), name) in residents.iter().zip(&names) {
        let others = names.iter().filter(|other| *other != name).cloned();
        shown(here, &others.chain(["late".to_owned()]).collect()).await;
    }
    let mut stream = chat.stream_after(0);
    let mut heard = 0;
    while let Some((last, _)) = said.last_key_value()
        && heard < *last
    {
        let Item::Message(message) = next(&mut stream, "a greeting").await else {
            panic!("expected a message")
        };
        heard += 1;
        assert_eq!(message.seq(), Some(heard));
        assert_eq!(
            Some(message.value()),
            said.get(&heard),
            "what was acknowledged is there, and nothing else"
        );
    }
    drop(server);
    println!("{heard} greetings, {KILLS} kills");
}
