//! The example programs as processes, driven by their lines.

use std::fmt::Display;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a line may take before the test has failed. Nothing waits that long otherwise.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// All its lines so far.
    pub(crate) seen: Vec<String>,
}

impl Program {
    pub(crate) fn start(binary: &str, name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("it is piped"), sender.clone());
        forward(child.stderr.take().expect("it is piped"), sender);
        let input = child.stdin.take();
        Self { name: name.to_owned(), child, input, lines, seen: Vec::new() }
    }

    /// Types a command.
    pub(crate) fn type_in(&mut self, command: &str) {
        self.seen.push(format!("> {command}"));
        let input = self.input.as_mut().expect("it was not closed");
        writeln!(input, "{command}").expect("the program reads");
    }

    /// Waits for a line with this text, and gives it. Lines before it are skipped.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.fail(format!("{text:?} within {LIMIT:?}")),
                Err(RecvTimeoutError::Disconnected) => self.fail(format!("{text:?} before its end")),
            }
        }
    }

    /// Types a command and waits for a line.
    pub(crate) fn ask(&mut self, command: &str, text: &str) -> String {
        self.type_in(command);
        self.until(text)
    }

    /// Ends it by the end of its input, and says how it ended.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        self.until("bye: everything was delivered");
        self.child.wait().expect("it is a child")
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child");
    }

    /// SIGTERM.
    #[cfg(unix)]
    pub(crate) fn terminate(&mut self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().expect("there is a `kill`");
        assert!(status.success(), "no signal was sent to {}", self.name);
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it is a child")
    }

    fn fail(&self, expected: impl Display) -> ! {
        panic!("{}: expected {expected}; its lines:\n{}", self.name, self.seen.join("\n"));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // After a failure: it may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// The demo server at this address, and its URL.
pub(crate) fn demo(data: &Path, listen: &str) -> (Program, String) {
    let data = data.to_str().expect("a temporary directory has a plain name");
    let mut demo = Program::start(env!("CARGO_BIN_EXE_demo"), "demo", &["--listen", listen, "--data", data]);
    let line = demo.until("listening on ");
    let url = line.strip_prefix("listening on ").expect("the line begins so").to_owned();
    (demo, url)
}

/// An example, connected.
pub(crate) fn connected(binary: &str, url: &str, room: &str, name: &str) -> Program {
    let mut program = Program::start(binary, name, &["--url", url, "--room", room, "--name", name]);
    program.until("status: connected");
    program
}
