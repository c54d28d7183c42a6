//! The look that the example programs share: commands come in by lines, everything that happens goes out as one
//! line each.

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

/// The arguments that every program takes besides the room.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// Where the server is.
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws")]
    pub url: String,
    /// Who you are, for the others.
    #[arg(long, default_value = "somebody")]
    pub name: String,
}

impl Common {
    /// A client that tries again sooner than by default: somebody is watching.
    pub fn client(&self) -> ClientBuilder {
        Client::builder(&*self.url).backoff(Duration::from_millis(250), Duration::from_secs(3))
    }
}

/// What a program has to do something about.
#[derive(Debug)]
pub enum Input {
    /// Somebody typed this.
    Command(String),
    /// Something has changed, and was printed: show the state again.
    Changed,
    /// No more commands.
    End,
}

/// Reads commands, and prints what happens to a room's state.
pub struct Terminal<S: SharedState> {
    client: Client,
    state: State<S>,
    describe: fn(&S::Update) -> String,
    statuses: Subscription<Status>,
    errors: Subscription<Violation>,
    events: Events<S>,
    /// What else happens.
    news: BoxStream<'static, String>,
    lines: mpsc::Receiver<String>,
    interrupt: Pin<Box<dyn Future<Output = ()>>>,
    answers: JoinSet<String>,
}

impl<S: SharedState> Terminal<S> {
    /// The terminal of a program that shows `state`; `describe` puts an update into words.
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
        }
    }

    /// Prints these lines too, when they come.
    #[must_use]
    pub fn also(mut self, news: impl Stream<Item = String> + Send + 'static) -> Self {
        self.news = news.fuse().boxed();
        self
    }

    /// The next thing to do. What has happened is printed in order, and before the next command is taken.
    pub async fn next(&mut self) -> Input {
        let line = tokio::select! {
            biased;
            () = &mut self.interrupt => return Input::End,
            Some(event) = self.events.next() => event_line(&event, self.describe),
            Some(Ok(answer)) = self.answers.join_next() => answer,
            Some(news) = self.news.next() => news,
            Some(status) = self.statuses.next() => status_line(&status),
            Some(violation) = self.errors.next() => format!("room: {violation}"),
            line = self.lines.recv() => {
                return match line {
                    Some(line) if line != "quit" => Input::Command(line),
                    _ => Input::End,
                };
            }
        };
        say(line);
        Input::Changed
    }

    /// Prints what becomes of a write, now if it was not even taken.
    pub fn answer(&mut self, what: &'static str, written: Result<Receipt, WriteError>) {
        match written {
            // An await would do, if the program had nothing else to wait for.
            Ok(receipt) => self.later(what, receipt),
            Err(error) => say(format!("{what} refused: {error}")),
        }
    }

    /// Prints what becomes of a transaction, or of anything else that makes a version.
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

    /// Prints a line once it is known.
    pub fn tell(&mut self, line: impl Future<Output = String> + Send + 'static) {
        self.answers.spawn(line);
    }

    /// Prints the version once nothing is pending any more.
    pub fn wait(&mut self) {
        let (flush, state) = (self.state.flush(), self.state.clone());
        self.answers.spawn(async move {
            // What was refused is told where it was written.
            let _ = flush.await;
            format!("nothing pending: version {}", state.version())
        });
    }

    /// Where this program stands: the end of its status line.
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

    /// Ends the client once everything is delivered, or five seconds later, and says which.
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

/// Ends a client once everything is delivered, or five seconds later, and says which.
pub async fn goodbye(client: &Client) {
    bye(&client.close().await);
}

fn bye(unsent: &Unsent) {
    match unsent.changes() {
        0 => say("bye: everything was delivered"),
        changes => say(format!("bye: {changes} changes were not delivered")),
    }
}

/// Ctrl-C.
#[must_use]
pub fn interrupted() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

/// Prints a line. If nobody reads it any more, that is no reason to stop.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The first word of a command, and the rest.
#[must_use]
pub fn split(command: &str) -> (&str, &str) {
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    (word, rest.trim())
}

/// An error and its causes.
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

/// The lines of the standard input, by a thread: a read cannot be called off.
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

/// A status, for people.
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
