//! The terminal of the example programs: reads commands line by line, and prints one line for each thing that
//! happens.

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use shared_state::client::{Client, ClientBuilder, Events, Receipt, State, Status, Subscription, Unsent};
use shared_state::proto::Violation;
use shared_state::proto::replica::{Event, Origin};
use shared_state::{SharedState, WriteError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The arguments of every program, besides the room.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// The server's address.
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub url: String,
    /// Your name, as the others see it.
    #[arg(long, default_value = "somebody")]
    pub name: String,
}

impl Common {
    /// A client that reconnects sooner than by default, because somebody is watching.
    pub fn client(&self) -> ClientBuilder {
        Client::builder(&*self.url).backoff(Duration::from_millis(250), Duration::from_secs(3))
    }
}

/// What a program has to react to.
#[derive(Debug)]
pub enum Input {
    /// The user entered this command.
    Command(String),
    /// Something has changed and was printed: show the state again.
    Changed,
    /// There are no more commands.
    End,
}

/// Reads commands, and prints what happens to a room's state and connection.
pub struct Terminal<S: SharedState> {
    client: Client,
    state: State<S>,
    describe: fn(&S::Update) -> String,
    statuses: Subscription<Status>,
    errors: Subscription<Violation>,
    events: Events<S>,
    /// Lines of the program's own.
    news: BoxStream<'static, String>,
    lines: mpsc::Receiver<String>,
    interrupt: Pin<Box<dyn Future<Output = ()>>>,
    answers: JoinSet<String>,
    /// Resolves when the room's state has come, or cannot come.
    first: Pin<Box<dyn Future<Output = bool>>>,
    /// Whether commands are read: the room's state has come, or it was said that it has not.
    has_begun: bool,
}

impl<S: SharedState> Terminal<S> {
    /// The terminal of a program that shows `state`. `describe` turns an update into words.
    pub fn new(client: &Client, state: &State<S>, describe: fn(&S::Update) -> String) -> Self {
        Self {
            client: client.clone(),
            state: state.clone(),
            describe,
            statuses: client.statuses(),
            errors: state.errors(),
            events: state.events(),
            news: stream::empty().boxed(),
            lines: lines(),
            interrupt: interrupted(),
            answers: JoinSet::new(),
            first: first_of(state),
            has_begun: false,
        }
    }

    /// Also prints the lines of this stream.
    #[must_use]
    pub fn also(mut self, news: impl Stream<Item = String> + Send + 'static) -> Self {
        self.news = news.fuse().boxed();
        self
    }

    /// The next thing to react to. What has happened is printed in order, before the next command is read.
    ///
    /// Commands act on what the room has: the first one waits for the room's state, and each for the outcome of the one
    /// before, as long as there is a connection. So a script does what somebody who types does.
    pub async fn next(&mut self) -> Input {
        let takes_commands = self.has_begun && (self.answers.is_empty() || !self.state.is_live());
        let line = tokio::select! {
            biased;
            () = &mut self.interrupt => return Input::End,
            Some(event) = self.events.next() => event_line(&event, self.describe),
            Some(Ok(answer)) = self.answers.join_next() => answer,
            Some(news) = self.news.next() => news,
            Some(status) = self.statuses.next() => {
                let unknown = if self.has_begun { None } else { without_state(&status) };
                self.has_begun |= unknown.is_some();
                [Some(status_line(&status)), unknown].into_iter().flatten().collect::<Vec<_>>().join("\n")
            }
            Some(violation) = self.errors.next() => format!("room: {violation}"),
            is_live = &mut self.first, if !self.has_begun => {
                self.has_begun = true;
                match is_live {
                    true => return Input::Changed,
                    false => "the room's state cannot come: commands act on an empty one".to_owned(),
                }
            }
            line = self.lines.recv(), if takes_commands => {
                return match line {
                    Some(line) if line != "quit" => Input::Command(line),
                    _ => Input::End,
                };
            }
        };
        say(line);
        Input::Changed
    }

    /// Prints the outcome of a write: at once if it was refused here, else when its receipt resolves.
    pub fn answer(&mut self, what: &'static str, written: Result<Receipt, WriteError>) {
        match written {
            // A program with nothing else to do would simply await the receipt.
            Ok(receipt) => self.later(what, receipt),
            Err(error) => say(format!("{what} refused: {error}")),
        }
    }

