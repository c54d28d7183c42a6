//! The update format of Yjs, version 1, for one plain text: decoding, checking, merging and encoding.
//!
//! An update is a sequence of bytes: the number of clients; for each client the number of its structs, its
//! id, the clock of its first struct, and the structs; then the deleted ranges of each client. All numbers
//! are unsigned LEB128. A struct takes as many clocks as its text has UTF-16 units. The format is that of
//! Yjs' `encodeStateAsUpdate`. Formats, embedded objects and types other than the one text are refused here.
//!
//! An update that this module has decoded can be passed on safely: it is complete, it is plain text, and its
//! numbers are within their bounds.

use std::collections::{BTreeMap, HashMap};

use super::id_set::IdSet;
use crate::core::text_scope::Characters;

/// The name of the root type. An editor binds to `doc.getText("text")`.
pub(crate) const ROOT: &str = "text";

/// The greatest client id that JavaScript can represent.
const MAX_CLIENT: u64 = (1 << 53) - 1;

/// The greatest clock, and so the limit of units of one client in a text.
pub(crate) const MAX_CLOCK: u32 = 1 << 30;

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
const GC: u8 = 0;
const DELETED: u8 = 1;
const TEXT: u8 = 4;
const SKIP: u8 = 10;

/// The id of one UTF-16 unit of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) client: u64,
    pub(crate) clock: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Text(String),
    /// A text that was deleted and dropped. Only its place is left.
    Deleted,
    /// Units without a place. They fill the clocks of a refused edit.
    Gc,
}

/// A run of units that were inserted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) clock: u32,
    pub(crate) units: u32,
    /// The units to the left and to the right when the run was inserted.
    pub(crate) origin: Option<Id>,
    pub(crate) right: Option<Id>,
    pub(crate) content: Content,
}

/// A Yjs update of one plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// The structs of each client, without gaps.
    pub(crate) structs: BTreeMap<u64, Vec<Struct>>,
    pub(crate) deleted: IdSet,
}

/// The number of units that a text has of each client.
pub(crate) type Clocks = BTreeMap<u64, u32>;

impl Struct {
    pub(crate) const fn end(&self) -> u32 {
        self.clock + self.units
    }

    /// The clocks of the second units of characters that have two.
    pub(crate) fn low_surrogates(&self) -> impl Iterator<Item = u32> {
        let text = if let Content::Text(text) = &self.content { text } else { "" };
        // Only a character of four bytes has two units.
        let text = if text.len() < 4 { "" } else { text };
        let mut clock = self.clock;
        text.chars().filter_map(move |c| {
            clock += c.len_utf16() as u32;
            (c.len_utf16() == 2).then(|| clock - 1)
        })
    }

    /// Splits off the units from `clock` on, as a struct of their own.
    fn split(&mut self, client: u64, clock: u32) -> Self {
        let at = clock - self.clock;
        let mut rest = Self { clock, units: self.units - at, ..self.clone() };
        rest.origin = Some(Id { client, clock: clock - 1 });
        if let Content::Text(text) = &mut self.content {
            rest.content = Content::Text(split_units(text, at));
        }
        if self.content == Content::Gc {
            rest.origin = None;
        }
        self.units = at;
        rest
    }

    /// Appends the next struct to this one if the two form one struct. Returns whether they do.
    fn join(&mut self, client: u64, next: &Self) -> bool {
        let one = match (&mut self.content, &next.content) {
            (Content::Gc, Content::Gc) => true,
            (Content::Text(_), Content::Text(_)) | (Content::Deleted, Content::Deleted) => {
                let last = Id { client, clock: self.clock + self.units - 1 };
                next.origin == Some(last) && next.right == self.right
            }
            _ => false,
        };
        if one {
            if let (Content::Text(text), Content::Text(more)) = (&mut self.content, &next.content) {
                text.push_str(more);
            }
            self.units += next.units;
        }
        one
    }
}

