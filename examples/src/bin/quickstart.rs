//! Teaches: a struct that two terminals share, what its handle does, and what happens without a server.
//!
//! ```console
//! cargo demo                       # the server, in a first terminal
//! cargo quickstart --name ann      # in a second
//! cargo quickstart --name ben      # in a third
//! ```
//! Write a title in one terminal and see it in the other. Kill the server: both go on, and show how many changes are
//! pending. Start it again: everything arrives, and the stars of both are added up.

use clap::Parser;
use shared_state_examples::quickstart::Note;
use shared_state_examples::terminal::{Common, Input, Terminal, say, split};

/// A note with a title and stars, shared by everyone in the room.
#[derive(Parser)]
struct Args {
    /// Which note.
    #[arg(long, default_value = "quickstart")]
    room: String,
    #[command(flatten)]
    common: Common,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, common } = Args::parse();
    say(format!("{}, you are in {room}. Commands: title <text>, add <stars>, show, wait, quit", common.name));

    let client = common.client().connect(); // returns at once, and reconnects for ever
    let note = client.room(room).state(Note::default()); // usable at once, also without a server
    let mut terminal = Terminal::new(&client, &note, |update| format!("{update:?}"));
    loop {
        match terminal.next().await {
            Input::Command(command) => match split(&command) {
                // A write shows at once. Its receipt resolves when the server has acknowledged it.
                ("title", text) => terminal.answer("title", note.set_title(text)),
                ("add", stars) => match stars.parse() {
                    Ok(stars) => terminal.answer("add", note.add_stars(stars)),
                    Err(error) => say(format!("add refused: {stars:?}: {error}")),
                },
                ("show", _) => show(&note.state(), &terminal),
                ("wait", _) => terminal.wait(),
                (other, _) => say(format!("no such command: {other}")),
            },
            Input::Changed => show(&note.state(), &terminal),
            Input::End => break,
        }
    }
    terminal.close().await;
}

fn show(Note { title, stars }: &Note, terminal: &Terminal<Note>) {
    say(format!("  {title:?}, {stars} stars | {}", terminal.standing()));
}