    /// Prints the outcome of a transaction, or of anything else that resolves to a version.
    pub fn later<E: std::error::Error>(
        &mut self,
        what: &'static str,
        version: impl Future<Output = Result<u64, E>> + Send + 'static,
    ) {
        self.tell(async move {
            match version.await {
                Ok(version) => format!("{what} accepted: version {version}"),
                Err(error) => format!("{what} refused: {}", reason(&error)),
            }
        });
    }

    /// Prints a line when the future resolves to it.
    pub fn tell(&mut self, line: impl Future<Output = String> + Send + 'static) {
        self.answers.spawn(line);
    }

    /// Prints the version when nothing is pending any more.
    pub fn wait(&mut self) {
        let (flush, state) = (self.state.flush(), self.state.clone());
        self.answers.spawn(async move {
            // A refused write was reported by its own receipt.
            let _ = flush.await;
            format!("nothing pending: version {}", state.version())
        });
    }

    /// The state's version, the pending changes and the connection: the end of a status line.
    #[must_use]
    pub fn standing(&self) -> String {
        let connection = match self.client.status() {
            Status::Connecting => "connecting",
            Status::Connected => "connected",
            Status::Reconnecting { .. } => "offline",
            _ => "ended",
        };
        format!("version {}, {} pending, {connection}", self.state.version(), self.state.pending())
    }

    /// Closes the client when everything is delivered, or after five seconds, and prints which it was.
    pub async fn close(mut self) {
        let unsent = self.client.close().await;
        while let Some(answer) = self.answers.join_next().await {
            if let Ok(answer) = answer {
                say(answer);
            }
        }
        bye(&unsent);
    }
}

impl<S: SharedState> std::fmt::Debug for Terminal<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Closes a client when everything is delivered, or after five seconds, and prints which it was.
pub async fn goodbye(client: &Client) {
    bye(&client.close().await);
}

fn bye(unsent: &Unsent) {
    match unsent.changes() {
        0 => say("bye: everything was delivered"),
        changes => say(format!("bye: {changes} changes were not delivered")),
    }
}

/// Resolves at Ctrl-C.
#[must_use]
pub fn interrupted() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

/// Prints a line. A closed standard output is no reason to stop.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Splits a command into its first word and the rest.
#[must_use]
pub fn split(command: &str) -> (&str, &str) {
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    (word, rest.trim())
}

/// An error's text, followed by those of its causes.
#[must_use]
pub fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The non-empty lines of the standard input. Read by a thread, because a blocking read cannot be cancelled.
#[must_use]
pub fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let line = line.trim();
            if !line.is_empty() && sender.blocking_send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

fn event_line<S: SharedState>(event: &Event<S>, describe: fn(&S::Update) -> String) -> String {
    let origin = match (event.origin, event.version, &event.from) {
        (Origin::Local, ..) => "local".to_owned(),
        (Origin::Remote, Some(version), Some(from)) => format!("remote, version {version} by {from}"),
        (Origin::Remote, Some(version), None) => format!("remote, version {version}"),
        (Origin::Remote, None, _) => "remote".to_owned(),
        (Origin::RolledBack, ..) => "rolled back to".to_owned(),
        (Origin::Lagged(count), ..) => return format!("{count} events were missed"),
        (origin, ..) => format!("{origin:?}"),
    };
    let updates: Vec<String> = event.updates.iter().map(describe).collect();
    format!("{origin}: {}", updates.join(", "))
}

/// Resolves when a room's state has come: to `false` if it cannot come.
fn first_of<S: SharedState>(state: &State<S>) -> Pin<Box<dyn Future<Output = bool>>> {
    let state = state.clone();
    Box::pin(async move { state.live().await })
}

/// What to know about commands if there is no connection before the room's state has come.
#[must_use]
pub fn without_state(status: &Status) -> Option<String> {
    let waits = matches!(status, Status::Reconnecting { .. });
    waits.then(|| {
        "the room's state has not come: commands act on an empty one, and are sent once the server answers"
            .to_owned()
    })
}

/// A connection's status, for people.
#[must_use]
pub fn status_line(status: &Status) -> String {
    match status {
        Status::Connecting => "status: connecting".to_owned(),
        Status::Connected => "status: connected".to_owned(),
        Status::Reconnecting { attempt, next_try, cause } => {
            let wait = next_try.saturating_duration_since(Instant::now());
            format!("status: offline, attempt {attempt} in {:.1} s: {cause}", wait.as_secs_f64())
        }
        Status::Disconnected { reason } => format!("status: ended, {reason}"),
        status => format!("status: {status:?}"),
    }
}
