//! Teaches: debounce, validation on both sides, atomic merges, a field that only the server writes, events, and
//! presence.
//!
//! ```console
//! cargo demo                     # the server, in a first terminal
//! cargo document --name ann      # in a second
//! cargo document --name ben      # in a third
//! ```
//! - `type hello` writes the content letter by letter: each shows at once, and the others are sent the result once.
//! - `size 99` is refused before anything is sent.
//! - `merge dark 18 Plans` is one event for everyone.
//! - `title` without a text, once there is a title, breaks a rule that only the server checks: it shows, and is rolled
//!   back with the reason.
//! - `stamp` tries to write a field that only the server writes.
//! - `at content` shows the others where you are.

use std::future::ready;

use clap::{Parser, ValueEnum as _};
use futures_util::StreamExt as _;
use shared_state::WriteError;
use shared_state::client::{Handle, Presence, Receipt};
use shared_state::presence::{PresenceEvent, User};
use shared_state_examples::document::{Document, DocumentPatch, Place, Section, Theme};
use shared_state_examples::terminal::{Common, Input, Terminal, say, split};

/// A document that several people edit.
#[derive(Parser)]
struct Args {
    /// Which document. The demo server stamps the time of edits on `document-1`.
    #[arg(long, default_value = "document-1")]
    room: String,
    #[command(flatten)]
    common: Common,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, common } = Args::parse();
    let name = &*common.name;
    say(format!("{name}, you are in {room}. Commands:"));
    say("  title <text>, content <text>, type <text>, theme <light|dark|sepia>, size <12-24>,");
    say("  merge <theme> <size> <title>, stamp, at <title|content>, show, wait, quit");

    let client = common.client().connect();
    let room = client.room(room);
    let document = room.state(Document::default());
    let here = room.presence(User::new(name), Place::default());
    let mut terminal = Terminal::new(&client, &document, |update| format!("{update:?}"))
        .also(here.events().filter_map(|event| ready(presence_line(&event))));
    terminal.answer("view", document.add_views(1));
    loop {
        match terminal.next().await {
            Input::Command(command) => match split(&command) {
                ("at", section) => match self::section(section) {
                    Ok(section) => go(&here, section),
                    Err(why) => say(why),
                },
                (word, _) => match edit(&document, name, &command) {
                    Ok(Some((what, written))) => {
                        match what {
                            "title" => go(&here, Section::Title),
                            "content" | "type" => go(&here, Section::Content),
                            _ => {}
                        }
                        terminal.answer(what, written);
                    }
                    Ok(None) if word == "wait" => terminal.wait(),
                    Ok(None) => show(&document.state(), &here, &terminal),
                    Err(why) => say(why),
                },
            },
            Input::Changed => show(&document.state(), &here, &terminal),
            Input::End => break,
        }
    }
    terminal.close().await;
}

type Written = (&'static str, Result<Receipt, WriteError>);

/// Runs a command that writes; `None` if it writes nothing.
fn edit(document: &Handle<Document>, name: &str, command: &str) -> Result<Option<Written>, String> {
    Ok(Some(match split(command) {
        // The struct says that these fields are debounced: the receipt resolves after the write was sent.
        ("title", text) => ("title", signed(document, name).and_then(|()| document.set_title(text))),
        ("content", text) => ("content", signed(document, name).and_then(|()| document.set_content(text))),
        ("type", text) => {
            let mut written = signed(document, name).map(|()| None);
            for (end, letter) in text.char_indices() {
                let typed = &text[..end + letter.len_utf8()];
                // Writes that are sent as one change are answered together, so the last receipt is enough.
                written = written.and_then(|_| document.set_content(typed).map(Some));
            }
            match written.transpose() {
                Some(written) => ("type", written),
                None => return Err("what is to be typed?".to_owned()),
            }
        }
        // Several fields in one patch are one change: all or nothing, for everyone.
        ("theme", theme) => {
            let patch = DocumentPatch { theme: Some(self::theme(theme)?), ..by(name) };
            ("theme", document.merge(patch))
        }
        ("size", size) => {
            let patch = DocumentPatch { font_size: Some(self::size(size)?), ..by(name) };
            ("size", document.merge(patch))
        }
        ("merge", rest) => {
            let (theme, rest) = split(rest);
            let (size, title) = split(rest);
            let (theme, size) = (self::theme(theme)?, self::size(size)?);
            let title = Some(title.to_owned());
            let patch = DocumentPatch { theme: Some(theme), font_size: Some(size), title, ..by(name) };
            ("merge", document.merge(patch))
        }
        // A client has no `set_last_edit_time`. Writing by the field's key compiles, and is refused.
        ("stamp", _) => ("stamp", document.set(Document::LAST_EDIT_TIME, 0)),
        ("show" | "wait", _) => return Ok(None),
        (other, _) => return Err(format!("no such command: {other}")),
    }))
}

/// Writes the editor's name, unless it is there already.
fn signed(document: &Handle<Document>, name: &str) -> Result<(), WriteError> {
    match document.read(|document| document.last_editor == name) {
        true => Ok(()),
        false => document.set_last_editor(name).map(drop),
    }
}

fn by(name: &str) -> DocumentPatch {
    DocumentPatch { last_editor: Some(name.to_owned()), ..DocumentPatch::default() }
}

/// Shows the others where this user is.
fn go(here: &Presence<User, Place>, section: Section) {
    if let Err(error) = here.set(Place { section }) {
        say(format!("not shown: {error}"));
    }
}

fn presence_line(event: &PresenceEvent<User, Place>) -> Option<String> {
    match event {
        PresenceEvent::Joined(peer) => Some(format!("{} is here", peer.user.id)),
        PresenceEvent::Updated(peer) => Some(format!("{} is at {:?}", peer.user.id, peer.data.section)),
        PresenceEvent::Left(peer) => Some(format!("{} is gone", peer.user.id)),
        _ => None,
    }
}

fn section(text: &str) -> Result<Section, String> {
    Section::from_str(text, true).map_err(|_| format!("no such section: {text:?}"))
}

fn theme(text: &str) -> Result<Theme, String> {
    Theme::from_str(text, true).map_err(|_| format!("no such theme: {text:?}"))
}

fn size(text: &str) -> Result<u8, String> {
    text.parse().map_err(|error| format!("no such size: {text:?}: {error}"))
}

fn show(document: &Document, here: &Presence<User, Place>, terminal: &Terminal<Document>) {
    let Document { title, content, theme, font_size, last_editor, views, last_edit_time } = document;
    say(format!("  {title:?} {content:?} | {theme:?}, {font_size} pt | {views} views"));
    say(format!("  by {last_editor:?} at {last_edit_time} ms | {}", terminal.standing()));
    let others = here.others();
    if !others.is_empty() {
        let places = others.iter().map(|peer| format!("{} at {:?}", peer.user.id, peer.data.section));
        say(format!("  with {}", places.collect::<Vec<_>>().join(", ")));
    }
}