impl Update {
    /// The characters that the update inserts and does not delete.
    pub(super) fn inserted(&self) -> Vec<Characters> {
        let mut inserted = Vec::new();
        for (client, new) in
            self.structs.iter().flat_map(|(client, all)| all.iter().map(|new| (*client, new)))
        {
            let Content::Text(text) = &new.content else { continue };
            let all = IdSet::from_iter([(client, new.clock..new.end())]);
            for (_, clocks) in all.without(&self.deleted).all() {
                let is_whole = clocks == (new.clock..new.end());
                let text = if is_whole { text.clone() } else { String::new() };
                inserted.push(Characters {
                    client,
                    clocks,
                    text,
                    right: new.right.map(|id| (id.client, id.clock)),
                });
            }
        }
        inserted
    }
}

/// The index of the client's struct that has a unit.
fn position(structs: &[Struct], clock: u32) -> Option<usize> {
    let at = structs.partition_point(|run| run.end() <= clock);
    structs.get(at).is_some_and(|run| run.clock <= clock).then_some(at)
}

/// Splits a text after so many UTF-16 units. Half of a surrogate pair becomes U+FFFD, as everywhere in Yjs.
pub(super) fn split_units(text: &mut String, units: u32) -> String {
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        if seen == units {
            return text.split_off(at);
        }
        seen += c.len_utf16() as u32;
        if seen > units {
            let mut rest = String::from('\u{fffd}');
            rest.push_str(&text[at + c.len_utf8()..]);
            text.truncate(at);
            text.push('\u{fffd}');
            return rest;
        }
    }
    String::new()
}

pub(crate) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

impl Update {
    pub(crate) fn is_empty(&self) -> bool {
        self.structs.is_empty() && self.deleted.is_empty()
    }

