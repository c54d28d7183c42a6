//! A game between two, with a cheat, a third who wants to play, and another round.

use crate::terminal::{Program, connected, demo};

const TICTACTOE: &str = env!("CARGO_BIN_EXE_tictactoe");

/// Plays a move and waits until the other one sees it.
fn play(player: &mut Program, cell: u8, other: &mut Program, moves: &str) {
    player.ask(&cell.to_string(), "move accepted: version ");
    other.until(&format!("moves {moves}"));
}

#[test]
fn a_game_is_played_by_the_rules() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben, mut cleo] =
        ["ann", "ben", "cleo"].map(|name| connected(TICTACTOE, &url, "tictactoe-1", name));

    ann.ask("sit x", "sit accepted: version ");
    ben.until("x is ann");
    ben.ask("sit x", "sit refused: the transaction was aborted: the seat of x is taken by ann");
    ben.ask("sit o", "sit accepted: version ");
    ann.until("o is ben");
    cleo.until("ann 0 : 0 ben");

    // A third has no seat, neither by the program nor by force.
    cleo.ask("sit o", "sit refused: the transaction was aborted: the seat of o is taken by ben");
    cleo.ask("force o", "local: o is cleo");
    cleo.until("rolled back to: o is ben");
    cleo.until("force refused: invalid: the seat of o is taken by ben");
    cleo.ask("force 1", "force refused: invalid: the seat of x is not yours");

    play(&mut ann, 5, &mut ben, "x5");
    // Neither twice in turn, nor on a taken cell; the program looks before, by force the server does.
    ann.ask("1", "move refused: the transaction was aborted: it is the turn of o");
    ann.ask("force 1", "moves x5 x1");
    ann.until("rolled back to: ");
    ann.until("force refused: invalid: it is the turn of o");
    ben.ask("5", "move refused: the transaction was aborted: cell 5 is taken by x");
    ben.ask("force 5", "moves x5 o5");
    ben.until("rolled back to: ");
    ben.until("force refused: invalid: cell 5 is taken by x");
    ben.ask("history", "history: x5");

    play(&mut ben, 1, &mut ann, "x5 o1");
    play(&mut ann, 3, &mut ben, "x5 o1 x3");
    play(&mut ben, 2, &mut ann, "x5 o1 x3 o2");
    ann.ask("again", "again refused: the transaction was aborted: the round is not over");
    play(&mut ann, 7, &mut ben, "x5 o1 x3 o2 x7");
    for player in [&mut ann, &mut ben, &mut cleo] {
        player.ask("show", "O | O | X");
        player.until("ann (x) has won | ann 1 : 0 ben, 0 draws");
    }
    ben.ask("4", "move refused: the transaction was aborted: the round is over");
    ben.ask("force 4", "force refused: invalid: the round is over");

    ben.ask("again", "again accepted: version ");
    ann.until("x to move | ann 1 : 0 ben");
    play(&mut ann, 9, &mut ben, "x9");

    // Who goes leaves the seat to others.
    assert!(ben.end().success());
    cleo.until("o is nobody");
    cleo.ask("sit o", "sit accepted: version ");
    play(&mut cleo, 5, &mut ann, "x9 o5");
    assert!(ann.end().success());
    assert!(cleo.end().success());
}

#[test]
fn a_full_board_is_a_draw() {
    let data = tempfile::tempdir().expect("there is a directory for temporary files");
    let (_server, url) = demo(data.path(), "127.0.0.1:0");
    let [mut ann, mut ben] = ["ann", "ben"].map(|name| connected(TICTACTOE, &url, "tictactoe-draw", name));
    ann.ask("sit x", "sit accepted: version ");
    ben.ask("sit o", "sit accepted: version ");
    let mut moves = String::new();
    for (turn, cell) in [1, 2, 3, 5, 4, 6, 8, 7, 9].into_iter().enumerate() {
        let (mark, player, other) = match turn % 2 {
            0 => ('x', &mut ann, &mut ben),
            _ => ('o', &mut ben, &mut ann),
        };
        moves = format!("{moves} {mark}{cell}").trim_start().to_owned();
        play(player, cell, other, &moves);
    }
    ann.until("a draw | ann 0 : 0 ben, 1 draws");
    ben.until("a draw | ann 0 : 0 ben, 1 draws");
}
