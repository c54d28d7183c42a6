//! The simulation finds the faults of merge policies that break a law.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared_state::SharedState;
use shared_state::merge::{FieldPath, FieldPathBuf, MergePolicy, Overlap, UpdateError, Versions};
use shared_state::testing::Simulation;

/// How the policy below is wrong.
const NOT: u8 = 0;
const OVERLAP: u8 = 1;
const INVERSE: u8 = 2;
const DELTA: u8 = 3;
const REPEATED: u8 = 4;

/// A number that is doubled or set. `FAULT` says which law it breaks.
#[derive(Debug)]
struct Doubled<const FAULT: u8>;

#[derive(Clone, Debug, PartialEq)]
enum Op {
    Set(u32),
    Add(u32),
}

impl<const FAULT: u8> MergePolicy<u32> for Doubled<FAULT> {
    type Op = Op;

    const NAME: &'static str = "doubled";

    fn set(value: u32) -> Op {
        Op::Set(value)
    }

    fn into_set(op: Op) -> Result<u32, Op> {
        match op {
            Op::Set(value) => Ok(value),
            op @ Op::Add(_) => Err(op),
        }
    }

    fn apply(value: &mut u32, op: Op) -> Op {
        let before = *value;
        *value = match op {
            Op::Set(to) => to,
            Op::Add(by) => before.wrapping_add(by),
        };
        Op::Set(if FAULT == INVERSE { before.wrapping_add(1) } else { before })
    }

    fn diff(old: &u32, new: &u32, each: &mut dyn FnMut(Op)) {
        if old != new {
            each(Op::Add(new.wrapping_sub(*old)));
        }
    }

    fn decompose(value: &u32, op: &Op) -> Option<Vec<Op>> {
        let Op::Set(to) = op else { return None };
        (to % 2 == 0).then(|| {
            let by = to.wrapping_sub(*value);
            if FAULT == REPEATED { vec![Op::Add(by), Op::Add(by)] } else { vec![Op::Add(by)] }
        })
    }

    fn overlap(pending: &Op, remote: &Op) -> Overlap {
        match (pending, remote) {
            _ if FAULT == OVERLAP => Overlap::Shadowed,
            (Op::Set(_), _) => Overlap::Shadowed,
            (Op::Add(_), Op::Add(_)) => Overlap::Commutes,
            (Op::Add(_), Op::Set(_)) => Overlap::Conflicts,
        }
    }

    fn undo(value: &u32, op: &Op, inverse: &Op) -> Option<Op> {
        match op {
            Op::Add(by) => Some(Op::Add(by.wrapping_neg())),
            Op::Set(to) => (value == to).then(|| inverse.clone()),
        }
    }

    fn delta(value: &u32, versions: &Versions, since: u64, each: &mut dyn FnMut(Op)) {
        if FAULT != DELTA && versions.changed() > since {
            each(Op::Set(*value));
        }
    }

    fn address(op: &Op, _path: &mut FieldPathBuf) -> Option<&'static str> {
        matches!(op, Op::Add(_)).then_some("add")
    }

    fn encode<S: Serializer>(op: &Op, serializer: S) -> Result<S::Ok, S::Error> {
        let (Op::Set(value) | Op::Add(value)) = op;
        value.serialize(serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(
        _path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Op, UpdateError> {
        let make = if op == Some("add") { Op::Add } else { Op::Set };
        u32::deserialize(value).map(make).map_err(|error| UpdateError::wrong_type(&error))
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Counted<const FAULT: u8> {
    #[shared(merge = Doubled<FAULT>)]
    count: u32,
    title: String,
}

fn finds<const FAULT: u8>() -> Option<String> {
    let simulation = Simulation::new(Counted::<FAULT>::default());
    (0..100).find_map(|seed| simulation.run(seed).err()).map(|failure| failure.message)
}

#[test]
fn a_policy_that_keeps_the_laws_passes_and_each_broken_law_is_found() {
    assert_eq!(finds::<NOT>(), None);
    for (fault, found) in [
        ("overlap", finds::<OVERLAP>()),
        ("inverse", finds::<INVERSE>()),
        ("delta", finds::<DELTA>()),
        ("decompose", finds::<REPEATED>()),
    ] {
        let found = found.unwrap_or_else(|| panic!("a wrong `{fault}` is not found"));
        assert!(found.starts_with('G'), "{fault}: {found}");
    }
}