    /// The text as a plain string, if it has no history: it was made from a string, or is empty.
    pub(crate) fn as_plain(&self) -> Option<&str> {
        let mut clients = self.structs.iter();
        match (clients.next(), clients.next()) {
            (None, _) if self.deleted.is_empty() => Some(""),
            (Some((&super::INITIAL, runs)), None) if self.deleted.is_empty() => match &runs[..] {
                [Struct { clock: 0, origin: None, right: None, content: Content::Text(text), .. }] => {
                    Some(text)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// For each client, the clocks of its structs.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (u64, std::ops::Range<u32>)> {
        self.structs.iter().filter_map(|(client, structs)| {
            let (first, last) = (structs.first()?, structs.last()?);
            Some((*client, first.clock..last.end()))
        })
    }

    fn ids(&self) -> impl Iterator<Item = Id> {
        self.structs.values().flatten().flat_map(|run| run.origin.into_iter().chain(run.right))
    }

    /// The second units of the characters that the update inserts.
    pub(crate) fn low_surrogates(&self) -> IdSet {
        let runs = self.structs.iter().flat_map(|(client, runs)| runs.iter().map(|run| (*client, run)));
        runs.flat_map(|(client, run)| run.low_surrogates().map(move |low| (client, low..low + 1))).collect()
    }

    /// The units before which the update inserts something. For a left neighbour, that is the unit after it.
    pub(crate) fn places(&self) -> impl Iterator<Item = Id> {
        let next = |id: Id| Id { clock: id.clock + 1, ..id };
        self.structs.values().flatten().flat_map(move |run| run.origin.map(next).into_iter().chain(run.right))
    }

    /// Whether `other` can be applied before or after this update with the same result.
    pub(crate) fn commutes_with(&self, other: &Self) -> bool {
        if other.structs.keys().any(|client| self.structs.contains_key(client)) {
            return false;
        }
        let new: IdSet = other.spans().collect();
        !self.ids().any(|id| new.contains(id.client, id.clock))
            && !self.deleted.all().any(|(client, range)| new.meets(client, &range))
    }

    /// Checks that everything this update refers to is in a text, or in the update itself before it is
    /// needed. `known` is how many units the text has of a client, and `gc` are its units without a place.
    /// Returns the structs, each as its client and its index, in an order in which each comes after what it
    /// refers to.
    pub(crate) fn check(&self, known: impl Fn(u64) -> u32, gc: &IdSet) -> Result<Vec<(u64, usize)>, String> {
        let spans: BTreeMap<u64, std::ops::Range<u32>> = self.spans().collect();
        for (client, span) in &spans {
            if span.start < known(*client) {
                let what = format!("unit {} of client {client}", span.start);
                return Err(format!(
                    "the edit inserts {what}, which the text has: it was made in another text"
                ));
            }
        }
        for (client, range) in self.deleted.all() {
            let own = spans.get(&client).map_or(0, |span| span.end);
            if range.end > known(client).max(own) {
                let found = format!("unit {} of client {client}", range.end - 1);
                return Err(format!("the edit deletes {found}, which the text does not have"));
            }
        }
        // Goes through each client's structs in order, as far as what they refer to is there. A client that
        // has to wait is resumed by the client that it waits for.
        let mut done: HashMap<u64, (usize, u32)> = HashMap::new();
        let mut waiting: HashMap<u64, Vec<(u32, u64)>> = HashMap::new();
        let mut ready: Vec<u64> = self.structs.keys().copied().collect();
        let mut order = Vec::new();
        while let Some(client) = ready.pop() {
            let structs = &self.structs[&client];
            let (mut at, mut reached) = done.get(&client).copied().unwrap_or((0, known(client)));
            let mut blocked = None;
            while let Some(run) = structs.get(at) {
                for id in run.origin.into_iter().chain(run.right) {
                    if gc.contains(id.client, id.clock) || self.is_gc(id, known(id.client)) {
                        let what = format!("unit {} of client {}", id.clock, id.client);
                        return Err(format!(
                            "the edit is at {what}, which the text does not have: it was in a refused edit"
                        ));
                    }
                    let here = if id.client == client {
                        reached
                    } else {
                        done.get(&id.client).map_or_else(|| known(id.client), |(_, reached)| *reached)
                    };
                    if id.clock >= here {
                        if id.client == client
                            || spans.get(&id.client).is_none_or(|span| id.clock >= span.end)
                        {
                            let what = format!("unit {} of client {}", id.clock, id.client);
                            return Err(format!("the edit is at {what}, which the text does not have"));
                        }
                        blocked = Some(id);
                    }
                }
                if blocked.is_some() {
                    break;
                }
                order.push((client, at));
                at += 1;
                reached = reached.max(run.end());
            }
            done.insert(client, (at, reached));
            if let Some(id) = blocked {
                waiting.entry(id.client).or_default().push((id.clock, client));
            }
            if let Some(others) = waiting.get_mut(&client) {
                others.retain(|(clock, other)| {
                    let waits = *clock >= reached;
                    if !waits {
                        ready.push(*other);
                    }
                    waits
                });
            }
        }
        match waiting.values().all(Vec::is_empty) {
            true => Ok(order),
            false => Err("the edit's parts refer to each other in a circle".to_owned()),
        }
    }

    /// Checks that the update cuts no character in two. `is_there` says of a unit whether it is the second
    /// one of a character that the text shows.
    pub(crate) fn check_cuts(&self, is_there: impl Fn(Id) -> bool) -> Result<(), String> {
        let own = self.low_surrogates();
        let is_low_surrogate = |client, clock| own.contains(client, clock) || is_there(Id { client, clock });
        // What the update deletes itself may have been deleted before the rest of the update was made.
        let places = self.places().filter(|id| !self.deleted.contains(id.client, id.clock));
        let places = places.map(|id| (id.client, id.clock));
        let ends =
            self.deleted.all().flat_map(|(client, range)| [(client, range.start), (client, range.end)]);
        match places.chain(ends).find(|(client, clock)| is_low_surrogate(*client, *clock)) {
            Some((client, clock)) => {
                Err(format!("the edit cuts a character in two, before unit {clock} of client {client}"))
            }
            None => Ok(()),
        }
    }

    /// Whether a unit has no place once this update is applied to a text with `known` units of the unit's
    /// client.
    fn is_gc(&self, id: Id, known: u32) -> bool {
        let Some(structs) = self.structs.get(&id.client) else { return false };
        let first = structs.first().map_or(0, |run| run.clock);
        if id.clock < known {
            return false;
        }
        let run = position(structs, id.clock).map(|at| &structs[at]);
        id.clock < first || run.is_some_and(|run| run.content == Content::Gc)
    }

    /// Fills the gaps between this update and a text with these clocks. Returns whether there was a gap.
    pub(crate) fn fit(&mut self, known: impl Fn(u64) -> u32) -> bool {
        let mut changed = false;
        for (client, structs) in &mut self.structs {
            let known = known(*client);
            let Some(first) = structs.first() else { continue };
            if first.clock > known {
                let gap = Struct {
                    clock: known,
                    units: first.clock - known,
                    origin: None,
                    right: None,
                    content: Content::Gc,
                };
                structs.insert(0, gap);
                changed = true;
            }
        }
        changed
    }

    /// Appends a later update to this one if the two form one update. Returns whether they do.
    pub(crate) fn merge(&mut self, later: &Self) -> bool {
        for (client, span) in later.spans() {
            let end = self.structs.get(&client).and_then(|structs| structs.last()).map(Struct::end);
            if end.is_some_and(|end| end != span.start) {
                return false;
            }
        }
        for (client, structs) in &later.structs {
            self.structs.entry(*client).or_default().extend_from_slice(structs);
        }
        self.deleted.extend(&later.deleted);
        self.tidy();
        true
    }

    /// Joins structs that form one struct.
    pub(super) fn tidy(&mut self) {
        for (client, structs) in &mut self.structs {
            let mut tidied: Vec<Struct> = Vec::with_capacity(structs.len());
            for run in structs.drain(..) {
                if !tidied.last_mut().is_some_and(|last| last.join(*client, &run)) {
                    tidied.push(run);
                }
            }
            *structs = tidied;
        }
    }

    /// Drops the update's own texts that it deletes, and keeps their places. The result has one canonical
    /// form, however the update was made.
    pub(crate) fn compact(&mut self) {
        for (client, structs) in &mut self.structs {
            let deleted = self.deleted.of(*client);
            let mut compacted = Vec::with_capacity(structs.len());
            for mut run in structs.drain(..) {
                let mut at = deleted.partition_point(|range| range.end <= run.clock);
                while let Some(range) = deleted.get(at).filter(|range| range.start < run.end()) {
                    if range.start > run.clock {
                        let rest = run.split(*client, range.start);
                        compacted.push(std::mem::replace(&mut run, rest));
                    }
                    let rest = (range.end < run.end()).then(|| run.split(*client, range.end));
                    if matches!(run.content, Content::Text(_)) {
                        run.content = Content::Deleted;
                    }
                    match rest {
                        Some(rest) => compacted.push(std::mem::replace(&mut run, rest)),
                        None => break,
                    }
                    at += 1;
                }
                compacted.push(run);
            }
            *structs = compacted;
        }
        self.tidy();
    }

    /// Encodes the update.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        number(&mut out, self.structs.len() as u64);
        for (client, structs) in self.structs.iter().rev() {
            number(&mut out, structs.len() as u64);
            number(&mut out, *client);
            number(&mut out, structs.first().map_or(0, |run| run.clock).into());
            structs.iter().for_each(|run| write_struct(&mut out, run));
        }
        number(&mut out, self.deleted.clients().len() as u64);
        for (client, ranges) in self.deleted.clients() {
            number(&mut out, client);
            number(&mut out, ranges.len() as u64);
            for range in ranges {
                number(&mut out, range.start.into());
                number(&mut out, (range.end - range.start).into());
            }
        }
        out
    }

    /// Decodes an update.
    ///
    /// # Errors
    /// A message for people: what is wrong, or what is more than plain text.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut input = Reader { left: bytes };
        let mut update = Self::default();
        for _ in 0..input.number()? {
            let count = input.number()?;
            let client = input.client()?;
            let mut clock = input.clock(0)?;
            let mut structs = Vec::new();
            for _ in 0..count {
                let run = input.read_struct(clock)?;
                clock = run.end();
                structs.push(run);
            }
            if structs.is_empty() || update.structs.insert(client, structs).is_some() {
                return Err(format!("the update's part of client {client} is empty or there twice"));
            }
        }
        let mut deleted = Vec::new();
        for _ in 0..input.number()? {
            let client = input.client()?;
            for _ in 0..input.number()? {
                let start = input.clock(0)?;
                let end = input.length(start)?;
                deleted.push((client, start..end));
            }
        }
        update.deleted = deleted.into_iter().collect();
        match input.left {
            [] => Ok(update),
            left => Err(format!("{} bytes more than the update has", left.len())),
        }
    }
}

fn write_struct(out: &mut Vec<u8>, run: &Struct) {
    let kind = match run.content {
        Content::Text(_) => TEXT,
        Content::Deleted => DELETED,
        Content::Gc => {
            out.push(GC);
            return number(out, run.units.into());
        }
    };
    let flag = |id: Option<Id>, flag: u8| if id.is_some() { flag } else { 0 };
    out.push(kind | flag(run.origin, HAS_ORIGIN) | flag(run.right, HAS_RIGHT));
    for id in run.origin.into_iter().chain(run.right) {
        number(out, id.client);
        number(out, id.clock.into());
    }
    if run.origin.is_none() && run.right.is_none() {
        number(out, 1);
        string(out, ROOT);
    }
    match &run.content {
        Content::Text(text) => string(out, text),
        Content::Deleted | Content::Gc => number(out, run.units.into()),
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn string(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.left.split_first().ok_or("the update ends too early")?;
        self.left = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0_u64;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number in the update is too large".to_owned())
    }

    fn client(&mut self) -> Result<u64, String> {
        let client = self.number()?;
        if client > MAX_CLIENT {
            return Err(format!("a client id is at most {MAX_CLIENT}, found {client}"));
        }
        Ok(client)
    }

    fn clock(&mut self, from: u32) -> Result<u32, String> {
        let number = self.number()?;
        let sum = u32::try_from(number).ok().and_then(|number| from.checked_add(number));
        sum.filter(|sum| *sum <= MAX_CLOCK)
            .ok_or_else(|| format!("a client has at most {MAX_CLOCK} units, found {number} after {from}"))
    }

    /// Reads a length of at least one unit, and returns the end of what starts at `start`.
    fn length(&mut self, start: u32) -> Result<u32, String> {
        let end = self.clock(start)?;
        if end > start { Ok(end) } else { Err("a part of the update is empty".to_owned()) }
    }

    fn id(&mut self) -> Result<Id, String> {
        Ok(Id { client: self.client()?, clock: self.clock(0)? })
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (text, rest) = self.left.split_at_checked(length).ok_or("the update ends too early")?;
        self.left = rest;
        std::str::from_utf8(text).map_err(|_| "a text in the update is not UTF-8".to_owned())
    }

    fn read_struct(&mut self, clock: u32) -> Result<Struct, String> {
        let info = self.byte()?;
        if info == GC {
            let units = self.length(clock)? - clock;
            return Ok(Struct { clock, units, origin: None, right: None, content: Content::Gc });
        }
        let origin = if info & HAS_ORIGIN != 0 { Some(self.id()?) } else { None };
        let right = if info & HAS_RIGHT != 0 { Some(self.id()?) } else { None };
        if origin.is_none() && right.is_none() {
            let root = if self.number()? == 1 { self.string()? } else { "" };
            if root != ROOT || info & HAS_KEY != 0 {
                return Err(format!("expected the root type `{ROOT}` of a plain text, found `{root}`"));
            }
        }
        let (units, content) = match info & 0x1f {
            TEXT => {
                let text = self.string()?;
                let length = u32::try_from(units(text)).unwrap_or(u32::MAX);
                if length == 0 || length > MAX_CLOCK - clock {
                    return Err("a text in the update is empty or too long".to_owned());
                }
                (length, Content::Text(text.to_owned()))
            }
            DELETED => (self.length(clock)? - clock, Content::Deleted),
            SKIP => return Err("the update leaves out units of a client".to_owned()),
            kind => {
                return Err(format!(
                    "expected plain text, found content of the kind {kind} (formats, embedded objects)"
                ));
            }
        };
        Ok(Struct { clock, units, origin, right, content })
    }
}
