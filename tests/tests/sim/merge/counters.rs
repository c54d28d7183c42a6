//! Counters: additions and subtractions of every type of number, and their bounds.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use shared_state::merge::{Counter, CounterOp, MergePolicy, Number};
use shared_state::proto::authority::Verdict;
use shared_state::testing::Pair;
use shared_state::{List, SharedState, WriteError};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Shop {
    #[shared(counter)]
    stock: u64,
    #[shared(counter)]
    small: u8,
    #[shared(counter)]
    signed: i8,
    #[shared(counter, validate(range(max = 3)))]
    few: u8,
    #[shared(counter)]
    weight: f64,
    #[shared(map(counter))]
    shelves: BTreeMap<String, u32>,
    #[shared(list(key = id, nested))]
    orders: List<Order>,
    #[shared(nested)]
    till: Till,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Order {
    id: u32,
    #[shared(counter)]
    pieces: u16,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Till {
    #[shared(counter)]
    coins: u64,
}

type Handle = SharedShop<User<Shop>>;

fn two(begin: Shop) -> (World<Shop>, User<Shop>, User<Shop>, Handle, Handle) {
    let mut world = World::new(begin);
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    (world, a, b, ha, hb)
}

fn full() -> Shop {
    Shop {
        stock: 5,
        small: 250,
        signed: -100,
        few: 2,
        weight: 0.1,
        shelves: BTreeMap::from([("a".to_owned(), 9)]),
        orders: [Order { id: 1, pieces: 7 }].into_iter().collect(),
        till: Till { coins: 10 },
    }
}

fn changed(user: &User<Shop>, handle: &Handle, change: impl FnOnce(&mut Shop)) {
    use shared_state::Backend as _;
    let mut new = user.state();
    change(&mut new);
    handle.write_with(|old| Shop::diff(old, &new)).unwrap();
}

#[test]
fn g7_what_two_subtract_in_a_closure_is_all_subtracted() {
    let (mut world, a, b, ha, hb) = two(full());
    for (user, handle) in [(&a, &ha), (&b, &hb)] {
        changed(user, handle, |shop| {
            shop.stock -= 1;
            shop.signed += 127;
            *shop.shelves.get_mut("a").unwrap() -= 2;
            shop.till.coins -= 3;
        });
        handle.orders().edit(&1, |order| order.pieces -= 2).unwrap();
    }
    world.settle();
    let shop = world.state();
    assert_eq!((shop.stock, shop.shelves["a"], shop.till.coins), (3, 5, 4));
    assert_eq!((shop.signed, shop.orders[0].pieces), (127, 3));
}

#[test]
fn g7_the_methods_that_subtract_commute() {
    let (mut world, _, _, ha, hb) = two(full());
    for handle in [&ha, &hb] {
        handle.sub_stock(2).unwrap();
        handle.shelves().sub("a".into(), 1).unwrap();
        handle.shelves().sub("b".into(), 1).unwrap();
        handle.till().sub_coins(4).unwrap();
        handle.sub_small(200).unwrap();
    }
    world.settle();
    let shop = world.state();
    assert_eq!((shop.stock, shop.small, shop.till.coins), (1, 0, 2));
    assert_eq!(shop.shelves, BTreeMap::from([("a".to_owned(), 7)]), "`b` was 0 before, and is not made");
}

#[test]
fn a_set_and_a_patch_are_sets() {
    let (mut world, a, b, ha, hb) = two(full());
    ha.set_stock(4).unwrap();
    hb.set_stock(4).unwrap();
    world.settle();
    assert_eq!(world.state().stock, 4);
    let patch = || Shop::patch_updates(ShopPatch { stock: Some(3), ..Default::default() });
    a.write_all(patch());
    b.write_all(patch());
    world.settle();
    assert_eq!(world.state().stock, 3);
}

#[test]
fn an_addition_that_met_a_bound_is_undone_by_what_it_added() {
    let (mut world, a, _, ha, _) = two(full());
    ha.add_small(100).unwrap();
    world.settle();
    assert_eq!(world.state().small, 255);
    assert!(a.undo());
    world.settle();
    assert_eq!(world.state().small, 250);
    ha.sub_stock(8).unwrap();
    ha.sub_signed(100).unwrap();
    world.settle();
    assert_eq!((world.state().stock, world.state().signed), (0, -128));
    assert!(a.undo() && a.undo());
    world.settle();
    assert_eq!((world.state().stock, world.state().signed), (5, -100));
    assert!(a.redo() && a.undo());
    world.settle();
    assert_eq!(world.state().signed, -100);
}

#[test]
fn what_an_addition_really_added_is_what_it_added_in_the_rooms_order() {
    let (mut world, a, _, ha, hb) = two(full());
    hb.set_small(200).unwrap();
    world.deliver();
    a.leave();
    hb.set_small(100).unwrap();
    world.deliver();
    ha.add_small(100).unwrap();
    assert_eq!(ha.small(), 255, "on top of the 200 that it knows");
    a.come_back();
    world.settle();
    assert_eq!(world.state().small, 200);
    assert!(a.undo());
    world.settle();
    assert_eq!(world.state().small, 100);
}

#[test]
fn a_subtraction_is_undone_beneath_what_others_did() {
    let (mut world, a, _, ha, hb) = two(full());
    ha.sub_stock(2).unwrap();
    world.settle();
    hb.sub_stock(1).unwrap();
    world.settle();
    assert!(a.undo());
    world.settle();
    assert_eq!(world.state().stock, 4);
    assert!(a.redo());
    world.settle();
    assert_eq!(world.state().stock, 2);
}

/// The differences between random numbers of a type lead from one to the other, and none is a set.
fn differences_are_steps<T: Number>(of: impl Fn(&mut Rng) -> T, bounds: [T; 2]) {
    let mut rng = Rng::with_seed(7);
    for _ in 0..20_000 {
        let mut draw = || if rng.u8(..4) == 0 { bounds[rng.usize(..2)] } else { of(&mut rng) };
        let (old, new) = (draw(), draw());
        let mut at = old;
        Counter::diff(&old, &new, &mut |op| {
            assert!(!matches!(op, CounterOp::Set(_)), "{old:?} to {new:?}");
            let _ = Counter::apply(&mut at, op);
        });
        assert_eq!(at, new, "from {old:?}");
    }
}

#[test]
fn a_difference_is_never_a_set_for_any_type() {
    macro_rules! integers {
        ($($method:ident $type:ident)*) => {
            $(differences_are_steps::<$type>(|rng| rng.$method(..), [$type::MIN, $type::MAX]);)*
        };
    }
    integers!(i8 i8 i16 i16 i32 i32 i64 i64 isize isize u8 u8 u16 u16 u32 u32 u64 u64 usize usize);
    let float = |rng: &mut Rng| {
        let bits = f64::from_bits(rng.u64(..));
        if bits.is_finite() && rng.bool() { bits } else { f64::from(rng.i32(..)) / 10.0 }
    };
    differences_are_steps::<f64>(float, [f64::MIN, f64::MAX]);
    let float = |rng: &mut Rng| {
        let bits = f32::from_bits(rng.u32(..));
        if bits.is_finite() { bits } else { 0.3 }
    };
    differences_are_steps::<f32>(float, [f32::MIN, f32::MAX]);
}

#[test]
fn g1_an_untyped_room_subtracts_as_a_typed_one_does() {
    let mut world = World::untyped(full());
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    for handle in [&ha, &hb] {
        handle.sub_stock(2).unwrap();
        handle.sub_small(200).unwrap();
        handle.shelves().sub("a".into(), 4).unwrap();
        handle.orders().edit(&1, |order| order.pieces -= 3).unwrap();
        handle.sub_weight(0.5).unwrap();
    }
    world.settle();
    let shop = a.state();
    assert_eq!((shop.stock, shop.small, shop.shelves["a"], shop.orders[0].pieces), (1, 0, 1, 1));
    assert_eq!(shop.weight.to_bits(), (0.1_f64 - 0.5 - 0.5).to_bits());
    // The room has the values itself: somebody who joins sees them, also after a restart.
    for snapshot in [false, true] {
        if snapshot {
            world.snapshot();
        }
        world.restart();
        [&a, &b].into_iter().for_each(User::come_back);
        assert_eq!(world.join().state(), shop, "{snapshot}");
    }
}

/// How a write of one, made without a connection, is answered after `others` has written.
fn answered(
    begin: &Shop,
    write: impl Fn(&Handle),
    others: impl Fn(&Handle),
) -> (Result<u64, (String, Option<String>)>, Shop) {
    let (mut world, a, b, ha, hb) = two(begin.clone());
    a.leave();
    write(&ha);
    others(&hb);
    world.settle();
    a.come_back();
    world.settle();
    assert_eq!(a.state(), world.state());
    assert_eq!(b.state(), world.state());
    let [(_, answer)] = &a.answers()[..] else { panic!("one answer") };
    let answer = answer
        .clone()
        .map_err(|rejected| (rejected.code().as_str().to_owned(), rejected.field().map(str::to_owned)));
    (answer, world.state())
}

#[test]
fn g15_an_addition_that_finds_the_counter_at_its_bound_is_refused() {
    type Work = fn(&Handle);
    let cases: &[(Work, Work, &str)] = &[
        (|h| drop(h.add_small(1)), |h| drop(h.set_small(255)), "small"),
        (|h| drop(h.sub_stock(2)), |h| drop(h.sub_stock(5)), "stock"),
        (|h| drop(h.add_signed(-3)), |h| drop(h.set_signed(i8::MIN)), "signed"),
        (|h| drop(h.add_weight(1.0)), |h| drop(h.set_weight(f64::MAX)), "weight"),
        (|h| drop(h.shelves().sub("a".into(), 1)), |h| drop(h.shelves().sub("a".into(), 9)), "shelves/a"),
        // An entry that was removed begins with 0.
        (|h| drop(h.shelves().sub("a".into(), 1)), |h| drop(h.shelves().remove(&"a".into())), "shelves/a"),
        (|h| drop(h.till().sub_coins(1)), |h| drop(h.till().set_coins(0)), "till/coins"),
        (
            |h| drop(h.orders().edit(&1, |order| order.pieces -= 1)),
            |h| drop(h.orders().edit(&1, |order| order.pieces = 0)),
            "orders/1/pieces",
        ),
    ];
    for (write, others, path) in cases {
        let (answer, shop) = answered(&full(), write, others);
        assert_eq!(answer, Err(("at_bound".to_owned(), Some((*path).to_owned()))), "{path}");
        let (_, without) = answered(&full(), |h| drop(h.add_weight(0.5)), others);
        assert_eq!(Shop { weight: 0.0, ..shop }, Shop { weight: 0.0, ..without }, "{path}");
    }
}

#[test]
fn g15_an_addition_that_meets_the_bound_is_accepted_and_one_of_nothing_is_too() {
    let (answer, shop) = answered(&full(), |h| drop(h.add_small(5)), |h| drop(h.set_small(254)));
    assert_eq!((answer, shop.small), (Ok(2), 255));
    let (answer, shop) = answered(&full(), |h| drop(h.sub_stock(5)), |h| drop(h.sub_stock(3)));
    assert_eq!((answer, shop.stock), (Ok(2), 0));
    // A float that is too large for a small number to change it is rounded, and not at its bound.
    let (answer, shop) = answered(&full(), |h| drop(h.add_weight(1.0)), |h| drop(h.set_weight(1e300)));
    assert_eq!((answer, shop.weight.to_bits()), (Ok(2), 1e300_f64.to_bits()));
}

#[test]
fn g15_a_change_is_refused_as_a_whole_if_one_of_its_additions_finds_the_bound() {
    let write = |h: &Handle| {
        use shared_state::Backend as _;
        let update = |shop: &Shop| {
            let mut new = shop.clone();
            (new.stock, new.till.coins) = (new.stock - 1, 90);
            Shop::diff(shop, &new)
        };
        h.write_with(update).unwrap();
    };
    let (answer, shop) = answered(&full(), write, |h| drop(h.set_stock(0)));
    assert_eq!(answer, Err(("at_bound".to_owned(), Some("stock".to_owned()))));
    assert_eq!((shop.stock, shop.till.coins), (0, 10));
}

#[test]
fn g15_an_addition_beyond_the_range_of_a_rule_is_refused_as_invalid() {
    let (answer, shop) = answered(&full(), |h| drop(h.add_few(1)), |h| drop(h.add_few(1)));
    assert_eq!((answer, shop.few), (Err(("invalid".to_owned(), Some("few".to_owned()))), 3));
    let (_, _, _, ha, _) = two(Shop { few: 3, ..full() });
    assert!(matches!(ha.add_few(1), Err(WriteError::Invalid(_))));
}

#[test]
fn what_the_program_counts_beside_a_change_does_not_refuse_it_at_the_bound() {
    let mut pair = Pair::new(Shop { small: 254, ..full() })
        .on_change(|_| Ok(Verdict::Add(vec![Shop::SMALL.op(CounterOp::Add(1))])));
    for stock in 10..13 {
        pair.client(0).set_stock(stock).unwrap();
        pair.sync();
        let shop = pair.client(1).state();
        assert_eq!((shop.small, shop.stock), (255, stock));
    }
    let full = pair.server().add_small(1).unwrap_err();
    assert!(matches!(full, WriteError::AtBound { path } if &*path == "small"));
}

#[test]
fn an_addition_at_a_bound_that_is_known_has_no_effect_and_the_rest_of_its_change_has() {
    use shared_state::Backend as _;
    let (mut world, a, b, ha, _) = two(Shop { small: 255, ..full() });
    let _ = b.traffic();
    ha.add_small(1).unwrap();
    ha.shelves().sub("none".into(), 1).unwrap();
    world.settle();
    assert_eq!((b.traffic(), world.state()), ((0, 0), Shop { small: 255, ..full() }));
    ha.write_with(|_| vec![Shop::SMALL.op(CounterOp::Add(1)), Shop::STOCK.op(CounterOp::Add(1))]).unwrap();
    world.settle();
    assert_eq!(world.state().stock, 6);
    assert!(a.answers().iter().all(|(_, answer)| answer.is_ok()));
    assert!(a.undo() && !a.undo());
    // What is pending may be refused: then there is room.
    a.leave();
    ha.set_small(3).unwrap();
    ha.set_small(255).unwrap();
    ha.add_small(1).unwrap();
    a.come_back();
    world.settle();
    assert_eq!(world.state().small, 255);
}

#[test]
fn g14_an_undo_that_finds_nothing_to_take_away_goes_on_to_the_write_before() {
    let (mut world, a, _, ha, hb) = two(full());
    ha.set_signed(7).unwrap();
    ha.add_stock(4).unwrap();
    world.settle();
    hb.sub_stock(9).unwrap();
    world.settle();
    assert!(a.undo());
    world.settle();
    assert_eq!((world.state().stock, world.state().signed), (0, -100));
    // In flight: the server refuses it, and the next one finds nothing any more.
    ha.add_stock(4).unwrap();
    world.settle();
    let _ = a.answers();
    a.leave();
    assert!(a.undo());
    hb.sub_stock(4).unwrap();
    world.settle();
    a.come_back();
    world.settle();
    assert_eq!(a.answers()[0].1.as_ref().unwrap_err().code().as_str(), "at_bound");
    assert_eq!((a.state(), a.state().stock), (world.state(), 0));
    assert!(!a.undo());
}

#[test]
fn g15_an_untyped_room_refuses_it_too() {
    let mut world = World::untyped(full());
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    ha.add_stock(1).unwrap();
    ha.shelves().add("a".into(), 1).unwrap();
    ha.till().add_coins(1).unwrap();
    ha.add_weight(1.0).unwrap();
    world.settle();
    let _ = a.answers();
    a.leave();
    ha.sub_stock(2).unwrap();
    ha.shelves().sub("a".into(), 1).unwrap();
    ha.till().sub_coins(1).unwrap();
    ha.add_weight(1.0).unwrap();
    hb.set_stock(0).unwrap();
    hb.shelves().sub("a".into(), 10).unwrap();
    hb.till().set_coins(0).unwrap();
    hb.set_weight(f64::MAX).unwrap();
    world.settle();
    a.come_back();
    world.settle();
    let codes: Vec<_> =
        a.answers().into_iter().map(|(_, answer)| answer.map_err(|rejected| rejected.code())).collect();
    assert!(codes.iter().all(|code| code.is_err_and(|code| code.as_str() == "at_bound")), "{codes:?}");
    assert_eq!((codes.len(), a.state()), (4, b.state()));
    world.restart();
    [&a, &b].into_iter().for_each(User::come_back);
    world.settle();
    assert_eq!(a.state(), b.state());
}
