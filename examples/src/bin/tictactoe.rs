//! Teaches: rules that the server enforces, transactions, and what a refused write looks like.
//!
//! ```console
//! cargo demo                      # the server, in a first terminal
//! cargo tictactoe --name ann      # in a second
//! cargo tictactoe --name ben      # in a third
//! ```
//! `sit x` in one terminal and `sit o` in the other, then a cell from 1 to 9 in turn; `again` starts another round.
//!
//! - A move is a transaction: if the other player was faster, it is checked again.
//! - `force 5` plays and `force x` takes a seat without checking the rules: the board shows it at once, the server
//!   refuses it, and it is rolled back.

use clap::Parser;
use shared_state::client::{Client, Handle};
use shared_state_examples::terminal::{Common, Input, Terminal, say, split};
use shared_state_examples::tictactoe::{Action, Game, GameUpdate, Mark, Move, Outcome, Player};

/// Tic-tac-toe for two players and any number of spectators.
#[derive(Parser)]
struct Args {
    /// Which game.
    #[arg(long, default_value = "tictactoe-1")]
    room: String,
    /// A secret of 16 characters or more. With the same secret you have the same seat after a crash.
    #[arg(long)]
    secret: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, secret, common } = Args::parse();
    say(format!("{}, you are at {room}. Commands:", common.name));
    say("  sit <x|o>, <1-9>, again, leave, force <1-9|x|o>, history, show, wait, quit");

    let builder = common.client();
    let client = match secret {
        Some(secret) => builder.client_id(secret).connect(),
        None => builder.connect(),
    };
    let game = client.room(room).state(Game::default());
    let mut terminal = Terminal::new(&client, &game, describe);
    let mut drawn = None;
    loop {
        match terminal.next().await {
            Input::Command(command) => match command.as_str() {
                "show" => draw(&game.state(), &terminal, &mut None),
                "wait" => terminal.wait(),
                "history" => say(format!("history: {}", history(&game.moves()))),
                command => match player(&client, &common.name) {
                    Ok(me) => play(&game, me, command, &mut terminal),
                    Err(why) => say(why),
                },
            },
            Input::Changed => draw(&game.state(), &terminal, &mut drawn),
            Input::End => break,
        }
    }
    if let Ok(me) = player(&client, &common.name) {
        play(&game, me, "leave", &mut terminal);
    }
    terminal.close().await;
}

/// This client as a player. Fails until the server has sent the client's public id.
fn player(client: &Client, name: &str) -> Result<Player, &'static str> {
    let id = client.id().ok_or("not yet: the server has not said who you are")?;
    Ok(Player { id: id.to_string(), name: name.to_owned() })
}

fn play(game: &Handle<Game>, me: Player, command: &str, terminal: &mut Terminal<Game>) {
    let who = me.id.clone();
    let mark = game.read(|game| game.mark_of(&who));
    let (word, rest) = split(command);
    let (what, action) = match (word, mark) {
        ("force", _) => ("force", action(rest, mark, me)),
        ("sit", _) if matches!(rest, "x" | "o") => ("sit", action(rest, mark, me)),
        ("leave", Some(mark)) => ("leave", Some(Action::Leave(mark))),
        ("leave", None) => return,
        ("again", _) => ("again", Some(Action::Again)),
        (cell, _) => ("move", action(cell, mark, me)),
    };
    let Some(action) = action else { return say(format!("no such command: {command}")) };
    if what == "force" {
        // Written without checking the rules, and without a transaction.
        return terminal.answer(what, game.update(|game| game.follow(&action)));
    }
    // Runs on the current state, and again if somebody else was faster.
    terminal.later(what, game.transact(move |tx| tx.update(|game| game.act(&action, &who))));
}

/// The action for a seat or a cell. Without a seat the move is made for x, and refused.
fn action(text: &str, mark: Option<Mark>, me: Player) -> Option<Action> {
    match text {
        "x" => Some(Action::Sit(Mark::X, me)),
        "o" => Some(Action::Sit(Mark::O, me)),
        cell => {
            let cell = cell.parse::<u8>().ok().filter(|cell| (1..=9).contains(cell))?;
            Some(Action::Play(Move { mark: mark.unwrap_or_default(), cell: cell - 1 }))
        }
    }
}

/// An update, in a few words; the board is drawn below it.
fn describe(update: &GameUpdate) -> String {
    match update {
        GameUpdate::Moves(moves) => format!("moves {}", history(moves)),
        GameUpdate::X(seat) => format!("x is {}", name(seat.as_ref())),
        GameUpdate::O(seat) => format!("o is {}", name(seat.as_ref())),
        GameUpdate::Turn(mark) => format!("turn {mark}"),
        GameUpdate::Board(_) => "board".to_owned(),
        GameUpdate::Outcome(outcome) => format!("outcome {outcome:?}"),
        GameUpdate::Score(score) => format!("score {}:{}, {} draws", score.x, score.o, score.draws),
        update => format!("{update:?}"),
    }
}

fn history(moves: &[Move]) -> String {
    if moves.is_empty() {
        return "none".to_owned();
    }
    moves.iter().map(Move::to_string).collect::<Vec<_>>().join(" ")
}

fn name(seat: Option<&Player>) -> &str {
    seat.map_or("nobody", |player| &player.name)
}

/// Prints the board, unless it is as it was printed last, and a status line.
fn draw(game: &Game, terminal: &Terminal<Game>, drawn: &mut Option<[Option<Mark>; 9]>) {
    if *drawn != Some(game.board) {
        *drawn = Some(game.board);
        for row in 0..3 {
            let cells = [0, 1, 2].map(|column| {
                let cell = row * 3 + column;
                game.board[cell]
                    .map_or_else(|| (cell + 1).to_string(), |mark| mark.to_string().to_uppercase())
            });
            say(format!("   {}", cells.join(" | ")));
        }
    }
    let (x, o) = (name(game.x.as_ref()), name(game.o.as_ref()));
    let state = match game.outcome {
        Some(Outcome::Won(Mark::X)) => format!("{x} (x) has won"),
        Some(Outcome::Won(Mark::O)) => format!("{o} (o) has won"),
        Some(Outcome::Draw) => "a draw".to_owned(),
        None => format!("{} to move", game.turn),
    };
    let score = game.score;
    say(format!(
        "  {state} | {x} {} : {} {o}, {} draws | {}",
        score.x,
        score.o,
        score.draws,
        terminal.standing()
    ));
}
