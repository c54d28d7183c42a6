//! What an app adds to the simulation: its rules, operations and invariants, which fail with their name and the seed.

use serde::{Deserialize, Serialize};
use shared_state::server::{ProposedChange, RoomHooks, Verdict};
use shared_state::testing::Simulation;
use shared_state::{Author, List, SharedState};

/// A board with a limit of cards that are in work, and a number of moves that the server counts.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested), validate(length(max = 8)))]
    cards: List<Card>,
    #[shared(read_only)]
    moves: u32,
    #[shared(write = "lead")]
    limit: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u16,
    in_work: bool,
    by: String,
}

impl Board {
    fn in_work(&self) -> usize {
        self.cards.iter().filter(|card| card.in_work).count()
    }
}

struct Hooks;

impl RoomHooks<Board> for Hooks {
    fn on_change(&self, change: &ProposedChange<'_, Board>) -> Result<Verdict<Board>, String> {
        if change.after.in_work() > 2 {
            return Err("two cards are in work".into());
        }
        let taken = change.after.cards.iter().filter(|card| card.in_work && card.by == change.author.name());
        if taken.count() > 1 {
            // One card at a time: only the attempt is counted.
            let counted = Board { moves: change.before.moves.saturating_add(1), ..change.before.clone() };
            return Ok(Verdict::Replace(Board::diff(change.before, &counted)));
        }
        Ok(Verdict::amended(change, |board| board.moves = board.moves.saturating_add(1)))
    }
}

fn board() -> Simulation<Board> {
    Simulation::new(Board::default())
        .hooks(Hooks)
        .operation("add a card", |board, rng| {
            let id = rng.u16(..);
            board.cards().push(Card { id, ..Card::default() })
        })
        .operation("take a card", |board, rng| {
            let (me, cards) = (board.name(), board.state().cards);
            let Some(card) = rng.choice(cards.iter()) else { return Ok(()) };
            board.cards().edit(&card.id, |card| (card.in_work, card.by) = (true, me.clone()))
        })
}

#[test]
fn rules_operations_and_invariants_of_an_app_hold() {
    let report = board()
        .invariant("two cards are in work", |board: &Board| board.in_work() <= 2)
        .invariant("few cards", |board: &Board| match board.cards.len() {
            0..=8 => Ok(()),
            many => Err(format!("{many} cards")),
        })
        .seeds(40);
    assert!(report.operations > 100 && report.acknowledged > 100, "{report:?}");
}

#[test]
fn operations_alone_make_states_by_the_rules() {
    let report = board()
        .only_operations()
        .clients(4)
        .invariant("each card in work has somebody", |board: &Board| {
            board.cards.iter().all(|card| !card.in_work || !card.by.is_empty())
        })
        // A hostile client is a client too: it may leave out the name.
        .rules(|_: &Board, after: &Board, _: &Author| {
            match after.cards.iter().all(|card| !card.in_work || !card.by.is_empty()) {
                true => Ok(()),
                false => Err("a card in work has somebody"),
            }
        })
        .seeds(40);
    assert!(report.operations > 200, "{report:?}");
}

#[test]
fn clients_have_the_roles_of_the_apps_users() {
    let report = board()
        .roles(&[&["lead"], &["guest", "late"], &[]])
        .operation("look", |board, _| {
            let has = ["lead", "guest", "late"].map(|role| board.has_role(role));
            assert!(
                matches!(has, [true, false, false] | [false, true, true] | [false, false, false]),
                "{has:?}"
            );
            Ok(())
        })
        .seeds(5);
    assert!(report.operations > 0, "{report:?}");
}

#[test]
fn a_broken_invariant_is_reported_with_its_name_and_seed() {
    let simulation = board().invariant("one card is in work", |board: &Board| board.in_work() < 2);
    let failure = (0..100).find_map(|seed| simulation.run(seed).err()).expect("two cards may be in work");
    let text = failure.to_string();
    assert!(text.starts_with(&format!("seed {}, step {}: ", failure.seed, failure.step)), "{text}");
    assert!(failure.message.contains("the invariant `one card is in work` does not hold"), "{text}");
    let again = simulation.run(failure.seed).expect_err("the same seed");
    assert_eq!(again, failure);
}

#[test]
fn an_invariant_that_does_not_hold_at_first_is_reported() {
    let failure = board().invariant("there is a card", |board: &Board| !board.cards.is_empty()).run(0);
    let failure = failure.expect_err("there is none");
    assert!(failure.step == 0 && failure.message.contains("at version 0"), "{failure}");
}

#[test]
fn a_panic_of_an_operation_or_a_rule_is_reported_with_its_seed() {
    let simulation = board().operation("break", |board, _| {
        assert!(board.state().moves < 3, "four moves");
        Ok(())
    });
    let failure = (0..100).find_map(|seed| simulation.run(seed).err()).expect("there are more moves");
    assert!(failure.message.contains("the operation `break`: it panicked: four moves"), "{failure}");

    let simulation = Simulation::new(Board::default()).rules(|_: &Board, after: &Board, _: &Author| {
        assert!(after.cards.len() < 2, "a second card");
        Ok::<_, String>(())
    });
    let failure = (0..100).find_map(|seed| simulation.run(seed).err()).expect("there are more cards");
    assert!(failure.message.contains("it panicked: a second card"), "{failure}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let simulation = board();
    for seed in 0..5 {
        assert_eq!(simulation.run(seed).ok(), simulation.run(seed).ok(), "{seed}");
    }
}
