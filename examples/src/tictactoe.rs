//! The state of the example `tictactoe`, and the rules of the game, which players and server share.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::SharedState;

/// A game for two players and any number of spectators.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Game {
    /// Three rows of three cells.
    pub board: [Option<Mark>; 9],
    /// Who moves next.
    pub turn: Mark,
    /// Who plays x.
    pub x: Option<Player>,
    /// Who plays o.
    pub o: Option<Player>,
    /// How the round has ended; `None` while it is played.
    pub outcome: Option<Outcome>,
    /// The moves of the round.
    pub moves: Vec<Move>,
    /// The results of all rounds so far.
    pub score: Score,
}

/// A player's mark.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Moves first.
    #[default]
    X,
    /// Moves second.
    O,
}

/// A player who has a seat.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// The client's public id, by which the server identifies the author of a change.
    pub id: String,
    /// The player's name, for people.
    pub name: String,
}

/// A mark on a cell.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The mark.
    pub mark: Mark,
    /// The cell: 0 to 8, row by row.
    pub cell: u8,
}

/// How a round has ended.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Somebody has three in a row.
    Won(Mark),
    /// The board is full and nobody has won.
    Draw,
}

/// How many rounds each player has won, and how many were draws.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Won by x.
    pub x: u32,
    /// Won by o.
    pub o: u32,
    /// Draws.
    pub draws: u32,
}

/// Everything that a player can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take a seat.
    Sit(Mark, Player),
    /// Leave a seat.
    Leave(Mark),
    /// Make a move.
    Play(Move),
    /// Start another round.
    Again,
}

/// Why an action is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Another player has the seat.
    #[error("the seat of {0} is taken by {1}")]
    SeatTaken(Mark, String),
    /// The player has a seat already.
    #[error("you have a seat already")]
    TwoSeats,
    /// The seat is not this client's.
    #[error("the seat of {0} is not yours")]
    NotYours(Mark),
    /// The name is empty or too long.
    #[error("a player's name has 1 to 20 characters")]
    Name,
    /// It is the other player's turn.
    #[error("it is the turn of {0}")]
    Turn(Mark),
    /// The cell has a mark already.
    #[error("cell {} is taken by {}", .0 + 1, .1)]
    CellTaken(u8, Mark),
    /// There is no such cell.
    #[error("the cells are 1 to 9")]
    Cell,
    /// The round has ended.
    #[error("the round is over")]
    Over,
    /// The round has not ended.
    #[error("the round is not over")]
    NotOver,
    /// The change is not one of the actions.
    #[error("that is not how the game is played")]
    Unknown,
}

/// The rule that the server checks for each client's change: it must be exactly one legal action of its author.
///
/// # Errors
/// The rule that is broken.
pub fn rules(before: &Game, after: &Game, author: &Author) -> Result<(), Illegal> {
    let action = Action::between(before, after).ok_or(Illegal::Unknown)?;
    let mut expected = before.clone();
    expected.act(&action, author.name())?;
    if expected == *after { Ok(()) } else { Err(Illegal::Unknown) }
}

impl Action {
    /// The only action that can have led from one state to the other; it need not have been legal.
    fn between(before: &Game, after: &Game) -> Option<Self> {
        if after.moves.len() > before.moves.len() {
            return after.moves.last().copied().map(Self::Play);
        }
        for mark in [Mark::X, Mark::O] {
            match (before.seat(mark), after.seat(mark)) {
                (before, Some(player)) if before.as_ref() != Some(player) => {
                    return Some(Self::Sit(mark, player.clone()));
                }
                (Some(_), None) => return Some(Self::Leave(mark)),
                _ => {}
            }
        }
        (after.moves.is_empty() && !before.moves.is_empty()).then_some(Self::Again)
    }
}

impl Game {
    /// Performs an action, if the rules allow it to `who`, a client's public id.
    ///
    /// # Errors
    /// The rule that is broken; nothing was changed.
    pub fn act(&mut self, action: &Action, who: &str) -> Result<(), Illegal> {
        self.permits(action, who)?;
        self.follow(action);
        Ok(())
    }

