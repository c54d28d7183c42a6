//! Measures what it costs to type a text through the real replicas and the real authority, without sockets,
//! compared with bare yrs documents in the same run.
//!
//! `SHARED_STATE_TRACE=<file>` names a trace of a real editing session, in the JSON of the collection
//! `josephg/editing-traces` (gzipped or not): `{"txns": [{"patches": [[position, deleted, inserted], ..]},
//! ..]}`, with positions in characters. Without it a generated session is typed, and the output says so.

#![allow(missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared_state::{SharedState, Text};
use shared_state_tests::{User, World};
use yrs::updates::decoder::Decode as _;
use yrs::{
    ClientID, Doc, GetString as _, OffsetKind, Options, ReadTxn as _, StateVector, Text as _, Transact,
};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Paper {
    #[shared(text)]
    text: Text,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Debounced {
    #[shared(text, debounce = "300ms")]
    text: Text,
}

type Patch = (usize, usize, String);

fn main() {
    let edits = trace();
    println!("{} edits; every figure is of one run", edits.len());
    let bare = bare(&edits);
    println!("bare yrs, a writer, a server and two readers: {}", bare.told(edits.len()));
    one_writer(&edits, &bare);
    debounced(&edits, &bare);
    three_writers(&edits);
}

fn trace() -> Vec<Patch> {
    #[derive(Deserialize)]
    struct Session {
        txns: Vec<Txn>,
    }
    #[derive(Deserialize)]
    struct Txn {
        patches: Vec<Patch>,
    }
    let Ok(path) = std::env::var("SHARED_STATE_TRACE") else {
        println!("SHARED_STATE_TRACE names no trace: this is a generated one");
        return generated(40_000);
    };
    let bytes = match path.ends_with(".gz") {
        true => Command::new("gzip").args(["-dc", &path]).output().expect("gzip runs").stdout,
        false => std::fs::read(&path).expect("the trace can be read"),
    };
    println!("the trace {path}");
    let session: Session = serde_json::from_slice(&bytes).expect("the trace is JSON");
    session.txns.into_iter().flat_map(|txn| txn.patches).collect()
}

/// Words typed one after another, with corrections, at positions that change now and then.
fn generated(count: usize) -> Vec<Patch> {
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut length, mut at) = (0, 0);
    let mut edits = Vec::with_capacity(count);
    while edits.len() < count {
        if rng.u8(..60) == 0 {
            at = rng.usize(..=length);
        }
        if at > 0 && rng.u8(..8) == 0 {
            at -= 1;
            length -= 1;
            edits.push((at, 1, String::new()));
        } else {
            let letter = if rng.u8(..6) == 0 { ' ' } else { rng.lowercase() };
            edits.push((at, 0, letter.to_string()));
            at += 1;
            length += 1;
        }
    }
    edits
}

struct Bare {
    time: Duration,
    bytes: usize,
    text: String,
    snapshot: usize,
}

impl Bare {
    fn told(&self, edits: usize) -> String {
        let each = self.time.as_secs_f64() * 1e6 / edits as f64;
        let Self { time, bytes, snapshot, text } = self;
        format!(
            "{time:.2?} ({each:.1} us an edit), {bytes} bytes of updates ({:.1} each), a snapshot of {snapshot} bytes, \
             a text of {}",
            *bytes as f64 / edits as f64,
            text.len()
        )
    }
}

