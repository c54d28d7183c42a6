//! A TCP proxy that breaks connections in the ways a network does, and counts the bytes it carries.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Everything is carried.
    Up,
    /// Open and new connections are reset.
    Reset,
    /// Open and new connections stay open, but nothing arrives any more in either direction. A connection
    /// that existed in this state never recovers.
    BlackHole,
}

/// The bytes that one connection has carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the client to the server.
    pub up: u64,
    /// From the server to the client.
    pub down: u64,
}

#[derive(Default)]
struct Counter {
    up: AtomicU64,
    down: AtomicU64,
}

/// A proxy in front of a server.
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    /// The counters of every connection that reached the server, in order.
    counters: Arc<Mutex<Vec<Arc<Counter>>>>,
}

impl Proxy {
    /// Starts a proxy in front of the server at this address.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let link = watch::Sender::new(Link::Up);
        let counters = Arc::new(Mutex::new(Vec::new()));
        let proxy = Self { address, link: link.clone(), counters: counters.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (links, counters) = (link.subscribe(), counters.clone());
                tokio::spawn(async move {
                    // Connections may fail; the tests break them on purpose.
                    let _ = carry(client, server, links, &counters).await;
                });
            }
        });
        proxy
    }

    /// The address to connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the state of the network.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// The bytes carried by each connection that reached the server, in the order in which they were opened.
    #[must_use]
    pub fn traffic(&self) -> Vec<Traffic> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |counter: &Arc<Counter>| Traffic {
            up: counter.up.load(Ordering::Acquire),
            down: counter.down.load(Ordering::Acquire),
        };
        counters.iter().map(read).collect()
    }
}

/// Carries one connection until it ends.
async fn carry(
    client: TcpStream,
    server: SocketAddr,
    mut links: watch::Receiver<Link>,
    counters: &Mutex<Vec<Arc<Counter>>>,
) -> std::io::Result<()> {
    let link = *links.borrow_and_update();
    let (mut client, mut server) = match link {
        Link::Reset => return client.set_zero_linger(),
        Link::BlackHole => return swallow(client).await,
        Link::Up => (client, TcpStream::connect(server).await?),
    };
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let counter = Arc::new(Counter::default());
    counters.lock().unwrap_or_else(PoisonError::into_inner).push(counter.clone());
    let link = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = pass(from_client, to_server, &counter.up) => return end,
            end = pass(from_server, to_client, &counter.down) => return end,
            link = broken(&mut links) => link,
        }
    };
    match link {
        Link::Up => Ok(()),
        Link::Reset => {
            client.set_zero_linger()?;
            server.set_zero_linger()
        }
        Link::BlackHole => {
            tokio::try_join!(swallow(client), swallow(server))?;
            Ok(())
        }
    }
}

/// Waits until the network breaks.
async fn broken(links: &mut watch::Receiver<Link>) -> Link {
    match links.wait_for(|link| *link != Link::Up).await {
        Ok(link) => *link,
        Err(_) => Link::Reset, // the test is over
    }
}

/// Carries one direction until it ends.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    carried: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        // Counted before it arrives, so that a receiver finds it counted.
        carried.fetch_add(read as u64, Ordering::AcqRel);
        to.write_all(&buffer[..read]).await?;
    }
}

/// Reads and never answers, until the other end closes.
async fn swallow(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    while stream.read(&mut buffer).await? > 0 {}
    // The closing is not answered either.
    std::future::pending().await
}
