//! A custom merge policy, from the struct to the wire and back: a register that only a greater value changes.
#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shared_state::SharedState;
use shared_state::merge::{FieldPath, FieldPathBuf, UpdateError, Value};
use shared_state::merge::{MergePolicy, Overlap, Versions};
use shared_state::proto::{WireUpdate, decode_update, encode_update};

/// The greatest value that was offered.
struct Greatest;

#[derive(Clone, Debug, PartialEq)]
enum GreatestOp<T> {
    Set(T),
    Offer(T),
}

impl<T: Value + Ord> MergePolicy<T> for Greatest {
    type Op = GreatestOp<T>;

    const NAME: &'static str = "greatest";

    fn set(value: T) -> GreatestOp<T> {
        GreatestOp::Set(value)
    }

    fn into_set(op: GreatestOp<T>) -> Result<T, GreatestOp<T>> {
        match op {
            GreatestOp::Set(value) => Ok(value),
            GreatestOp::Offer(_) => Err(op),
        }
    }

    fn apply(value: &mut T, op: GreatestOp<T>) -> GreatestOp<T> {
        match op {
            GreatestOp::Offer(offer) if offer <= *value => GreatestOp::Set(value.clone()),
            GreatestOp::Offer(new) | GreatestOp::Set(new) => GreatestOp::Set(std::mem::replace(value, new)),
        }
    }

    fn diff(old: &T, new: &T, each: &mut dyn FnMut(GreatestOp<T>)) {
        match new.cmp(old) {
            std::cmp::Ordering::Less => each(GreatestOp::Set(new.clone())),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => each(GreatestOp::Offer(new.clone())),
        }
    }

    fn overlap(pending: &GreatestOp<T>, remote: &GreatestOp<T>) -> Overlap {
        match (pending, remote) {
            (GreatestOp::Set(_), _) => Overlap::Shadowed,
            (GreatestOp::Offer(_), GreatestOp::Offer(_)) => Overlap::Commutes,
            (GreatestOp::Offer(_), GreatestOp::Set(_)) => Overlap::Conflicts,
        }
    }

    fn coalesce(earlier: &mut GreatestOp<T>, later: &GreatestOp<T>) -> bool {
        match (&mut *earlier, later) {
            (_, GreatestOp::Set(_)) => earlier.clone_from(later),
            (GreatestOp::Set(old) | GreatestOp::Offer(old), GreatestOp::Offer(new)) => {
                old.clone_from(&new.max(old).clone());
            }
        }
        true
    }

    fn undo(value: &T, op: &GreatestOp<T>, inverse: &GreatestOp<T>) -> Option<GreatestOp<T>> {
        let (GreatestOp::Set(to) | GreatestOp::Offer(to)) = op;
        (value == to).then(|| inverse.clone())
    }

    fn delta(value: &T, track: &Versions, since: u64, each: &mut dyn FnMut(GreatestOp<T>)) {
        if track.changed() > since {
            each(GreatestOp::Set(value.clone()));
        }
    }

    fn address(op: &GreatestOp<T>, _path: &mut FieldPathBuf) -> Option<&'static str> {
        matches!(op, GreatestOp::Offer(_)).then_some("offer")
    }

    fn encode<S: Serializer>(op: &GreatestOp<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            GreatestOp::Set(value) | GreatestOp::Offer(value) => value.serialize(serializer),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        mut path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<GreatestOp<T>, UpdateError> {
        if let Some(part) = path.next_segment() {
            return Err(UpdateError::no_parts("greatest", &part));
        }
        let make = match op {
            None => GreatestOp::Set,
            Some("offer") => GreatestOp::Offer,
            Some(op) => return Err(UpdateError::unknown_op("greatest", op)),
        };
        T::deserialize(value).map(make).map_err(|error| UpdateError::wrong_type(&error))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Game {
    #[shared(merge = Greatest, throttle = "1s", validate(range(max = 1000)))]
    high_score: u32,
    #[shared(merge = self::Greatest)]
    champion: Option<String>,
    round: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Auction<T: Ord> {
    #[shared(merge = Greatest)]
    bid: T,
    #[shared(nested)]
    game: Game,
}

fn travelled<S: SharedState>(update: &S::Update) -> (String, S::Update) {
    let text = encode_update::<S>(update).unwrap();
    let wire: WireUpdate<'_> = serde_json::from_str(text.as_str()).unwrap();
    (text.as_str().to_owned(), decode_update::<S>(&wire).unwrap())
}

#[test]
fn the_operations_of_an_own_policy_travel_and_converge() {
    let offers = [30, 10, 20].map(|score| Game::HIGH_SCORE.op(GreatestOp::Offer(score)));
    let (text, back) = travelled::<Game>(&offers[0]);
    assert_eq!(text, r#"{"key":"high_score","op":"offer","value":30}"#);
    assert_eq!(back, offers[0]);
    let mut game = Game::default();
    let undo: Vec<_> = offers.into_iter().map(|offer| game.apply(offer)).collect();
    assert_eq!(game.high_score, 30, "whatever the order");
    undo.into_iter().rev().for_each(|undo| drop(game.apply(undo)));
    assert_eq!(game, Game::default());
}

#[test]
fn an_own_policy_is_asked_wherever_a_built_in_one_is() {
    let game = Game { high_score: 7, champion: Some("Ada".into()), round: 1 };
    let updates = Game::diff(&Game::default(), &game);
    assert_eq!(updates[0], GameUpdate::HighScore(GreatestOp::Offer(7)));
    let mut other = Game::default();
    updates.into_iter().for_each(|update| drop(other.apply(travelled::<Game>(&update).1)));
    assert_eq!(other, game);

    let patch = GamePatch::new().high_score(3);
    assert_eq!(Game::patch_updates(patch), [GameUpdate::HighScore(GreatestOp::Set(3))]);
    assert_eq!(Game::FIELDS[0].policy, "greatest");
    let offer = |score| Game::HIGH_SCORE.op(GreatestOp::Offer(score));
    let mut folded = offer(5);
    assert!(Game::coalesce(&mut folded, &offer(4)));
    assert_eq!(folded, offer(5));
    assert_eq!(Game::overlap(&offer(5), &offer(6)), Overlap::Commutes);
    assert_eq!(Game::overlap(&Game::HIGH_SCORE.set(5), &offer(6)), Overlap::Shadowed);
    assert_eq!(Game::timing(&offer(1)), shared_state::schema::Timing::throttle(1000));
    let mut broken = game;
    let touched = offer(2000);
    broken.apply(touched.clone());
    assert_eq!(broken.check(&touched).unwrap_err().rule, "range");

    let mut track = Versions::default();
    Game::record(&mut track, &touched, 4);
    let mut delta = Vec::new();
    broken.delta(&track, 3, &mut delta);
    assert_eq!(delta, [Game::HIGH_SCORE.set(2000)]);
}

#[test]
fn an_own_policy_works_in_a_generic_struct() {
    let mut auction = Auction { bid: String::from("b"), game: Game::default() };
    let (_, offer) = travelled::<Auction<String>>(&AuctionUpdate::Bid(GreatestOp::Offer("a".into())));
    auction.apply(offer);
    assert_eq!(auction.bid, "b");
}
