//! Legacy clients among typed ones, from seeds: bursts, slow and lost connections, refused writes, crashes of
//! the server, and a client that lies about versions. At rest every client must see what a client that joins
//! then sees.
//!
//! `SHARED_STATE_SEED` runs one seed alone, `SHARED_STATE_SEEDS` sets the number of seeds.

#![allow(clippy::unwrap_used, missing_docs)]

mod page;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use page::sample;
use world::{Mind, Report, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seeds on all cores.
fn seeds(count: u64, run: impl Fn(u64) -> Report + Sync) -> Report {
    let range = match number("SHARED_STATE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SHARED_STATE_SEEDS").unwrap_or(count),
    };
    let next = AtomicU64::new(range.start);
    let work = || {
        let mut total = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end {
                return total;
            }
            total += run(seed);
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut total = Report::default();
        for thread in threads {
            total += thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        total
    })
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
    let report = seeds(60, mixed(true));
    println!("{report:?}");
    assert!(report.versions > 0 && report.refused > 0, "{report:?}");
}

#[test]
fn g1_g2_hooks_and_typed_clients_in_an_untyped_room_end_equal() {
    let report = seeds(60, mixed(false));
    println!("{report:?}");
    assert!(report.versions > 0 && report.lost > 0, "{report:?}");
}

#[test]
fn a_hook_that_is_alone_is_told_nothing_but_the_state_it_asks_for() {
    for typed in [true, false] {
        seeds(30, |seed| {
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
