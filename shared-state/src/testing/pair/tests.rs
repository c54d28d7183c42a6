//! The pair: what travels when, the rules, roles, time, channels and presence.

use serde::{Deserialize, Serialize};

use super::*;
use crate::channel::Item;
use crate::presence::PresenceEvent;

#[derive(shared_state_derive::SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(crate = crate)]
struct Document {
    title: String,
    #[shared(counter)]
    views: i64,
    #[shared(read_only)]
    stamp: u64,
    #[shared(read = "editor")]
    notes: String,
    #[shared(debounce = "300ms")]
    draft: String,
}

#[test]
fn nothing_travels_before_sync_and_everything_by_it() {
    let mut pair = Pair::with_clients(Document::default(), 3);
    let receipt = pair.client(0).set_title("Plans").expect("taken");
    pair.client(1).add_views(2).expect("taken");
    assert_eq!((pair.client(1).title(), receipt.answer()), (String::new(), None));
    pair.sync();
    assert_eq!(receipt.answer(), Some(Ok(1)));
    let expected = Document { title: "Plans".into(), views: 2, ..Document::default() };
    assert!((0..3).all(|index| pair.client(index).state() == expected));
    assert_eq!(pair.server().read(Document::clone), expected);
}

#[test]
fn g2_what_is_written_without_a_connection_arrives_when_it_is_back() {
    let mut pair = Pair::new(Document::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.disconnect();
    ann.add_views(1).expect("taken");
    ben.add_views(1).expect("taken");
    pair.sync();
    assert_eq!((ann.views(), ann.pending(), ben.views()), (1, 1, 1));
    ann.connect();
    ann.connect();
    pair.sync();
    assert_eq!((ann.views(), ann.pending(), ben.views(), ben.version()), (2, 0, 2, 2));
}

#[test]
fn a_client_flushes_groups_and_is_told_what_it_shows() {
    let mut pair = Pair::new(Document::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    pair.sync();
    let _ = (ann.events(), ben.events());
    ann.set_draft("Pl").expect("taken");
    pair.advance(Duration::from_millis(1));
    assert_eq!(ben.read(|document| document.draft.clone()), "");
    ann.flush();
    pair.advance(Duration::from_millis(1));
    assert_eq!(ben.read(|document| document.draft.clone()), "Pl");
    let updates = |client: &SharedDocument<PairClient<Document>>| -> Vec<DocumentUpdate> {
        client.events().into_iter().flat_map(|event| event.updates).collect()
    };
    assert_eq!(updates(&ann), [Document::DRAFT.set("Pl".into())]);
    assert_eq!(updates(&ben), [Document::DRAFT.set("Pl".into())]);
    assert!(updates(&ben).is_empty() && !ben.can_undo() && ann.can_undo() && !ann.can_redo());

    pair.advance(Duration::from_secs(9));
    ann.group(|| {
        ann.set_title("Plans").expect("taken");
        pair.advance(Duration::from_secs(9));
        ann.add_views(1).expect("taken");
    });
    pair.sync();
    ann.undo().expect("taken");
    pair.sync();
    let expected = Document { draft: "Pl".into(), ..Document::default() };
    assert_eq!((ben.state(), ann.can_redo()), (expected, true));
}

#[test]
fn the_server_writes_what_clients_may_not() {
    let mut pair = Pair::new(Document::default());
    assert_eq!(pair.server().set_stamp(7), Ok(1));
    assert_eq!(pair.server().set_stamp(7), Ok(2));
    assert!(matches!(
        pair.client(0).set(Document::STAMP, 8).map(drop),
        Err(WriteError::ReadOnly { field: "stamp" })
    ));
    pair.sync();
    assert_eq!(pair.client(0).stamp(), 7);
}

#[test]
fn g12_roles_decide_who_reads() {
    let mut pair = Pair::new(Document::default());
    pair.set_roles(0, &["editor"]);
    pair.sync();
    let receipt = pair.client(0).set_notes("draft").expect("an editor's");
    pair.sync();
    assert_eq!(receipt.answer(), Some(Ok(1)));
    assert_eq!((pair.client(0).notes(), pair.client(1).notes()), ("draft".into(), String::new()));
    assert!(!pair.client(1).can_set(Document::NOTES));
    pair.set_roles(0, &[]);
    let refused = pair.client(0).set_notes("more").expect("not told yet");
    pair.sync();
    let refused = refused.answer().expect("answered").expect_err("no editor any more");
    assert_eq!(refused.code(), Code::Forbidden);
    assert_eq!(pair.client(0).notes(), "");
}

#[derive(shared_state_derive::SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(crate = crate)]
struct Timed {
    #[shared(debounce = "300ms")]
    title: String,
    #[shared(throttle = "100ms")]
    cursor: u32,
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn only_advance_moves_the_time_and_each_write_is_sent_at_its_own() {
    let mut pair = Pair::new(Timed::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.set_title("a").expect("taken");
    pair.advance(ms(299));
    ann.set_title("ab").expect("taken");
    pair.advance(ms(299));
    assert_eq!((ben.title(), ben.version()), (String::new(), 0));
    ann.set_cursor(1).expect("taken");
    pair.advance(Duration::ZERO);
    ann.set_cursor(2).expect("taken");
    pair.advance(Duration::ZERO);
    assert_eq!((ben.cursor(), ben.version(), pair.now()), (1, 1, ms(598)));
    // The title is due first, then the cursor: two changes in that order.
    pair.advance(ms(1));
    assert_eq!((ben.title(), ben.cursor(), ben.version()), ("ab".into(), 1, 2));
    pair.advance(ms(1000));
    assert_eq!((ben.cursor(), ben.version(), pair.now()), (2, 3, ms(1599)));
}

#[test]
fn rules_decide_about_the_changes_of_users_and_may_amend_them() {
    let mut pair = Pair::with_users(Document::default(), &["ann", "ben"]).on_change(|change| {
        match change.author.name() {
            "ben" if change.after.title != change.before.title => Err("the title is ann's".into()),
            _ => Ok(Verdict::amended(change, |document| document.stamp += 1)),
        }
    });
    let (ann, ben) = (pair.client(0), pair.client(1));
    let (first, second) = (ann.set_title("a").expect("taken"), ben.set_title("b").expect("taken"));
    ben.add_views(1).expect("taken");
    pair.sync();
    assert_eq!(first.answer(), Some(Ok(1)));
    assert_eq!(second.answer().expect("answered").expect_err("refused").code(), Code::Invalid);
    assert_eq!((ben.title(), ben.views(), ben.stamp()), ("a".into(), 1, 2));
    assert_eq!((ben.user(), ann.state()), ("ben".into(), ben.state()));
}

#[test]
fn a_client_that_joins_later_is_sent_the_state() {
    let mut pair = Pair::with_clients(Document::default(), 1);
    pair.client(0).set_title("Plans").expect("taken");
    pair.sync();
    let late = pair.join("late");
    assert_eq!((late, pair.client(late).title()), (1, "Plans".into()));
    pair.client(late).add_views(1).expect("taken");
    pair.sync();
    assert_eq!(pair.client(0).views(), 1);
}

#[test]
fn g6_a_transaction_is_refused_if_another_has_changed_what_it_read() {
    let mut pair = Pair::new(Document::default());
    let take = |client: &PairClient<Document>, by: i64| {
        client.transact(|draft| {
            let views = draft.get(Document::VIEWS) + by;
            if views <= 3 {
                draft.set(Document::VIEWS, views);
            }
            Ok::<_, WriteError>(())
        })
    };
    let (ann, ben) = (pair.client(0), pair.client(1));
    let (first, second) = (take(&ann, 2).expect("taken"), take(&ben, 3).expect("taken"));
    pair.sync();
    assert_eq!(first.answer(), Some(Ok(1)));
    assert_eq!(second.answer().expect("answered").expect_err("changed").code(), Code::Conflict);
    assert_eq!((ann.views(), ben.views()), (2, 2));
}

#[test]
fn g6_a_transaction_is_refused_also_if_a_later_write_hides_the_change_of_what_it_read() {
    let mut pair = Pair::new(Document::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.disconnect();
    let transaction = ann.transact(|draft| {
        if *draft.get(Document::VIEWS) == 0 {
            draft.set(Document::TITLE, "unseen".to_owned());
        }
        Ok::<_, WriteError>(())
    });
    let transaction = transaction.expect("taken");
    let later = ann.set(Document::VIEWS, 7).expect("taken");
    ben.add_views(3).expect("taken");
    // With other roles it is sent the whole state, in which 7 shows as before.
    pair.set_roles(0, &["editor"]);
    pair.sync();
    ann.connect();
    pair.sync();
    assert_eq!(transaction.answer().expect("answered").expect_err("3 views").code(), Code::Conflict);
    assert_eq!((later.answer(), ben.views(), ben.title()), (Some(Ok(2)), 7, String::new()));
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
struct Place(u32);

#[test]
fn messages_of_a_channel_arrive_once_and_in_order_also_after_a_lost_connection() {
    let mut pair = Pair::with_users(Document::default(), &["ann", "ben"]);
    let (ann, ben) = (pair.channel::<String>(0, "chat"), pair.channel::<String>(1, "chat"));
    let said = |side: &PairChannel<String>| -> Vec<(String, bool, bool)> {
        let one = |item: Item<String>| match item {
            Item::Message(message) => (message.value().clone(), message.is_own(), message.is_pending()),
            other => panic!("{other:?}"),
        };
        side.history().into_iter().map(one).collect()
    };
    let receipt = ann.send(&"a".to_owned()).expect("taken");
    assert_eq!((said(&ann), said(&ben)), (vec![("a".into(), true, true)], vec![]));
    pair.client(0).disconnect();
    ben.send(&"b".to_owned()).expect("taken");
    pair.sync();
    assert_eq!((receipt.answer(), said(&ann).len()), (None, 1));
    pair.client(0).connect();
    pair.sync();
    assert_eq!(receipt.answer(), Some(Ok(2)));
    assert_eq!(said(&ann), [("b".into(), false, false), ("a".into(), true, false)]);
    assert_eq!(said(&ben), [("b".into(), true, false), ("a".into(), false, false)]);
    // A lost connection brings nothing twice, also if nothing was delivered before the next one.
    pair.client(1).disconnect();
    pair.client(1).connect();
    ann.send(&"c".to_owned()).expect("taken");
    let late = pair.join("late");
    let late = pair.channel(late, "chat");
    assert_eq!((said(&late).len(), said(&ben).len()), (0, 2));
    pair.sync();
    assert_eq!((said(&ann).len(), said(&ben).len(), said(&late).len()), (3, 3, 3));
}

#[test]
fn those_who_are_present_see_each_other_until_a_connection_is_lost() {
    let mut pair = Pair::with_users(Document::default(), &["ann", "ben"]);
    let options = PresenceOptions::default().away_after(Some(ms(1000)));
    let ann = pair.presence(0, "Ann".to_owned(), Place(1), options).expect("JSON");
    let ben = pair.presence(1, "Ben".to_owned(), Place(2), options).expect("JSON");
    let seen = |by: &PairPresence<String, Place>| -> Vec<(String, u32, bool)> {
        by.others().iter().map(|peer| (peer.user.to_string(), peer.data.0, peer.away)).collect()
    };
    assert!(seen(&ann).is_empty());
    pair.sync();
    assert_eq!((seen(&ann), seen(&ben)), (vec![("Ben".into(), 2, false)], vec![("Ann".into(), 1, false)]));
    ann.set(Place(3)).expect("short");
    pair.advance(ms(999));
    assert_eq!(seen(&ben), [("Ann".into(), 3, false)]);
    ben.set(Place(2)).expect("short");
    pair.advance(ms(1));
    assert_eq!((seen(&ben), seen(&ann)), (vec![("Ann".into(), 3, true)], vec![("Ben".into(), 2, false)]));
    drop(ben.events());
    pair.client(0).disconnect();
    pair.sync();
    assert!(seen(&ben).is_empty());
    assert!(matches!(&ben.events()[..], [PresenceEvent::Left(peer)] if *peer.user == "Ann"));
    pair.client(0).connect();
    pair.sync();
    assert_eq!(seen(&ben).len(), 1);
    ann.set_hidden(true);
    pair.sync();
    assert!(seen(&ben).is_empty() && seen(&ann).len() == 1);
}

#[test]
fn undo_takes_back_the_clients_own_last_write() {
    let mut pair = Pair::new(Document::default());
    let (ann, ben) = (pair.client(0), pair.client(1));
    ann.add_views(1).expect("taken");
    ben.add_views(5).expect("taken");
    pair.sync();
    assert!(ann.undo().expect("taken").is_some());
    pair.sync();
    assert_eq!((ann.views(), ben.views()), (5, 5));
    assert!(ann.redo().expect("taken").is_some());
    assert!(ann.redo().expect("taken").is_none());
    pair.sync();
    assert_eq!(ben.views(), 6);
}