fn doc(writer: u64) -> Doc {
    let mut options = Options::with_client_id(ClientID::new(writer));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn bare(edits: &[Patch]) -> Bare {
    let docs: Vec<Doc> = (1000..1004).map(doc).collect();
    let text = docs[0].get_or_insert_text("text");
    let mut bytes = 0;
    let start = Instant::now();
    for (at, delete, insert) in edits {
        let update = {
            let mut txn = Transact::transact_mut(&docs[0]);
            text.remove_range(&mut txn, *at as u32, *delete as u32);
            text.insert(&mut txn, *at as u32, insert);
            txn.encode_update_v1()
        };
        bytes += update.len();
        for doc in &docs[1..] {
            let update = yrs::Update::decode_v1(&update).expect("an update");
            Transact::transact_mut(doc).apply_update(update).expect("applies");
        }
    }
    let time = start.elapsed();
    let txn = Transact::transact(&docs[3]);
    let snapshot = txn.encode_state_as_update_v1(&StateVector::default()).len();
    let text = txn.get_text("text").map(|text| text.get_string(&txn)).unwrap_or_default();
    Bare { time, bytes, text, snapshot }
}

fn told(time: Duration, edits: usize, bare: &Bare) -> String {
    let each = time.as_secs_f64() * 1e6 / edits as f64;
    format!(
        "{time:.2?} ({each:.1} us an edit), {:.2} of bare yrs",
        time.as_secs_f64() / bare.time.as_secs_f64()
    )
}

fn one_writer(edits: &[Patch], bare: &Bare) {
    let mut world = World::new(Paper::default());
    let (writer, readers) = (world.join(), [world.join(), world.join()]);
    let text = writer.handle().text();
    let _ = readers[0].traffic();
    let start = Instant::now();
    for (at, delete, insert) in edits {
        text.replace(*at, *delete, insert).expect("written");
        world.deliver();
    }
    let time = start.elapsed();
    assert_eq!(world.state().text, bare.text.as_str());
    readers.iter().for_each(|reader| assert_eq!(reader.state().text, bare.text.as_str()));
    println!("one writer, two readers, each edit sent: {}", told(time, edits.len(), bare));
    frames(&readers[0], edits.len(), bare);
    let (stored, snapshot) = (world.stored(), world.snapshot());
    let late = world.join();
    println!(
        "  stored: a log of {stored} bytes if nothing were compacted, a snapshot of {snapshot} with the last edits; a \
         late joiner is sent {} bytes",
        late.traffic().0
    );
    let start = Instant::now();
    world.restart();
    println!("  opened from the snapshot in {:.2?}", start.elapsed());
}

fn frames<S: SharedState>(reader: &User<S>, edits: usize, bare: &Bare) {
    let (received, _) = reader.traffic();
    println!(
        "  each reader was sent {received} bytes of frames ({:.1} an edit), {:.2} of the bare updates",
        received as f64 / edits as f64,
        received as f64 / bare.bytes as f64
    );
}

fn debounced(edits: &[Patch], bare: &Bare) {
    const BURST: usize = 10;
    let mut world = World::new(Debounced::default());
    let (writer, readers) = (world.join(), [world.join(), world.join()]);
    let text = writer.handle().text();
    let _ = readers[0].traffic();
    let start = Instant::now();
    for burst in edits.chunks(BURST) {
        for (at, delete, insert) in burst {
            text.replace(*at, *delete, insert).expect("written");
        }
        writer.flush();
        world.deliver();
    }
    let time = start.elapsed();
    assert_eq!(world.state().text, bare.text.as_str());
    println!("the same, {BURST} edits debounced into one: {}", told(time, edits.len(), bare));
    frames(&readers[0], edits.len(), bare);
}

/// Three people type at the same time, each the first third of the session in a part of the text of their
/// own.
fn three_writers(edits: &[Patch]) {
    let edits = &edits[..edits.len() / 3];
    let docs: Vec<Doc> = (1000..1004).map(doc).collect();
    let mut lengths = [0; 3];
    let mut bytes = 0;
    let start = Instant::now();
    for (at, delete, insert) in edits {
        let before = lengths;
        let mut updates = Vec::new();
        for (person, doc) in docs[..3].iter().enumerate() {
            let at = before[..person].iter().sum::<usize>() + at;
            let text = doc.get_or_insert_text("text");
            let mut txn = Transact::transact_mut(doc);
            text.remove_range(&mut txn, at as u32, *delete as u32);
            text.insert(&mut txn, at as u32, insert);
            updates.push(txn.encode_update_v1());
            lengths[person] = lengths[person] + insert.chars().count() - delete;
        }
        for (from, update) in updates.iter().enumerate() {
            bytes += update.len();
            for (_, doc) in docs.iter().enumerate().filter(|(to, _)| *to != from) {
                let update = yrs::Update::decode_v1(update).expect("an update");
                Transact::transact_mut(doc).apply_update(update).expect("applies");
            }
        }
    }
    let time = start.elapsed();
    let txn = Transact::transact(&docs[3]);
    let snapshot = txn.encode_state_as_update_v1(&StateVector::default()).len();
    let text = txn.get_text("text").map(|text| text.get_string(&txn)).unwrap_or_default();
    let bare = Bare { time, bytes, text, snapshot };
    let count = 3 * edits.len();
    println!("three people at once in three places, bare yrs: {}", bare.told(count));

    let mut world = World::new(Paper::default());
    let people = [world.join(), world.join(), world.join()];
    let _ = people[0].traffic();
    let mut lengths = [0; 3];
    let start = Instant::now();
    for (at, delete, insert) in edits {
        let before = lengths;
        for (person, user) in people.iter().enumerate() {
            let at = before[..person].iter().sum::<usize>() + at;
            user.handle().text().replace(at, *delete, insert).expect("written");
            lengths[person] = lengths[person] + insert.chars().count() - delete;
        }
        world.deliver();
    }
    let time = start.elapsed();
    assert_eq!(world.state().text, bare.text.as_str());
    people.iter().for_each(|user| assert_eq!(user.state().text, bare.text.as_str()));
    println!("three people at once in three places: {}", told(time, count, &bare));
    let snapshot = world.snapshot();
    println!("  a log of {} bytes if nothing were compacted, a snapshot of {snapshot}", world.stored());
}
