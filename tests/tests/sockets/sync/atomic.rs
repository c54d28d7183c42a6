//! Merges and transactions over sockets: applied as a whole or not at all, and refused after a conflict.

#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::client::{Handle, TransactError};
use shared_state::proto::Code;
use shared_state::proto::replica::Origin;
use shared_state::server::Server;
use shared_state_tests::{World, accepted, builder, live, next, soon, start, until};

const ROOM: &str = "table-1";

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Table {
    /// Not a counter, so only a transaction can count with it.
    hands: u64,
    dealer: String,
    stake: u32,
    seat: Option<String>,
}

async fn table() -> (Server, SocketAddr) {
    start(Server::builder().rooms("table-*", Table::default)).await
}

/// A client's table, live, which reruns transactions without a limit.
async fn sit_down(address: SocketAddr) -> Handle<Table> {
    let state = builder(address).reruns(u32::MAX).connect().room(ROOM).state(Table::default());
    live(&state).await;
    state
}

#[tokio::test]
async fn g5_a_merge_is_one_event_for_another_client() {
    let (_server, address) = table().await;
    let (ann, bob) = (sit_down(address).await, sit_down(address).await);
    let mut events = bob.events();
    let patch =
        TablePatch { hands: Some(1), dealer: Some("ann".into()), stake: Some(50), ..Default::default() };
    let version = accepted(ann.merge(patch)).await;
    accepted(ann.set_stake(60)).await;

    let event = next(&mut events, "the merge").await;
    assert_eq!((event.origin, event.version), (Origin::Remote, Some(version)));
    let whole = [Table::HANDS.set(1), Table::DEALER.set("ann".into()), Table::STAKE.set(50)];
    assert_eq!(event.updates, whole);
    let event = next(&mut events, "the next change").await;
    assert_eq!((event.version, &event.updates[..]), (Some(version + 1), &[Table::STAKE.set(60)][..]));
}

