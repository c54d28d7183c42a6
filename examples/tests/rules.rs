//! The rules of tic-tac-toe, as the server asks them about a change.

use shared_state::state::Author;
use shared_state_examples::tictactoe::{Action, Game, Illegal, Mark, Move, Player, rules};

/// The public name of the author of all changes here.
const AUTHOR: &str = "ann";

fn seated() -> Game {
    let mut game = Game::default();
    for (mark, id) in [(Mark::X, AUTHOR), (Mark::O, "other")] {
        game.follow(&Action::Sit(mark, Player { id: id.to_owned(), name: id.to_owned() }));
    }
    game
}

fn verdict(before: &Game, change: impl FnOnce(&mut Game)) -> Result<(), Illegal> {
    let mut after = before.clone();
    change(&mut after);
    rules(before, &after, &Author::new(AUTHOR))
}

fn x(cell: u8) -> Action {
    Action::Play(Move { mark: Mark::X, cell })
}

#[test]
fn a_change_is_one_legal_action_and_nothing_else() {
    let game = seated();
    assert_eq!(verdict(&game, |game| game.follow(&x(4))), Ok(()));
    let unknown = Err(Illegal::Unknown);
    assert_eq!(verdict(&game, |game| game.score.x += 1), unknown);
    assert_eq!(verdict(&game, |game| game.board[0] = Some(Mark::X)), unknown);
    let with_score = |game: &mut Game| {
        game.follow(&x(4));
        game.score.x += 1;
    };
    assert_eq!(verdict(&game, with_score), unknown);
    let two_moves = |game: &mut Game| {
        game.follow(&x(4));
        game.follow(&x(5));
    };
    assert_eq!(verdict(&game, two_moves), unknown);
    assert_eq!(verdict(&game, |game| game.follow(&x(200))), Err(Illegal::Cell));
    assert_eq!(verdict(&game, |game| game.follow(&Action::Again)), unknown, "nothing to begin again");
}

#[test]
fn seats_and_turns_are_their_owners() {
    let game = seated();
    let o = Action::Play(Move { mark: Mark::O, cell: 4 });
    assert_eq!(verdict(&game, |game| game.follow(&o)), Err(Illegal::NotYours(Mark::O)));
    let leave = Action::Leave(Mark::O);
    assert_eq!(verdict(&game, |game| game.follow(&leave)), Err(Illegal::NotYours(Mark::O)));

    let empty = Game::default();
    let somebody = |id: &str, name: &str| Player { id: id.to_owned(), name: name.to_owned() };
    let sit = |player| verdict(&empty, |game| game.follow(&Action::Sit(Mark::X, player)));
    assert_eq!(sit(somebody(AUTHOR, "ann")), Ok(()));
    assert_eq!(sit(somebody("other", "ann")), Err(Illegal::NotYours(Mark::X)), "for somebody else");
    assert_eq!(sit(somebody(AUTHOR, "")), Err(Illegal::Name));
}
