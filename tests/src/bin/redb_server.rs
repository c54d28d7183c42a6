//! A server on redb for tests that kill it: `redb_server <address> <directory>`. Ends when its standard input
//! is closed.

use shared_state::proto::Limits;
use shared_state::server::{ChannelKind, Server};
use shared_state::store::RedbStore;
use shared_state_tests::Load;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(data)) = (args.next(), args.next()) else {
        return Err("expected an address and a directory".into());
    };
    // All clients of a test have one address.
    let mut limits = Limits::default();
    limits.connections_per_address = usize::MAX;
    (limits.handshakes_per_address, limits.rooms_opened_per_address) = (100_000, 100_000);
    let server = Server::builder()
        .store(RedbStore::open(data)?)
        .limits(limits)
        .rooms("doc-*", Load::default)
        .channels(ChannelKind::any("chat").keep(usize::MAX).keep_bytes(usize::MAX).durable(true))
        .channels(ChannelKind::any("reactions"))
        .build();
    // Sets SO_REUSEADDR, because connections of a killed process would keep the port in use.
    let listener = TcpListener::bind(&address).await?;
    println!("listening {}", listener.local_addr()?);
    let (mut input, mut byte) = (tokio::io::stdin(), [0]);
    tokio::select! {
        () = server.serve(listener) => {}
        _ = input.read(&mut byte) => {}
    }
    Ok(())
}
