//! Teaches: a server in your own program, with a durable store, typed rooms, rules, and the server as a writer.
//!
//! ```console
//! cargo demo                                     # at ws://127.0.0.1:8080/ws, rooms in ./data
//! cargo demo --listen 127.0.0.1:9000 --data /tmp/rooms
//! RUST_LOG=shared_state=debug cargo demo
//! ```
//! Type `help` for the commands of the server's owner: list rooms and users, and put users out.
//!
//! Ctrl-C or SIGTERM shuts the server down cleanly. Kill it instead whenever you like: acknowledged changes are
//! durable.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Parser;
use futures_util::StreamExt as _;
use shared_state::server::{ChannelKind, Server, ServerBuilder};
use shared_state::store::RedbStore;
use shared_state_examples::chat;
use shared_state_examples::dashboard::{self, Dashboard};
use shared_state_examples::document::{self, Document};
use shared_state_examples::quickstart::Note;
use shared_state_examples::terminal::{lines, reason, say, split};
use shared_state_examples::tictactoe::{self, Game};
use shared_state_examples::todo::{self, TodoList};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

/// How long a banned user stays out.
const BAN: Duration = Duration::from_secs(600);

/// A server for all the examples.
#[derive(Parser)]
struct Args {
    /// The address to listen on; port 0 chooses a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The directory where rooms are stored.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// The document in which the server writes the time of the last edit.
    #[arg(long, default_value = "document-1")]
    stamp: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", reason(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(Args { listen, data, stamp }: Args) -> Result<(), Box<dyn Error>> {
    let builder = Server::builder()
        .store(RedbStore::open(&data)?)
        .rooms("quickstart*", Note::default)
        .rooms_with("document-*", Document::default, document::rules)
        .rooms_with("tictactoe-*", Game::default, tictactoe::rules)
        .rooms_with("todo-*", TodoList::default, todo::rules)
        .rooms_with("dashboard-*", Dashboard::default, dashboard::rules)
        .untyped_rooms(true)
        // Messages of legacy clients, in channels of any name.
        .channels(ChannelKind::any("*"));
    let server = chat::channels().into_iter().fold(builder, ServerBuilder::channels).build();

    let stopped = stop_signal()?;
    tokio::spawn(stamp_edits(server.clone(), stamp));
    let listener = TcpListener::bind(listen).await?;
    introduce(listener.local_addr()?);
    tokio::select! {
        () = server.serve(listener) => {}
        () = obey(&server) => {}
        () = stopped => say("stopping"),
    }
    server.shutdown().await?;
    say("stopped: everything is stored");
    Ok(())
}

/// Runs the commands of the server's owner. Never ends, also when the input does.
async fn obey(server: &Server) {
    let mut typed = lines();
    while let Some(line) = typed.recv().await {
        let (word, rest) = split(&line);
        let (room, rest) = split(rest);
        let (who, reason) = split(rest);
        match word {
            "rooms" => server.rooms().iter().for_each(|room| say(format!("  {room:?}"))),
            "who" => {
                let users = server.present(room).into_iter().map(|present| present.user);
                say(format!("  in {room}: {}", users.collect::<Vec<_>>().join(", ")));
            }
            "kick" => say(format!("  {} put out of {room}", count(server.kick(room, who, reason)))),
            "ban" => {
                let put_out = server.ban(room, who, BAN, reason);
                say(format!("  {} put out of {room}, {who} for {BAN:?}", count(put_out)));
            }
            _ => say("  rooms, who <room>, kick <room> <who> <reason>, ban <room> <who> <reason>"),
        }
    }
    std::future::pending().await
}

fn count(connections: usize) -> String {
    match connections {
        1 => "1 connection was".to_owned(),
        connections => format!("{connections} connections were"),
    }
}

/// The server writes too: the time of the last edit, which clients cannot write.
async fn stamp_edits(server: Server, room: String) {
    // If the room is reset because its store failed, it is opened again. When the server shuts down, that fails.
    while let Ok(document) = server.room::<Document>(&room).await {
        let mut changes = document.changes();
        let mut seen = document.state();
        while changes.next().await.is_some() {
            let now = document.state();
            if now.is_edited_since(&seen)
                && let Err(error) = document.set_last_edit_time(milliseconds())
            {
                tracing::warn!(room, "an edit was not stamped: {error}");
            }
            seen = now;
        }
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn introduce(address: SocketAddr) {
    say(format!("listening on ws://{address}/ws"));
    let url = match address.port() {
        8080 if address.ip().is_loopback() => String::new(),
        _ => format!(" --url ws://{address}/ws"),
    };
    say("");
    say("Now, in a second and a third terminal, one of:");
    for name in ["ann", "ben"] {
        for example in ["quickstart", "document", "tictactoe", "todo", "dashboard", "chat"] {
            say(format!("  cargo {:<24}{url}", format!("{example} --name {name}")));
        }
    }
    say("Ctrl-C stops the server. `help` in this terminal lists the commands of the server's owner.");
}

/// Resolves at Ctrl-C or SIGTERM. The signals are caught from the call on, not from the first poll.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
