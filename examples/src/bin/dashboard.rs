//! Teaches: structs inside structs and lists, a drag that shows every step but sends few, and undo of the whole drag.
//!
//! ```console
//! cargo demo                      # the server, in a first terminal
//! cargo dashboard --name ann      # in a second
//! cargo dashboard --name ben      # in a third
//! ```
//! - `add sales chart` in both at the same time: the name is claimed in a transaction, and one of them is told that
//!   it is taken.
//! - `drag sales 400 300 200` writes 200 positions. All of them show here, few are sent, and `undo` takes them back
//!   together.
//! - `config sales color red` in one and `config sales unit eur` in the other: both keys are set.
//! - `range` is one value: the last one written wins.
//! - `layout 300 800` while a widget is further right breaks a rule that only the server checks: it shows, and is
//!   rolled back with the reason.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};
use shared_state::client::{Handle, Receipt};
use shared_state::merge::{ListOp, NestedOp};
use shared_state_examples::dashboard::{
    Dashboard, DashboardUpdate, DateRange, Kind, LayoutPatch, Position, Size, Widget,
};
use shared_state_examples::terminal::{Common, Input, Terminal, reason, say, split};

/// A dashboard that several people arrange.
#[derive(Parser)]
struct Args {
    /// Which dashboard.
    #[arg(long, default_value = "dashboard-1")]
    room: String,
    #[command(flatten)]
    common: Common,
}

/// A widget of this name exists.
#[derive(Debug, thiserror::Error)]
#[error("there is a widget called {0}")]
struct Taken(String);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let Args { room, common } = Args::parse();
    say(format!("{}, you are at {room}. Commands:", common.name));
    say("  add <id> <chart|table|number>, remove <id>, front <id>, drag <id> <x> <y> <steps>,");
    say("  size <id> <width> <height>, config <id> <key> [value], layout <width> <height>,");
    say("  range <from> <to>, refresh <seconds>, undo, redo, show, wait, quit");

    // By default, writes within half a second are undone together. Here each command is undone by itself.
    let client = common.client().undo(1_000, Duration::ZERO).connect();
    let dashboard = client.room(room).state(Dashboard::default());
    let mut terminal = Terminal::new(&client, &dashboard, describe);
    let mut shown = String::new();
    loop {
        match terminal.next().await {
            Input::Command(command) => match &*command {
                "wait" => terminal.wait(),
                "show" => shown.clear(),
                command => {
                    if let Err(why) = run(&dashboard, command, &mut terminal) {
                        say(why);
                    }
                    continue;
                }
            },
            Input::Changed => {}
            Input::End => break,
        }
        show(&dashboard.state(), &terminal, &mut shown);
    }
    terminal.close().await;
}

