//! Permissions: sent at the join and when they change, enforced at once by the client where known, and always
//! by the server.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::client::{Client, Handle, RoomPermissions, TransactError};
use shared_state::proto::Code;
use shared_state::server::{Action, Handshake, Server};
use shared_state::{SharedState, WriteError};
use shared_state_tests::{soon, start};

use crate::common::rig::{live, quick};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Plan {
    free: String,
    #[shared(write = "editor")]
    title: String,
    /// Delayed longer than any test takes.
    #[shared(write = "editor", debounce = "60m")]
    note: String,
    #[shared(read = "dealer")]
    secret: String,
    #[shared(nested)]
    layout: Layout,
    #[shared(map, write = "editor")]
    votes: BTreeMap<String, u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Layout {
    columns: u8,
    #[shared(write = "editor")]
    locked: bool,
}

/// The roles of each user, and the paths where nobody may write.
#[derive(Clone, Default)]
struct Table {
    roles: Arc<Mutex<BTreeMap<String, BTreeSet<&'static str>>>>,
    shut: Arc<Mutex<BTreeSet<String>>>,
}

impl Table {
    fn give(&self, user: &str, role: &'static str) {
        self.roles.lock().unwrap().entry(user.to_owned()).or_default().insert(role);
    }

    fn take(&self, user: &str, role: &str) {
        self.roles.lock().unwrap().entry(user.to_owned()).or_default().remove(role);
    }

    async fn serve(&self) -> (Server, SocketAddr) {
        let (roles, shut) = (self.roles.clone(), self.shut.clone());
        let builder = Server::builder()
            .rooms("plan", Plan::default)
            .authenticate(|handshake: Handshake| {
                ready(handshake.bearer().map(str::to_owned).ok_or("who is it?"))
            })
            .roles(move |user: &String, _: &str| {
                roles.lock().unwrap().get(user).into_iter().flatten().copied().collect()
            })
            .authorize(move |_: &String, _: &str, action: Action<'_>| match action {
                Action::Write(path) if shut.lock().unwrap().contains(path) => Err("nobody writes there"),
                _ => Ok(()),
            });
        start(builder).await
    }
}

/// A client of this user, whose writes are undone one by one.
async fn plan(address: SocketAddr, user: &str) -> (Client, Handle<Plan>) {
    let client = quick(address).bearer(user).undo(1000, Duration::ZERO).connect();
    let plan = client.room("plan").state(Plan::default());
    live(&plan).await;
    (client, plan)
}

/// Waits until the client's permissions satisfy `like`.
async fn told(plan: &Handle<Plan>, like: impl Fn(&RoomPermissions) -> bool) {
    let mut rights = plan.watch_permissions();
    soon("the rights", async { while !like(&rights.next().await.unwrap()) {} }).await;
}

fn forbidden(action: &'static str, path: &str) -> WriteError {
    WriteError::Forbidden { action, path: path.into() }
}

#[tokio::test]
async fn a_right_that_is_given_shows_the_field_and_one_that_is_lost_takes_it_away() {
    let table = Table::default();
    let (server, address) = table.serve().await;
    let room = server.room::<Plan>("plan").await.unwrap();
    room.set_secret("the queen of spades").unwrap().await.unwrap();
    let (_client, plan) = plan(address, "ann").await;
    assert!(!plan.can_read(Plan::SECRET) && !plan.can_set(Plan::SECRET) && !plan.can_set(Plan::TITLE));
    assert!(plan.can_read(Plan::TITLE) && plan.can_set(Plan::FREE));
    assert_eq!(plan.secret(), "");
    let writes = [plan.set_secret("x").unwrap_err(), plan.set_title("x").unwrap_err()];
    assert_eq!(writes, [forbidden("write", "secret"), forbidden("write", "title")]);
    assert_eq!((plan.pending(), plan.title(), plan.revision()), (0, String::new(), 0));

    table.give("ann", "dealer");
    server.permissions_changed("plan");
    told(&plan, |rights| rights.can_read(Plan::SECRET)).await;
    assert_eq!(plan.secret(), "the queen of spades");
    assert!(plan.can_set(Plan::SECRET) && !plan.can_set(Plan::TITLE));
    // This change of permissions needs no new state.
    table.give("ann", "editor");
    server.permissions_changed("plan");
    told(&plan, |rights| rights.can_set(Plan::TITLE)).await;
    assert_eq!(plan.set_title("x").unwrap().await, Ok(2));

    table.take("ann", "dealer");
    server.permissions_changed("plan");
    told(&plan, |rights| !rights.can_read(Plan::SECRET)).await;
    assert_eq!((plan.secret().as_str(), plan.title().as_str()), ("", "x"));
    assert_eq!(plan.set_secret("x").unwrap_err(), forbidden("write", "secret"));
}

