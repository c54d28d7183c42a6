//! The rules of the examples, as the server asks them about a change.

use shared_state::Author;
use shared_state_examples::dashboard::{self, Dashboard, Kind, Position, Widget};
use shared_state_examples::tictactoe::{Action, Game, Illegal, Mark, Move, Player, rules};
use shared_state_examples::todo::{self, Refused, Todo, TodoList};

/// The public id of the author of all changes here.
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

#[test]
fn a_todo_that_somebody_is_at_work_on_stays_theirs() {
    let mut before = TodoList::default();
    for (id, taken_by, done) in [("a", Some("ann"), false), ("b", Some("ann"), true), ("c", None, false)] {
        let (id, taken_by) = (id.to_owned(), taken_by.map(str::to_owned));
        before.todos.push(Todo { id, taken_by, done, ..Todo::default() });
    }
    let verdict = |change: &dyn Fn(&mut Todo)| {
        let mut after = before.clone();
        after.todos = after.todos.iter().cloned().map(|mut todo| (change(&mut todo), todo).1).collect();
        todo::rules(&before, &after, &Author::new(AUTHOR))
    };
    let without = |id: &str| {
        let mut after = before.clone();
        after.todos.retain(|todo| todo.id != id);
        todo::rules(&before, &after, &Author::new(AUTHOR))
    };
    assert!(matches!(without("a"), Err(Refused::Taken { by, .. }) if by == "ann"));
    assert_eq!((without("b"), without("c")), (Ok(()), Ok(())), "done, or nobody's");
    assert_eq!(verdict(&|todo| todo.done = true), Ok(()));
    assert_eq!(verdict(&|todo| todo.taken_by = None), Ok(()));
    let takes = |who: &'static str| move |todo: &mut Todo| todo.taken_by = Some(who.to_owned());
    assert_eq!(verdict(&takes("ann")), Ok(()));
    assert!(matches!(verdict(&takes("ben")), Err(Refused::Taken { .. })));
    assert_eq!(verdict(&|todo| todo.created_by = "ben".to_owned()), Err(Refused::Creator));
}

#[test]
fn every_widget_is_on_the_canvas() {
    let mut dashboard = Dashboard::default();
    dashboard.widgets.push(Widget::new("sales", Kind::Chart));
    let place = |x, y| {
        let mut after = dashboard.clone();
        after.widgets = dashboard
            .widgets
            .iter()
            .cloned()
            .map(|widget| Widget { position: Position { x, y }, ..widget })
            .collect();
        dashboard::rules(&dashboard, &after, &Author::new(AUTHOR))
    };
    assert_eq!(place(1_000, 700), Ok(()));
    let outside = Err("sales is not within 1200x800".to_owned());
    assert_eq!([place(1_001, 700), place(1_000, 701), place(u32::MAX, 0)], [(); 3].map(|()| outside.clone()));
}
