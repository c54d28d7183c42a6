//! A server in a process of its own, that can be killed.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::soon;

/// Ports that the system gives nobody unasked: between a kill and a restart nobody else takes the port, and nobody
/// who connects to it is given it for his own end, which would connect him to himself.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A running server process. Killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// An address that can be listened on, again and again.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn address() -> SocketAddr {
        let taken = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS))));
        let mut free = taken.take(1000).filter(|address| TcpListener::bind(address).is_ok());
        free.next().expect("one of many ports is free")
    }

    /// Starts `program`, which is told where to listen and where its data is, and says when it does.
    ///
    /// # Panics
    /// If it does not.
    pub async fn start(program: &str, address: SocketAddr, data: &Path) -> Self {
        let mut child = Command::new(program)
            .arg(address.to_string())
            .arg(data)
            .stdin(Stdio::piped()) // it ends with it, so that it does not outlive a test that was aborted
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built with the tests");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let line = soon("the server's start", lines.next_line()).await.expect("the server says text");
        assert_eq!(line, Some(format!("listening {address}")));
        Self { child }
    }

    /// Kills it with `SIGKILL`, and waits for its end.
    ///
    /// # Panics
    /// If it had ended before.
    pub async fn kill(mut self) {
        self.child.start_kill().expect("it can be killed");
        let status = soon("the server's end", self.child.wait()).await.expect("it can be waited for");
        assert_eq!(status.code(), None, "it ended by itself: {status}");
    }
}
