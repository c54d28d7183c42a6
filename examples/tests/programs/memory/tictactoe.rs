//! The game: seats and moves by its rules, which the server checks for every client.

use shared_state::testing::{Pair, PairClient, Simulation};
use shared_state_examples::tictactoe::{Action, Game, Mark, Move, Outcome, Player, SharedGame, rules};

fn player(name: &str) -> Player {
    Player { id: name.to_owned(), name: name.to_owned() }
}

fn play(mark: Mark, cell: u8) -> Action {
    Action::Play(Move { mark, cell })
}

/// Whether the room accepts an action, which is sent without a check, as a cheating player does.
fn accepts(pair: &mut Pair<Game>, who: &SharedGame<PairClient<Game>>, action: &Action) -> bool {
    let receipt = who.update(|game| game.follow(action)).expect("there are no rules on this side");
    pair.sync();
    receipt.answer().expect("answered").is_ok()
}

#[test]
fn a_game_is_played_to_its_end() {
    let mut pair = Pair::with_users(Game::default(), &["ann", "ben", "eve"]).hooks(rules);
    let [ann, ben, eve] = [0, 1, 2].map(|index| pair.client(index));
    assert!(accepts(&mut pair, &ann, &Action::Sit(Mark::X, player("ann"))));
    assert!(!accepts(&mut pair, &eve, &Action::Sit(Mark::O, player("ben"))), "for somebody else");
    assert!(accepts(&mut pair, &ben, &Action::Sit(Mark::O, player("ben"))));
    assert!(!accepts(&mut pair, &ben, &play(Mark::O, 0)), "it is the turn of x");
    assert!(!accepts(&mut pair, &eve, &play(Mark::X, 0)), "eve has no seat");
    for (who, mark, cell) in
        [(&ann, Mark::X, 0), (&ben, Mark::O, 3), (&ann, Mark::X, 1), (&ben, Mark::O, 4), (&ann, Mark::X, 2)]
    {
        assert!(accepts(&mut pair, who, &play(mark, cell)), "{mark} {cell}");
    }
    assert!(!accepts(&mut pair, &ben, &play(Mark::O, 5)), "the round is over");
    assert_eq!((eve.outcome(), eve.score().x), (Some(Outcome::Won(Mark::X)), 1));
    assert_eq!(ann.state(), ben.state());
}

#[test]
fn of_two_who_take_a_seat_at_once_one_has_it() {
    let mut pair = Pair::with_users(Game::default(), &["ann", "ben"]).hooks(rules);
    let (ann, ben) = (pair.client(0), pair.client(1));
    let sit = |who: &SharedGame<PairClient<Game>>| {
        let action = Action::Sit(Mark::X, player(&who.user()));
        who.update(|game| game.follow(&action)).expect("taken")
    };
    let (first, second) = (sit(&ann), sit(&ben));
    pair.sync();
    assert!(first.answer().expect("answered").is_ok() && second.answer().expect("answered").is_err());
    assert_eq!(ben.x().map(|seat| seat.id), Some("ann".to_owned()));
}

#[test]
fn every_state_is_one_of_the_game_whatever_happens() {
    let simulation = Simulation::new(Game::default())
        .hooks(rules)
        .operation("sit", |game, rng| {
            let mark = if rng.bool() { Mark::X } else { Mark::O };
            act(game, Action::Sit(mark, player(&game.name())))
        })
        .operation("play", |game, rng| {
            let me = game.state().mark_of(&game.name());
            me.map_or(Ok(()), |mark| act(game, play(mark, rng.u8(..9))))
        })
        .operation("play again", |game, _| act(game, Action::Again))
        .invariant("the board has the moves", |game: &Game| {
            let marks = game.board.iter().flatten().count();
            match marks == game.moves.len() {
                true => Ok(()),
                false => Err(format!("{marks} marks of {} moves", game.moves.len())),
            }
        })
        .invariant("x begins", |game: &Game| {
            game.moves.iter().enumerate().all(|(at, played)| (played.mark == Mark::X) == (at % 2 == 0))
        });
    // A seat stays with a client that has ended, so that many games stop early.
    let report = simulation.steps(1000).only_operations().seeds(40);
    assert!(report.acknowledged > 60, "{report:?}");
}

/// Performs an action if this client thinks that it is legal.
fn act(
    game: &SharedGame<shared_state::testing::SimulatedClient<Game>>,
    action: Action,
) -> Result<(), shared_state::WriteError> {
    let (mut after, me) = (game.state(), game.name());
    match after.act(&action, &me) {
        Ok(()) => game.update(|state| *state = after),
        Err(_) => Ok(()),
    }
}
