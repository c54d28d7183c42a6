//! Edits of texts that no editor makes: with neighbours that were never side by side, in the wrong order, of
//! other clients, with gaps, with thousands of parts. Whatever of them the room accepts, all replicas and the
//! room that is read again from the store have one text.
//!
//! `SHARED_STATE_SEED` runs one seed alone, `SHARED_STATE_SEEDS` sets the number of seeds.

#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::merge::{Edit, TextOp};
use shared_state::proto::authority::SessionId;
use shared_state::{SharedState, Text};
use shared_state_tests::{User, World, seeds};
use yrs::updates::decoder::Decode as _;
use yrs::{Doc, GetString as _, ReadTxn as _, Transact};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    #[shared(text)]
    body: Text,
    #[shared(validate(length(max = 3)))]
    title: String,
}

type Id = (u64, u32);

/// A Yjs update, written as its author likes.
#[derive(Default)]
struct Forged {
    structs: Vec<(u64, u32, Vec<Struct>)>,
    deleted: Vec<(u64, Vec<(u32, u32)>)>,
}

enum Struct {
    Text(Option<Id>, Option<Id>, String),
    Deleted(Option<Id>, Option<Id>, u32),
    Gap(u32),
}

impl Struct {
    fn units(&self) -> u32 {
        match self {
            Self::Text(_, _, text) => text.encode_utf16().count() as u32,
            Self::Deleted(_, _, units) | Self::Gap(units) => *units,
        }
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

impl Forged {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, self.structs.len() as u64);
        for (client, clock, structs) in &self.structs {
            [structs.len() as u64, *client, (*clock).into()].into_iter().for_each(|n| number(&mut out, n));
            for new in structs {
                let (kind, origin, right) = match new {
                    Struct::Text(origin, right, _) => (4, origin, right),
                    Struct::Deleted(origin, right, _) => (1, origin, right),
                    Struct::Gap(_) => (0, &None, &None),
                };
                out.push(kind | u8::from(origin.is_some()) << 7 | u8::from(right.is_some()) << 6);
                for (client, clock) in origin.iter().chain(right) {
                    number(&mut out, *client);
                    number(&mut out, (*clock).into());
                }
                if kind != 0 && origin.is_none() && right.is_none() {
                    out.extend_from_slice(b"\x01\x04text");
                }
                match new {
                    Struct::Text(_, _, text) => {
                        number(&mut out, text.len() as u64);
                        out.extend_from_slice(text.as_bytes());
                    }
                    Struct::Deleted(_, _, units) | Struct::Gap(units) => number(&mut out, (*units).into()),
                }
            }
        }
        number(&mut out, self.deleted.len() as u64);
        for (client, ranges) in &self.deleted {
            number(&mut out, *client);
            number(&mut out, ranges.len() as u64);
            for (start, length) in ranges {
                number(&mut out, (*start).into());
                number(&mut out, (*length).into());
            }
        }
        out
    }
}

/// Somebody who writes edits that no editor makes, under three client ids.
struct Forger {
    name: String,
    session: SessionId,
    seq: u64,
    ids: [u64; 3],
    /// The last edit, to be sent again.
    last: Option<String>,
}

/// How many units each client has, as far as the test knows.
type Clocks = BTreeMap<u64, u32>;

fn any_id(rng: &mut fastrand::Rng, clocks: &Clocks) -> Option<Id> {
    if rng.u8(..8) == 0 {
        return None;
    }
    let (client, units) = clocks.iter().nth(rng.usize(..clocks.len()))?;
    let beyond = u32::from(rng.u8(..60) == 0);
    (*units > 0).then(|| (*client, rng.u32(..units + beyond)))
}

impl Forger {
    fn forge(&mut self, rng: &mut fastrand::Rng, clocks: &Clocks) -> (Edit, Clocks) {
        const PIECES: &[&str] = &["a", "b", "ü", "語", "😀", "word", "xyz"];
        let mut forged = Forged::default();
        let mut after = clocks.clone();
        // Later structs may refer to what the same edit inserts, in whatever order.
        let mut own = Vec::new();
        for id in self.ids {
            if rng.bool() {
                let known = clocks.get(&id).copied().unwrap_or(0);
                let clock = match rng.u8(..20) {
                    0 => known.saturating_sub(1),
                    1 | 2 => known + rng.u32(1..4),
                    _ => known,
                };
                let many = if rng.u8(..200) == 0 { 2_000 } else { 5 };
                own.push((id, clock, rng.usize(1..many)));
                after.insert(id, (clock + 3).max(known));
            }
        }
        for (id, clock, count) in own {
            let mut structs = Vec::new();
            let mut end = clock;
            let place = (any_id(rng, &after), any_id(rng, &after));
            let same_place = rng.u8(..4) == 0;
            for _ in 0..count {
                let (origin, right) = match same_place {
                    true => place,
                    false => (any_id(rng, &after), any_id(rng, &after)),
                };
                let new = match rng.u8(..12) {
                    0 => Struct::Deleted(origin, right, rng.u32(1..4)),
                    1 => Struct::Gap(rng.u32(1..3)),
                    _ => Struct::Text(origin, right, PIECES[rng.usize(..PIECES.len())].to_owned()),
                };
                end += new.units();
                structs.push(new);
                after.insert(id, end);
            }
            forged.structs.push((id, clock, structs));
        }
        let mut all: Vec<u64> = after.keys().copied().collect();
        rng.shuffle(&mut all);
        for client in all.into_iter().take(rng.usize(..3)) {
            let units = after[&client];
            let range = |rng: &mut fastrand::Rng| {
                let beyond = u32::from(rng.u8(..40) == 0);
                let start = rng.u32(..units.max(1) + beyond);
                (start, rng.u32(1..4).min((units + beyond).saturating_sub(start)).max(1))
            };
            let many = if rng.u8(..100) == 0 { 3_000 } else { 4 };
            let mut ranges: Vec<_> = (0..rng.usize(1..many)).map(|_| range(rng)).collect();
            if rng.bool() {
                ranges.extend_from_within(..);
            }
            forged.deleted.push((client, ranges));
        }
        (Edit::read(forged.bytes()).expect("the reader lets it through"), after)
    }

