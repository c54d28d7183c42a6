//! A server in a process of its own that can be killed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use shared_state::server::Server;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::soon;

/// Ports outside the system's ephemeral range. So between a kill and a restart no other process gets the
/// port, and no client gets it for its own end, which would connect the client to itself.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Serves on an address, in a program that a [`Process`] is, until the standard input is closed.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_process(server: &Server, address: &str) -> std::io::Result<()> {
    // Sets SO_REUSEADDR, because connections of a killed process would keep the port in use.
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening {}", listener.local_addr()?);
    let (mut input, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        () = server.serve(listener) => {}
        _ = input.read(&mut byte) => {}
    }
    Ok(())
}

/// A running server process. Killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// An address that can be listened on repeatedly.
    ///
    /// # Panics
    /// If no port is free.
    #[must_use]
    pub fn address() -> SocketAddr {
        let taken = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS))));
        let mut free = taken.take(1000).filter(|address| TcpListener::bind(address).is_ok());
        free.next().expect("one of many ports is free")
    }

    /// Starts `program` with the address and the directory of its data, and waits until it listens.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn start(program: &str, address: SocketAddr, data: &Path) -> Self {
        Self::start_with(program, address, data, &[]).await
    }

    /// As [`start`](Self::start), with further arguments.
    ///
    /// # Panics
    /// If it does not listen.
    pub async fn start_with(program: &str, address: SocketAddr, data: &Path, more: &[String]) -> Self {
        let mut child = Command::new(program)
            .arg(address.to_string())
            .arg(data)
            .args(more)
            .stdin(Stdio::piped()) // ends the process with the test, even if that was aborted
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built with the tests");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = soon("the server's start", lines.next_line()).await.expect("the server says text");
        assert_eq!(line, Some(format!("listening {address}")));
        Self { child }
    }

    /// The process's number; `None` if it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Kills the process with `SIGKILL`, and waits until it has ended.
    ///
    /// # Panics
    /// If it had ended before.
    pub async fn kill(mut self) {
        self.child.start_kill().expect("it can be killed");
        let status = soon("the server's end", self.child.wait()).await.expect("it can be waited for");
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }
}
