//! One change that waits for its answer, and what it is made of.

use crate::core::transfer::{self, ItemMove};
use crate::core::{EncodedUpdate, FieldId, SharedState, WriteError, canonical_update};
use crate::proto::{Frame, client};
use crate::replica::transact::Read;

/// Identifies a write until it is answered. Writes that were folded into one change share an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub(super) u64);

/// An update in both forms. The typed form was decoded from the encoded one, so this client sees exactly what
/// the other clients will see.
pub(super) struct PendingUpdate<S: SharedState> {
    pub(super) typed: S::Update,
    pub(super) encoded: EncodedUpdate,
    /// What the server makes of it, if it was sent, and somebody has moved the item that it changes to another list.
    /// It is sent again as it was.
    pub(super) forwarded: Option<S::Update>,
    /// Whether it could be applied when the view was last rebuilt. It could not if what it changes was
    /// removed with a refused change or with a lost history. Such an update will be refused, so nothing is
    /// folded into it.
    pub(super) applies: bool,
}

impl<S: SharedState> PendingUpdate<S> {
    /// Encodes an update and reads it back.
    ///
    /// # Errors
    /// A value has no JSON form.
    pub(super) fn new(update: &S::Update) -> Result<Self, WriteError> {
        let (typed, encoded) = canonical_update::<S>(update).map_err(WriteError::Unsendable)?;
        Ok(Self { typed, encoded, forwarded: None, applies: true })
    }

    /// The update as the view shows it.
    pub(super) fn shown(&self) -> &S::Update {
        self.forwarded.as_ref().unwrap_or(&self.typed)
    }

    pub(super) fn field(&self) -> FieldId {
        S::field(self.shown())
    }

    /// Takes the form `update` from now on. If it was sent, only in the view.
    fn become_one(&mut self, update: S::Update, was_sent: bool) {
        if was_sent {
            self.forwarded = Some(update);
        } else if let Ok(new) = Self::new(&update) {
            *self = Self { applies: self.applies, ..new };
        }
    }

    /// Applies the update to the view, and records whether it still can be applied there. Returns its inverse.
    pub(super) fn put_on(&mut self, view: &mut S) -> S::Update {
        self.applies = view.check_op(self.shown()).is_ok();
        view.apply(self.shown().clone())
    }
}

/// How far somebody else's move of an item has changed what is pending.
pub(super) struct Forwarding<S: SharedState> {
    /// The fields that have to be shown again.
    pub(super) fields: Vec<FieldId>,
    /// The first own change that puts another item at the former path. It and the later ones mean that one.
    pub(super) until: Option<WriteId>,
    /// The sets that leave out the item: the change, the index there, what it was and what it is.
    pub(super) sets: Vec<(WriteId, usize, S::Update, S::Update)>,
    /// The item was moved by this client itself meanwhile.
    moved: bool,
}

impl<S: SharedState> Forwarding<S> {
    pub(super) fn new() -> Self {
        Self { fields: Vec::new(), until: None, sets: Vec::new(), moved: false }
    }

    /// Forwards the updates of a change. `state` is any that has what is around the item; it is as before when this
    /// returns.
    pub(super) fn apply(
        &mut self,
        item: &ItemMove,
        state: &mut S,
        (id, updates): (WriteId, &mut [PendingUpdate<S>]),
        was_sent: bool,
    ) {
        let former = item.reversed();
        for (index, update) in updates.iter_mut().enumerate() {
            if self.until.is_some() {
                return;
            }
            let shown = update.shown();
            if former.is_insert::<S>(shown) {
                self.until = Some(id);
                return;
            }
            let own = transfer::move_of::<S>(shown).is_some_and(|own| own.from == item.from);
            let forwarded = transfer::forwarded::<S>(shown, item);
            let without = if !self.moved && transfer::sets_around::<S>(shown, &item.from) {
                let without = transfer::set_without(state, shown, &[&*item.from]);
                self.sets.extend(without.clone().map(|without| (id, index, shown.clone(), without)));
                without
            } else {
                None
            };
            self.moved |= own;
            if let Some(new) = forwarded.or(without) {
                self.fields.push(update.field());
                update.become_one(new, was_sent);
                self.fields.push(update.field());
            }
        }
    }
}

