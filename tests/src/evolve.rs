//! A program that was built with one version of a struct: a server or a client that is driven by lines of
//! text.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use serde_json::Value;
use shared_state::SharedState;
use shared_state::client::State;
use shared_state::server::Server;
use shared_state::store::RedbStore;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{client, serve_process, soon};

type Failed = Box<dyn std::error::Error>;

/// Runs such a program, as its arguments say:
///
/// - `serve <address> <directory>`: a server on redb, which shuts down when its standard input is closed;
/// - `open <room> <directory>`: opens a stored room, and prints its state or why it cannot be opened;
/// - `join <address> <room>`: a client. Its commands are `set <update>`, with an update or an array of them
///   as JSON, which prints the version or the error; `until <path> <value>`, with a JSON pointer and the
///   expected value, which prints the state; `live`, which prints whether the room was joined or why not; and
///   `show`, which prints the state.
///
/// # Errors
/// The arguments are not valid, or something failed that no test provokes.
pub async fn run<S>(mut args: impl Iterator<Item = String>) -> Result<(), Failed>
where
    S: SharedState<Update: DeserializeOwned> + Default,
{
    let mut next = || args.next().ok_or("too few arguments");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    match (next()?.as_str(), next()?, next()?) {
        ("serve", address, data) => {
            let server = Server::builder().store(RedbStore::open(data)?).rooms("*", S::default).build();
            serve_process(&server, &address).await?;
            server.shutdown().await?;
        }
        ("open", room, data) => {
            let server = Server::builder().store(RedbStore::open(data)?).rooms("*", S::default).build();
            match server.room::<S>(&room).await {
                Ok(_) => println!("opened"),
                Err(error) => println!("{error}"),
            }
        }
        ("join", address, room) => {
            let client = client(address.parse()?);
            let handle = client.room(&*room).state(S::default());
            println!("joining");
            while let Some(line) = lines.next_line().await? {
                let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
                println!("{}", told(&handle, command, rest).await?);
            }
        }
        _ => return Err("expected `serve`, `open` or `join`".into()),
    }
    Ok(())
}

async fn told<S>(state: &State<S>, command: &str, rest: &str) -> Result<String, Failed>
where
    S: SharedState<Update: DeserializeOwned>,
{
    Ok(match command {
        "set" => {
            let updates = match rest.starts_with('[') {
                true => serde_json::from_str(rest)?,
                false => vec![serde_json::from_str(rest)?],
            };
            match state.write_all(updates) {
                Ok(receipt) => match receipt.await {
                    Ok(version) => version.to_string(),
                    Err(rejected) => format!("rejected: {rejected}"),
                },
                Err(error) => format!("refused: {error}"),
            }
        }
        "until" => {
            let (path, value) = rest.split_once(' ').ok_or("expected a path and a value")?;
            let value: Value = serde_json::from_str(value)?;
            loop {
                let revision = state.revision();
                let now = serde_json::to_value(state.state())?;
                if now.pointer(path) == Some(&value) {
                    break now.to_string();
                }
                state.changed(revision).await;
            }
        }
        "live" => match (state.live().await, state.error()) {
            (true, _) => "live".to_owned(),
            (false, Some(error)) => error.to_string(),
            (false, None) => "ended".to_owned(),
        },
        "show" => serde_json::to_value(state.state())?.to_string(),
        other => return Err(format!("unknown command `{other}`").into()),
    })
}

/// A running program of this kind. Killed when dropped.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built with the tests");
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, lines }
    }

    async fn line(&mut self, to: &str) -> String {
        let line = soon(&format!("an answer to `{to}`"), self.lines.next_line()).await.expect("it says text");
        line.expect("it has not ended")
    }

    /// Starts a server with the given kind of state, and waits until it listens.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn serve(program: &str, kind: &str, address: SocketAddr, data: &Path) -> Self {
        let (listen, data) = (address.to_string(), data.to_string_lossy());
        let mut this = Self::start(program, &[kind, "serve", &listen, &data]);
        assert_eq!(this.line("serve").await, format!("listening {address}"));
        this
    }

    /// Opens a stored room, and returns what the program prints.
    ///
    /// # Panics
    /// If it prints nothing.
    pub async fn open(program: &str, kind: &str, room: &str, data: &Path) -> String {
        let mut this = Self::start(program, &[kind, "open", room, &data.to_string_lossy()]);
        let said = this.line("open").await;
        this.end().await;
        said
    }

    /// Starts a client of a room.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn join(program: &str, kind: &str, address: SocketAddr, room: &str) -> Self {
        let mut this = Self::start(program, &[kind, "join", &address.to_string(), room]);
        assert_eq!(this.line("join").await, "joining");
        this
    }

    /// Sends a command to a client, and returns its answer.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn ask(&mut self, command: &str) -> String {
        let input = self.input.as_mut().expect("it has not been ended");
        input.write_all(format!("{command}\n").as_bytes()).await.expect("it listens");
        self.line(command).await
    }

    /// As [`ask`](Self::ask), for an answer that is a state.
    ///
    /// # Panics
    /// If the answer is not a state.
    pub async fn state(&mut self, command: &str) -> Value {
        let answer = self.ask(command).await;
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{command}: {answer}: {error}"))
    }

    /// Writes an update and returns its version.
    ///
    /// # Panics
    /// If the update is refused.
    pub async fn set(&mut self, update: &str) -> u64 {
        let answer = self.ask(&format!("set {update}")).await;
        answer.parse().unwrap_or_else(|_| panic!("{update}: {answer}"))
    }

    /// Shuts the program down.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn end(mut self) {
        self.input = None;
        let status = soon("the end", self.child.wait()).await.expect("it can be waited for");
        assert!(status.success(), "{status}");
    }

    /// Kills the program with `SIGKILL`, and waits until it has ended.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub async fn kill(mut self) {
        self.child.start_kill().expect("it can be killed");
        soon("the end", self.child.wait()).await.expect("it can be waited for");
    }
}
