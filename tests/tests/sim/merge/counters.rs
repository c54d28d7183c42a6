//! Counters: additions and subtractions of every type of number, and their bounds.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Debug;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use shared_state::merge::{Counter, CounterOp, MergePolicy, Number};
use shared_state::{List, SharedState};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Shop {
    #[shared(counter)]
    stock: u64,
    #[shared(counter)]
    small: u8,
    #[shared(counter)]
    signed: i8,
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