/// The bytes of some updates on the wire.
pub(super) fn bytes_of<S: SharedState>(updates: &[PendingUpdate<S>]) -> usize {
    updates.iter().map(|update| update.encoded.as_str().len()).sum()
}

/// What a transaction has read.
pub(super) struct Reads {
    pub(super) all: Vec<Read>,
    /// The path of something that was read and has changed since, before the transaction was sent.
    pub(super) stale: Option<Box<str>>,
}

impl Reads {
    /// The fields that were read, or that contain the entries that were.
    pub(super) fn fields(&self) -> impl Iterator<Item = FieldId> {
        self.all.iter().map(|read| read.field)
    }
}

/// What a change takes back, which is only right as long as nobody else has changed it.
pub(super) struct Guard {
    /// The server refuses the change with `conflict` if somebody has changed one of these since; what there is to
    /// take back is then looked up again.
    pub(super) parts: Vec<Read>,
    /// All fields in which the change may take something back.
    pub(super) fields: Vec<FieldId>,
}

impl Guard {
    /// Names whole fields instead of their parts, which is shorter. What others write elsewhere in them counts too then.
    pub(super) fn widen<S: SharedState>(&mut self) {
        self.parts =
            distinct(self.parts.iter().map(|part| part.field)).into_iter().map(Read::field::<S>).collect();
    }
}

/// One change that waits for its answer.
pub(super) struct Change<S: SharedState> {
    pub(super) id: WriteId,
    pub(super) updates: Vec<PendingUpdate<S>>,
    pub(super) reads: Option<Reads>,
    /// What it takes back, if somebody else may be faster. `None` until it is sent.
    pub(super) guard: Option<Guard>,
    /// `None` if it was never sent.
    pub(super) sent: Option<Sent>,
}

/// What a change was first sent with.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    /// Its sequence number.
    pub(super) seq: u64,
    /// The version of the confirmed state at that time.
    pub(super) base: u64,
}

impl<S: SharedState> Change<S> {
    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.updates)
    }

    /// The frame that sends it.
    pub(super) fn frame(&self, room: &str, Sent { seq, base }: Sent) -> Frame {
        let updates = self.updates.iter().map(|update| update.encoded.as_str());
        let reads: Option<Vec<&str>> = self.unchanged().map(|reads| reads.map(|read| &*read.path).collect());
        client::change(room, seq, base, self.sent.is_some(), updates, reads.as_deref())
    }

    /// What has to be unchanged when the server decides about it.
    pub(super) fn unchanged(&self) -> Option<impl Iterator<Item = &Read>> {
        let reads = self.reads.iter().flat_map(|reads| &reads.all);
        let guarded = self.guard.iter().flat_map(|guard| &guard.parts);
        (self.reads.is_some() || self.guard.is_some()).then(|| reads.chain(guarded))
    }

    /// The moves from list to list that it makes in the view, each with its index.
    pub(super) fn moves(&self) -> Vec<(usize, ItemMove)> {
        let pairs = self.updates.windows(2).enumerate();
        let made = pairs.filter(|(_, pair)| pair.iter().all(|update| update.applies));
        made.filter_map(|(at, pair)| Some((at, transfer::move_by::<S>(pair[0].shown(), pair[1].shown())?)))
            .collect()
    }

    pub(super) fn touches(&self, field: FieldId) -> bool {
        self.updates.iter().any(|update| update.field() == field)
    }

    /// Whether it touches or reads a field.
    pub(super) fn depends_on(&self, field: FieldId) -> bool {
        self.touches(field)
            || self.reads.as_ref().is_some_and(|reads| reads.fields().any(|read| read == field))
    }

    /// The fields of its updates, each once.
    pub(super) fn fields(&self) -> Vec<FieldId> {
        let mut fields = Vec::with_capacity(self.updates.len());
        for field in self.updates.iter().map(PendingUpdate::field) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        fields
    }

    /// The path of something that it has read and that has changed since.
    pub(super) fn stale(&self) -> Option<&str> {
        self.reads.as_ref()?.stale.as_deref()
    }
}

/// Fields, each once.
pub(super) fn distinct(fields: impl Iterator<Item = FieldId>) -> Vec<FieldId> {
    let mut fields: Vec<FieldId> = fields.collect();
    fields.sort_unstable();
    fields.dedup();
    fields
}
