//! An unreliable network between a client and the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the existing connections; later ones are not affected.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Forward,
    /// Nothing is forwarded, and neither end notices.
    Hold,
    Reset,
}

/// Forwards connections to a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// How many changes the clients have sent.
    pub(crate) changes: Arc<AtomicUsize>,
    mode: watch::Sender<watch::Sender<Mode>>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let changes = Arc::new(AtomicUsize::new(0));
        let mode = watch::Sender::new(watch::Sender::new(Mode::Forward));
        let (modes, counter) = (mode.subscribe(), changes.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mode = modes.borrow().subscribe();
                tokio::spawn(forward(client, server, mode, counter.clone()));
            }
        });
        Self { address, changes, mode }
    }

    /// Silently stops the existing connections.
    pub(crate) fn hold(&self) {
        self.mode.borrow().send_replace(Mode::Hold);
    }

    /// Lets the held connections continue.
    pub(crate) fn release(&self) {
        self.mode.borrow().send_replace(Mode::Forward);
    }

    /// Separates the existing connections from later ones, which are forwarded.
    pub(crate) fn let_others_through(&self) {
        let old = self.mode.send_replace(watch::Sender::new(Mode::Forward));
        // Leaked, so that the old connections stay held.
        std::mem::forget(old);
    }

    /// Resets the existing connections.
    pub(crate) fn reset(&self) {
        self.mode.borrow().send_replace(Mode::Reset);
        self.let_others_through();
    }

    pub(crate) fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut client: TcpStream,
    server: SocketAddr,
    mut mode: watch::Receiver<Mode>,
    changes: Arc<AtomicUsize>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut counter = Counter::default();
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Forward => {}
            Mode::Hold => {
                mode.changed().await.unwrap();
                continue;
            }
            Mode::Reset => {
                client.set_zero_linger().unwrap();
                return;
            }
        }
        let forwarded = tokio::select! {
            changed = mode.changed() => changed.map_err(std::io::Error::other),
            read = client.read(&mut up) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    changes.fetch_add(counter.count(&up[..read]), Ordering::SeqCst);
                    server.write_all(&up[..read]).await
                }
            },
            read = server.read(&mut down) => match read {
                Ok(0) | Err(_) => return,
                Ok(read) => client.write_all(&down[..read]).await,
            },
        };
        if forwarded.is_err() {
            return;
        }
    }
}

/// Counts the changes in what a client sends.
#[derive(Default)]
struct Counter {
    bytes: Vec<u8>,
    upgraded: bool,
}

impl Counter {
    fn count(&mut self, bytes: &[u8]) -> usize {
        self.bytes.extend_from_slice(bytes);
        if !self.upgraded {
            let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return 0 };
            self.bytes.drain(..end + 4);
            self.upgraded = true;
        }
        let mut changes = 0;
        while let Some(frame) = self.frame() {
            changes += usize::from(String::from_utf8_lossy(&frame).contains("\"state:change\""));
        }
        changes
    }

    /// The next masked frame.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let (length, header) = match *self.bytes.get(1)? & 0x7f {
            126 => (usize::from(u16::from_be_bytes(self.bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(self.bytes.get(2..10)?.try_into().ok()?) as usize, 10),
            short => (usize::from(short), 2),
        };
        let mask: [u8; 4] = self.bytes.get(header..header + 4)?.try_into().ok()?;
        let payload = self.bytes.get(header + 4..header + 4 + length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.bytes.drain(..header + 4 + length);
        Some(payload)
    }
}