#[tokio::test]
async fn rights_reach_into_nested_structs_and_entries() {
    let table = Table::default();
    let (server, address) = table.serve().await;
    let (client, plan) = plan(address, "ann").await;
    let layout = plan.layout();
    assert!(layout.can_set(Layout::COLUMNS) && !layout.can_set(Layout::LOCKED));
    assert!(!plan.can_set(Plan::LAYOUT) && !plan.permissions().can_write("votes/ann"));
    layout.set_columns(3).unwrap().await.unwrap();
    assert_eq!(layout.set_locked(true).unwrap_err(), forbidden("write", "layout/locked"));
    assert_eq!(layout.replace(Layout::default()).unwrap_err(), forbidden("write", "layout"));
    assert_eq!(plan.votes().put("ann".into(), 1).unwrap_err(), forbidden("write", "votes/ann"));
    // `authorize` refuses writes of the field itself, not of what is inside it.
    table.shut.lock().unwrap().extend(["free".to_owned(), "layout".to_owned()]);
    table.give("ann", "editor");
    server.permissions_changed("plan");
    told(&plan, |rights| !rights.can_set(Plan::FREE)).await;
    assert!(layout.can_set(Layout::LOCKED) && !plan.can_set(Plan::LAYOUT));
    layout.set_locked(true).unwrap().await.unwrap();
    assert_eq!(plan.set_free("x").unwrap_err(), forbidden("write", "free"));
    // The last permissions hold without a connection.
    client.close().await;
    assert!(!plan.can_set(Plan::FREE));
}

#[tokio::test]
async fn g4_a_write_that_waits_while_its_right_goes_is_refused_and_rolled_back() {
    let table = Table::default();
    ["ann", "bob"].into_iter().for_each(|user| table.give(user, "editor"));
    let (server, address) = table.serve().await;
    let (_ann, ann) = plan(address, "ann").await;
    let (_bob, bob) = plan(address, "bob").await;
    ann.set_free("ann").unwrap().await.unwrap();
    let waiting = ann.set_note("ann").unwrap();
    table.take("ann", "editor");
    server.permissions_changed("plan");
    told(&ann, |rights| !rights.can_set(Plan::NOTE)).await;
    // The delayed write still shows, and nothing can be added to it.
    assert_eq!(ann.note(), "ann");
    assert_eq!(ann.set_note("more").unwrap_err(), forbidden("write", "note"));
    let refused = soon("an answer", ann.flush()).await.unwrap_err();
    assert_eq!((refused.code(), refused.field()), (Code::Forbidden, Some("note")));
    assert_eq!(soon("the receipt", waiting).await.unwrap_err().code(), Code::Forbidden);
    assert_eq!((ann.note().as_str(), ann.pending()), ("", 0));

    // Others are not affected, and the refused write cannot be undone.
    assert_eq!(bob.set_title("bob").unwrap().await, Ok(2));
    assert_eq!(ann.undo().unwrap().unwrap().await, Ok(3));
    assert_eq!((ann.free().as_str(), ann.title().as_str()), ("", "bob"));
    assert!(!ann.can_undo());
}

#[tokio::test]
async fn undo_skips_what_may_not_be_written_any_more() {
    let table = Table::default();
    table.give("ann", "editor");
    let (server, address) = table.serve().await;
    let (_client, plan) = plan(address, "ann").await;
    plan.set_free("one").unwrap();
    plan.set_title("two").unwrap();
    plan.group(|| {
        plan.set_free("three").unwrap();
        plan.set_title("four").unwrap()
    })
    .await
    .unwrap();
    table.take("ann", "editor");
    server.permissions_changed("plan");
    told(&plan, |rights| !rights.can_set(Plan::TITLE)).await;
    for (free, title) in [("one", "four"), ("", "four")] {
        plan.undo().unwrap().unwrap().await.unwrap();
        assert_eq!((plan.free().as_str(), plan.title().as_str()), (free, title));
    }
    assert!(plan.undo().unwrap().is_none());
    // The refused write is not redone either.
    plan.redo().unwrap().unwrap().await.unwrap();
    assert_eq!((plan.free().as_str(), plan.title().as_str()), ("one", "four"));
}

#[tokio::test]
async fn a_transaction_does_not_read_what_its_client_may_not() {
    let table = Table::default();
    let (_server, address) = table.serve().await;
    let (_client, plan) = plan(address, "ann").await;
    let look = |tx: &mut shared_state::proto::replica::Transaction<Plan>| {
        if tx.get(Plan::SECRET).is_empty() {
            tx.set(Plan::FREE, "empty".to_owned());
        }
        Ok::<_, std::convert::Infallible>(())
    };
    let found = plan.transact(look).await;
    assert_eq!(found, Err(TransactError::Write(forbidden("read", "secret"))));
    assert_eq!(plan.free(), "");
    // A function that is given the state has read only what this client may read.
    let change = |tx: &mut shared_state::proto::replica::Transaction<Plan>| {
        tx.update(|plan| plan.free.push('x'));
        Ok::<_, std::convert::Infallible>(())
    };
    assert_eq!(plan.transact(change).await, Ok(1));
    assert_eq!(plan.free(), "x");
}
