//! Legacy clients among typed ones, from seeds: bursts, slow and lost connections, refused writes, crashes of
//! the server, and a client that lies about versions. At rest every client must see what a client that joins
//! then sees.
//!
//! `SHARED_STATE_SEED` runs one seed alone, `SHARED_STATE_SEEDS` sets the number of seeds.

#![allow(clippy::unwrap_used, missing_docs)]

mod page;
mod world;

use shared_state_tests::seeds;

use page::sample;
use world::{Mind, Report, World};

fn total(runs: Vec<Report>) -> Report {
    let mut total = Report::default();
    runs.into_iter().for_each(|report| total += report);
    total
}

fn mixed(typed: bool) -> impl Fn(u64) -> Report + Sync {
    move |seed| {
        let mut world = World::new(seed, 3, 2, typed);
        for _ in 0..400 {
            world.step();
        }
        world.finish();
        world.report
    }
}

#[test]
fn g1_g2_hooks_and_typed_clients_in_a_typed_room_end_equal() {
    let report = total(seeds::run(60, mixed(true)));
    println!("{report:?}");
    assert!(report.versions > 0 && report.refused > 0, "{report:?}");
}

#[test]
fn g1_g2_hooks_and_typed_clients_in_an_untyped_room_end_equal() {
    let report = total(seeds::run(60, mixed(false)));
    println!("{report:?}");
    assert!(report.versions > 0 && report.lost > 0, "{report:?}");
}

#[test]
fn a_hook_that_is_alone_is_told_nothing_but_the_state_it_asks_for() {
    for typed in [true, false] {
        seeds::run(30, |seed| {
            let mut world = World::new(seed, 1, 0, typed);
            world.calm();
            let asked = world.users[0].told;
            assert_eq!(asked, u64::from(typed), "seed {seed}");
            for _ in 0..300 {
                match world.rng.u8(..4) {
                    0 => {
                        for _ in 0..world.rng.usize(..40) {
                            let (key, value) = sample(&mut world.rng, false);
                            let Mind::Hook(hook) = &mut world.users[0].mind else { unreachable!() };
                            hook.set(&key, value);
                        }
                        world.settle();
                    }
                    1 => world.finish_append(),
                    2 => world.now += world.rng.u64(..10),
                    _ => (0..world.rng.usize(..50)).for_each(|_| world.deliver_up(0)),
                }
            }
            world.calm();
            assert_eq!(world.users[0].told, asked, "seed {seed}: {:?}", world.trace);
            world.finish();
            world.report
        });
    }
}
