//! A server on redb for tests that kill it: `redb_server <address> <directory>`. Ends when its standard input
//! is closed.

use shared_state::proto::Limits;
use shared_state::server::{ChannelKind, Server};
use shared_state::store::RedbStore;
use shared_state_tests::{Load, serve_process};

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
    serve_process(&server, &address).await?;
    Ok(())
}