/// Runs a command.
fn run(
    dashboard: &Handle<Dashboard>,
    command: &str,
    terminal: &mut Terminal<Dashboard>,
) -> Result<(), String> {
    let widgets = dashboard.widgets();
    let (word, rest) = split(command);
    let (id, text) = split(rest);
    // Editing a missing widget is not an error, because somebody may have removed it. Here it is a typing mistake.
    let known = || widgets.item(id).ok_or_else(|| format!("no such widget: {id:?}"));
    match word {
        // The server checks the read again: still no widget has this name.
        "add" => {
            let kind = Kind::from_str(text, true).map_err(|_| format!("no such kind: {text:?}"))?;
            let widget = Widget::new(id, kind);
            let added = dashboard.transact(move |tx| {
                if tx.item(Dashboard::WIDGETS, &widget.id).is_some() {
                    return Err(Taken(widget.id.clone()));
                }
                tx.push(Dashboard::WIDGETS, widget.clone());
                Ok(())
            });
            terminal.later("add", added);
        }
        "remove" => terminal.answer("remove", widgets.remove(&known()?.id)),
        "front" => terminal.answer("front", widgets.move_to(&known()?.id, usize::MAX)),
        "drag" => {
            let from = known()?.position;
            let (x, rest) = leading(text)?;
            let (y, steps) = leading(rest)?;
            let (to, steps) = (Position { x, y }, number(steps)?.clamp(1, 500));
            // Each step shows at once. The field is throttled: a value that comes too soon is held back and replaced
            // by the next one. The group makes all steps one step for undo.
            let steps = dashboard.group(|| {
                let step = |step| widgets.edit(id, |widget| widget.position = from.towards(to, step, steps));
                (1..=steps).map(step).collect::<Result<Vec<_>, _>>()
            });
            match steps {
                Ok(receipts) => terminal.tell(dragged(receipts)),
                Err(error) => say(format!("drag refused: {error}")),
            }
        }
        "size" => {
            let (width, height) = leading(text)?;
            let size = Size { width, height: number(height)? };
            terminal.answer("size", widgets.edit(&known()?.id, |widget| widget.size = size));
        }
        "config" => {
            let (key, value) = split(text);
            let written = widgets.edit(&known()?.id, |widget| {
                match value {
                    "" => widget.config.remove(key),
                    value => widget.config.insert(key.to_owned(), value.to_owned()),
                };
            });
            terminal.answer("config", written);
        }
        "layout" => {
            let (width, height) = leading(rest)?;
            let patch = LayoutPatch { width: Some(width), height: Some(number(height)?) };
            terminal.answer("layout", dashboard.layout().merge(patch));
        }
        "range" => {
            let range = DateRange { from: id.to_owned(), to: text.to_owned() };
            terminal.answer("range", dashboard.set_range(range));
        }
        "refresh" => terminal.answer("refresh", dashboard.set_refresh(number(rest)?)),
        "undo" => match dashboard.undo().transpose() {
            Some(written) => terminal.answer("undo", written),
            None => say("nothing to undo"),
        },
        "redo" => match dashboard.redo().transpose() {
            Some(written) => terminal.answer("redo", written),
            None => say("nothing to redo"),
        },
        other => return Err(format!("no such command: {other}")),
    }
    Ok(())
}

/// The outcome of a drag. Positions that were sent as one change have the same version.
async fn dragged(receipts: Vec<Receipt>) -> String {
    let positions = receipts.len();
    let mut versions = BTreeSet::new();
    for receipt in receipts {
        match receipt.await {
            Ok(version) => versions.insert(version),
            Err(rejected) => return format!("drag refused: {}", reason(&rejected)),
        };
    }
    format!("drag accepted: {positions} positions in {} changes", versions.len())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|error| format!("no such number: {text:?}: {error}"))
}

/// A number at the beginning, and the rest.
fn leading(text: &str) -> Result<(u32, &str), String> {
    let (first, rest) = split(text);
    Ok((number(first)?, rest))
}

/// An update, in a few words.
fn describe(update: &DashboardUpdate) -> String {
    match update {
        DashboardUpdate::Widgets(ListOp::Insert(_, widget)) => format!("new: {}", widget.id),
        DashboardUpdate::Widgets(ListOp::In(id, NestedOp::In(update))) => {
            format!("{}: {update:?}", id.as_str())
        }
        DashboardUpdate::Widgets(ListOp::Move(id, _)) => format!("{}: to another place", id.as_str()),
        DashboardUpdate::Widgets(ListOp::Delete(id)) => format!("{}: removed", id.as_str()),
        DashboardUpdate::Widgets(ListOp::Set(widgets)) => format!("{} widgets", widgets.len()),
        update => format!("{update:?}"),
    }
}

/// Prints the dashboard, unless it is as it was printed last.
fn show(dashboard: &Dashboard, terminal: &Terminal<Dashboard>, shown: &mut String) {
    let Dashboard { layout, widgets, range, refresh } = dashboard;
    let mut text: String = widgets.iter().map(line).collect();
    text.push_str(&format!(
        "  {}x{} | {} to {} | every {refresh} s | {}",
        layout.width,
        layout.height,
        range.from,
        range.to,
        terminal.standing()
    ));
    if text != *shown {
        say(&text);
        *shown = text;
    }
}

fn line(Widget { id, kind, position, size, config }: &Widget) -> String {
    let config: Vec<String> = config.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("  {id} {kind:?} {size} at {position} {}\n", config.join(" "))
}