    fn permits(&self, action: &Action, who: &str) -> Result<(), Illegal> {
        match action {
            Action::Sit(mark, player) => {
                if let Some(other) = self.seat(*mark) {
                    Err(Illegal::SeatTaken(*mark, other.name.clone()))
                } else if self.mark_of(who).is_some() {
                    Err(Illegal::TwoSeats)
                } else if player.id != who {
                    Err(Illegal::NotYours(*mark))
                } else if !(1..=20).contains(&player.name.chars().count()) {
                    Err(Illegal::Name)
                } else {
                    Ok(())
                }
            }
            Action::Leave(mark) => self.owns(*mark, who),
            Action::Play(Move { mark, cell }) => {
                self.owns(*mark, who)?;
                if self.outcome.is_some() {
                    return Err(Illegal::Over);
                }
                if self.turn != *mark {
                    return Err(Illegal::Turn(self.turn));
                }
                match self.board.get(usize::from(*cell)) {
                    None => Err(Illegal::Cell),
                    Some(Some(taken)) => Err(Illegal::CellTaken(*cell, *taken)),
                    Some(None) => Ok(()),
                }
            }
            Action::Again => {
                self.mark_of(who).ok_or(Illegal::NotYours(self.turn))?;
                if self.outcome.is_none() { Err(Illegal::NotOver) } else { Ok(()) }
            }
        }
    }

    /// Performs an action without checking whether it is allowed, as a cheating player does; the server checks it
    /// again.
    pub fn follow(&mut self, action: &Action) {
        match action {
            Action::Sit(mark, player) => *self.seat_mut(*mark) = Some(player.clone()),
            Action::Leave(mark) => *self.seat_mut(*mark) = None,
            Action::Play(played) => {
                if let Some(cell) = self.board.get_mut(usize::from(played.cell)) {
                    *cell = Some(played.mark);
                }
                self.moves.push(*played);
                self.turn = played.mark.other();
                self.outcome = self.outcome_now();
                match self.outcome {
                    Some(Outcome::Won(Mark::X)) => self.score.x += 1,
                    Some(Outcome::Won(Mark::O)) => self.score.o += 1,
                    Some(Outcome::Draw) => self.score.draws += 1,
                    None => {}
                }
            }
            Action::Again => {
                (self.board, self.turn, self.outcome) = Default::default();
                self.moves.clear();
            }
        }
    }

    fn outcome_now(&self) -> Option<Outcome> {
        const ROWS: [[usize; 3]; 8] =
            [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];
        let of_one = |row: [usize; 3]| {
            let [a, b, c] = row.map(|cell| self.board[cell]);
            a.filter(|_| a == b && b == c)
        };
        let won = ROWS.into_iter().find_map(of_one).map(Outcome::Won);
        won.or_else(|| self.board.iter().all(Option::is_some).then_some(Outcome::Draw))
    }

    /// The mark that this client plays; `None` if it has no seat.
    #[must_use]
    pub fn mark_of(&self, who: &str) -> Option<Mark> {
        [Mark::X, Mark::O]
            .into_iter()
            .find(|mark| self.seat(*mark).as_ref().is_some_and(|seat| seat.id == who))
    }

    fn owns(&self, mark: Mark, who: &str) -> Result<(), Illegal> {
        if self.mark_of(who) == Some(mark) { Ok(()) } else { Err(Illegal::NotYours(mark)) }
    }

    const fn seat(&self, mark: Mark) -> &Option<Player> {
        match mark {
            Mark::X => &self.x,
            Mark::O => &self.o,
        }
    }

    const fn seat_mut(&mut self, mark: Mark) -> &mut Option<Player> {
        match mark {
            Mark::X => &mut self.x,
            Mark::O => &mut self.o,
        }
    }
}

impl Mark {
    /// The other mark.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::X => Self::O,
            Self::O => Self::X,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X => "x",
            Self::O => "o",
        })
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mark, u32::from(self.cell) + 1)
    }
}