    fn write(&mut self, rng: &mut fastrand::Rng, world: &mut World<Page>, clocks: &mut Clocks) -> bool {
        let written = |op: TextOp| {
            let update = shared_state::proto::encode_update::<Page>(&PageUpdate::Body(op));
            update.expect("JSON").as_str().to_owned()
        };
        let mut updates = Vec::new();
        let mut after = clocks.clone();
        for _ in 0..rng.usize(1..3) {
            match rng.u8(..16) {
                0 => updates.push(r#"{"key":"body","value":"set anew"}"#.to_owned()),
                1 => updates.push(
                    r#"{"key":"body","op":"splice","value":[{"at":3,"delete":2,"insert":"😀"}]}"#.to_owned(),
                ),
                2 => updates.extend(self.last.clone()),
                _ => {
                    let (edit, now) = self.forge(rng, &after);
                    after = now;
                    let edit = written(TextOp::Edit(edit));
                    self.last = Some(edit.clone());
                    updates.push(edit);
                }
            }
        }
        if rng.u8(..6) == 0 {
            // Everything before it is taken back.
            updates.push(r#"{"key":"title","value":"too long"}"#.to_owned());
        }
        self.seq += 1;
        let is_accepted = world.submit(self.session, self.seq, &format!("[{}]", updates.join(",")));
        if is_accepted {
            *clocks = after;
        }
        is_accepted
    }
}

/// What an honest user does.
fn act(rng: &mut fastrand::Rng, user: &User<Page>, id: u64, clocks: &mut Clocks) {
    let length = user.handle().body().len();
    match rng.u8(..12) {
        0 => user.leave(),
        1 | 2 => user.come_back(),
        3 => _ = user.undo(),
        4..6 if length > 0 => {
            let _ = user.handle().body().delete(rng.usize(..length), rng.usize(1..4)).expect("written");
        }
        _ => {
            let text = ["one", "😀", "2", "three "][rng.usize(..4)];
            let _ = user.handle().body().insert(rng.usize(..=length), text).expect("written");
            *clocks.entry(id).or_default() += 1;
        }
    }
}

/// What Yjs reads from the stored text.
fn read_by_yjs(text: &Text) -> String {
    use shared_state::proto::authority::{RoomState as _, Typed};
    let mut stored = String::new();
    Typed::new(Page { body: text.clone(), ..Page::default() }).write_data(&mut stored);
    let stored: serde_json::Value = serde_json::from_str(&stored).expect("JSON");
    let Some(whole) = stored["body"]["yjs"].as_str() else {
        return stored["body"].as_str().expect("a string").to_owned();
    };
    let update = yrs::Update::decode_v1(&super::text::from_base64(whole)).expect("a Yjs update");
    let doc = Doc::new();
    doc.get_or_insert_text("text");
    let mut txn = Transact::transact_mut(&doc);
    txn.apply_update(update).expect("applies");
    assert!(!txn.has_missing_updates());
    txn.get_text("text").expect("it is there").get_string(&txn)
}

#[test]
fn g1_hostile_edits_leave_one_text_everywhere_and_in_the_store() {
    let accepted = seeds::run(300, |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut world = World::new(Page { body: "begin".into(), title: String::new() });
        let users = [world.join(), world.join(), world.join()];
        let mut forgers: Vec<Forger> = (0..2)
            .map(|at| {
                let name = format!("forger-{at}---------");
                // One has greater ids than the users, the other smaller ones.
                let first = [40, 5_000][at];
                let session = world.connect(&name);
                Forger { name, session, seq: 0, ids: [first, first + 1, first + 2], last: None }
            })
            .collect();
        let mut clocks = Clocks::from([(0, 5)]);
        let mut accepted = 0;
        for _ in 0..rng.usize(10..60) {
            match rng.u8(..20) {
                0..9 => {
                    let at = rng.usize(..forgers.len());
                    accepted += usize::from(forgers[at].write(&mut rng, &mut world, &mut clocks));
                }
                9..17 => {
                    let at = rng.usize(..users.len());
                    act(&mut rng, &users[at], 1000 + at as u64, &mut clocks);
                }
                17 => {
                    let user = &users[rng.usize(..users.len())];
                    world.exchange(user);
                }
                18 => world.settle(),
                _ => {
                    let before = world.state().body;
                    world.restart();
                    assert_eq!(world.state().body.as_str(), before.as_str(), "read again from the store");
                    for forger in &mut forgers {
                        forger.session = world.connect(&forger.name);
                    }
                    users.iter().filter(|_| rng.bool()).for_each(User::come_back);
                }
            }
        }
        users.iter().for_each(User::come_back);
        world.settle();
        let text = world.state().body;
        assert_eq!(read_by_yjs(&text), text.as_str(), "read by Yjs");
        world.restart();
        assert_eq!(world.state().body.as_str(), text.as_str(), "read again from the store");
        users.iter().for_each(User::come_back);
        world.settle();
        accepted
    });
    let (seeds, accepted) = (accepted.len(), accepted.into_iter().sum::<usize>());
    assert!(
        seeds::given().is_some() || accepted >= seeds,
        "{accepted} forged changes of {seeds} seeds were accepted"
    );
}