#[tokio::test]
async fn g5_a_transaction_is_one_event_for_another_client() {
    let (_server, address) = table().await;
    let (ann, bob) = (sit_down(address).await, sit_down(address).await);
    let mut events = bob.events();
    let version = soon(
        "an answer",
        ann.transact(|tx| {
            let stake = *tx.get(Table::STAKE);
            tx.set(Table::STAKE, stake + 10);
            tx.set(Table::DEALER, "ann".into());
            Ok::<_, Infallible>(())
        }),
    )
    .await
    .unwrap();
    let event = next(&mut events, "the transaction").await;
    assert_eq!((event.origin, event.version), (Origin::Remote, Some(version)));
    assert_eq!(event.updates, [Table::STAKE.set(10), Table::DEALER.set("ann".into())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_three_clients_that_count_by_transactions_lose_nothing() {
    const EACH: u64 = 40;
    let (_server, address) = table().await;
    let seated = [sit_down(address).await, sit_down(address).await, sit_down(address).await];
    let mut counting = Vec::new();
    for table in seated {
        counting.push(tokio::spawn(async move {
            let mut runs = 0;
            for _ in 0..EACH {
                let counted = table.transact(|tx| {
                    runs += 1;
                    let hands = *tx.get(Table::HANDS);
                    tx.set(Table::HANDS, hands + 1);
                    Ok::<_, Infallible>(())
                });
                soon("a transaction", counted).await.unwrap();
            }
            (table, runs)
        }));
    }
    let mut runs = 0;
    let mut tables = Vec::new();
    for counting in counting {
        let (table, ran) = counting.await.unwrap();
        runs += ran;
        tables.push(table);
    }
    for table in &tables {
        until(table, "the last version", |table| table.version() == 3 * EACH).await;
        assert_eq!(table.hands(), 3 * EACH);
    }
    println!("{} transactions, run {runs} times", 3 * EACH);
    assert!(runs > 3 * EACH, "nobody was ever faster: there was nothing to be tested");
}

#[derive(Debug, PartialEq)]
struct Taken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_of_two_clients_that_claim_a_seat_exactly_one_gets_it() {
    let (_server, address) = table().await;
    let (ann, bob) = (sit_down(address).await, sit_down(address).await);
    let claim = |table: &Handle<Table>, name: &'static str| {
        table.transact(move |tx| {
            if tx.get(Table::SEAT).is_some() {
                return Err(Taken);
            }
            tx.set(Table::SEAT, Some(name.to_owned()));
            Ok(())
        })
    };
    for round in 0..20 {
        // Both have seen the free seat, and both see themselves in it.
        let (anns, bobs) = (claim(&ann, "ann"), claim(&bob, "bob"));
        let (anns, bobs) = soon("both answers", async { tokio::join!(anns, bobs) }).await;
        let (winner, name, version) = match (anns, bobs) {
            (Ok(version), Err(TransactError::Aborted(Taken))) => (&ann, "ann", version),
            (Err(TransactError::Aborted(Taken)), Ok(version)) => (&bob, "bob", version),
            both => panic!("round {round}: {both:?}"),
        };
        for table in [&ann, &bob] {
            until(table, "the winner's version", |table| table.version() >= version).await;
            assert_eq!(table.seat().as_deref(), Some(name), "round {round}");
        }
        let free = accepted(winner.set_seat(None)).await;
        for table in [&ann, &bob] {
            until(table, "the free seat", |table| table.version() >= free).await;
            assert_eq!(table.seat(), None);
        }
    }
}

#[tokio::test]
async fn g6_a_refused_transaction_leaves_nothing_behind() {
    let (_server, address) = table().await;
    let (ann, bob) = (sit_down(address).await, sit_down(address).await);
    let claim = |table: &Handle<Table>, name: &'static str| {
        table.try_transact(move |tx| {
            let first = tx.get(Table::SEAT).is_none();
            tx.set(Table::SEAT, Some(name.to_owned()));
            tx.set(Table::STAKE, if first { 10 } else { 20 });
            Ok::<_, Infallible>(())
        })
    };
    let (anns, bobs) = (claim(&ann, "ann"), claim(&bob, "bob"));
    let (anns, bobs) = soon("both answers", async { tokio::join!(anns, bobs) }).await;
    let (winner, why) = match (anns, bobs) {
        (Ok(1), Err(TransactError::Rejected(why))) => ("ann", why),
        (Err(TransactError::Rejected(why)), Ok(1)) => ("bob", why),
        both => panic!("{both:?}"),
    };
    assert_eq!((why.code(), why.field()), (Code::Conflict, Some("seat")));
    for table in [&ann, &bob] {
        until(table, "the winner's change", |table| table.version() == 1).await;
        assert_eq!(table.state(), Table { seat: Some(winner.into()), stake: 10, ..Table::default() });
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Line {
    #[shared(list(key = id))]
    people: Vec<Person>,
    first: u8,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Person {
    id: u8,
}

#[test]
fn g6_where_an_own_item_seemed_to_be_is_no_ground_for_a_transaction() {
    let mut world = World::new(Line { people: [1, 2, 3].map(|id| Person { id }).into(), first: 0 });
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    ann.leave();
    ann.handle().people().insert_after(&2, Person { id: 4 }).unwrap();
    bob.handle().people().remove(&2).unwrap();
    world.settle();
    // Ann learns that the second item is gone, and no longer knows where it was; the server does.
    ann.come_back();
    world.exchange(&ann);
    let seen = ann.state().people;
    let claim = ann.transact(|tx| {
        let first = tx.get(Line::PEOPLE)[0].id;
        tx.set(Line::FIRST, first);
    });
    world.settle();
    assert_ne!(ann.state().people, seen, "nothing was to be seen otherwise: there was nothing to be tested");
    let answers = ann.answers();
    let Some((_, Err(refused))) = answers.iter().find(|(id, _)| *id == claim) else { panic!("{answers:?}") };
    assert_eq!((refused.code(), refused.field()), (Code::Conflict, Some("people")));
    assert_eq!(world.state().first, 0);
}
