//! What one address may have: sockets and connections at once, new connections and opened rooms a second, and a share of
//! the processors' time. So that one client, under however many names, leaves room for the others.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::proto::Limits;
use crate::server::access::Handshake;
use crate::server::processor_time::{AllTime, Part, Spent};
use crate::server::rate_limit::{ByteRate, TokenBucket};

/// With this many addresses, those without a connection whose budgets are full are forgotten, once a second at most. With
/// four times as many, all without a connection are.
const MAX_KNOWN: usize = 10_000;

/// An address as it is counted: an IPv6 host has a whole `/64`.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

/// How the address of a client is found.
#[derive(Clone, Default)]
pub(super) struct ClientAddress(Option<Arc<AddressOf>>);

type AddressOf = dyn Fn(&Handshake) -> Option<IpAddr> + Send + Sync;

impl ClientAddress {
    pub(super) fn by(address: impl Fn(&Handshake) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(address)))
    }

    /// Whether a client's address is that of its socket.
    pub(super) const fn is_peer(&self) -> bool {
        self.0.is_none()
    }

    /// The address of the client of a request, if it is known.
    pub(super) fn of(&self, request: &Handshake) -> Option<IpAddr> {
        match &self.0 {
            Some(address) => address(request),
            None => request.peer().map(|peer| peer.ip()),
        }
    }
}

/// The addresses of a server's clients.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<All>,
    connections: usize,
    handshakes: u32,
    rooms: u32,
    bytes: usize,
}

#[derive(Debug)]
struct All {
    by_address: HashMap<IpAddr, Known>,
    /// How many addresses have connections.
    connected: usize,
    time: AllTime,
    /// When idle addresses were last forgotten.
    cleaned: Option<Instant>,
}

impl All {
    /// Makes space for one more address.
    fn clean(&mut self, now: Instant) {
        let len = self.by_address.len();
        let is_due =
            self.cleaned.is_none_or(|last| now.saturating_duration_since(last) >= Duration::from_secs(1));
        if len >= 4 * MAX_KNOWN {
            self.by_address.retain(|_, known| known.is_present());
        } else if len >= MAX_KNOWN && is_due {
            self.by_address.retain(|_, known| known.is_present() || !known.is_idle(now));
            self.cleaned = Some(now);
        }
    }
}

#[derive(Debug)]
struct Known {
    connections: usize,
    /// Sockets that may become connections.
    sockets: usize,
    handshakes: TokenBucket,
    rooms: TokenBucket,
    bytes: ByteRate,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// The address has as many connections as it may.
    Connections(usize),
    /// The address begins connections too often.
    Handshakes(u32),
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections(most) => write!(f, "your address has {most} connections, the most it may have"),
            Self::Handshakes(most) => {
                write!(f, "your address begins more than {most} connections a second; try again later")
            }
        }
    }
}

impl Addresses {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            known: Mutex::new(All {
                by_address: HashMap::new(),
                connected: 0,
                time: AllTime::new(),
                cleaned: None,
            }),
            connections: limits.connections_per_address,
            handshakes: limits.handshakes_per_address,
            rooms: limits.rooms_opened_per_address,
            bytes: limits.bytes_per_address,
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new connection of an address.
    ///
    /// # Errors
    /// The address has too many, or begins them too often.
    pub(super) fn connect(self: &Arc<Self>, address: IpAddr) -> Result<Counted, Crowded> {
        let (address, now) = (network(address), Instant::now());
        let mut all = self.lock();
        let known = self.known(&mut all, address, now);
        if known.connections >= self.connections {
            return Err(Crowded::Connections(self.connections));
        }
        if !known.handshakes.take(now) {
            return Err(Crowded::Handshakes(self.handshakes));
        }
        known.connections += 1;
        let is_first = known.connections == 1;
        all.connected += usize::from(is_first);
        Ok(Counted { addresses: self.clone(), address })
    }

    /// Counts a socket that may become a connection. `None`: the address has as many as it may have connections.
    pub(super) fn accept(self: &Arc<Self>, address: IpAddr) -> Option<Accepted> {
        let address = network(address);
        let mut all = self.lock();
        let known = self.known(&mut all, address, Instant::now());
        (known.sockets < self.connections).then(|| {
            known.sockets += 1;
            Accepted { addresses: self.clone(), address }
        })
    }

    fn known<'a>(&self, all: &'a mut All, address: IpAddr, now: Instant) -> &'a mut Known {
        if !all.by_address.contains_key(&address) {
            all.clean(now);
        }
        all.by_address.entry(address).or_insert_with(|| Known {
            connections: 0,
            sockets: 0,
            handshakes: per_second(self.handshakes),
            rooms: per_second(self.rooms),
            bytes: ByteRate::new(self.bytes, now),
        })
    }
}

/// A bucket that is filled in ten seconds.
fn per_second(rate: u32) -> TokenBucket {
    let rate = rate.max(1);
    TokenBucket::new(rate.saturating_mul(10), Duration::from_secs(1) / rate)
}

impl Known {
    fn is_present(&self) -> bool {
        self.connections > 0 || self.sockets > 0
    }

    /// Whether forgetting it changes nothing.
    fn is_idle(&mut self, now: Instant) -> bool {
        self.handshakes.is_full(now) && self.rooms.is_full(now) && self.bytes.is_empty(now)
    }
}

/// A connection that is counted for its address until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Counted {
    /// Whether the address may open one more room that is not in memory.
    pub(super) fn open_room(&self) -> bool {
        let mut all = self.addresses.lock();
        all.by_address.get_mut(&self.address).is_none_or(|known| known.rooms.take(Instant::now()))
    }

    /// Counts bytes that the connection has sent. Returns how long it is not to be read.
    pub(super) fn received(&self, bytes: usize) -> Duration {
        let mut all = self.addresses.lock();
        let known = all.by_address.get_mut(&self.address);
        known.map_or(Duration::ZERO, |known| known.bytes.add(bytes, Instant::now()))
    }

    /// Counts what the connection has spent; returns what it may take. `others_wait`: tasks wait for a processor.
    pub(super) fn spend(&self, spent: Spent, others_wait: bool, now: Instant) -> Part {
        let All { by_address, connected, time, .. } = &mut *self.addresses.lock();
        let connections = by_address.get(&self.address).map_or(1, |known| known.connections);
        time.take(spent, others_wait, (*connected, connections), now)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.addresses.lock();
        let Some(known) = all.by_address.get_mut(&self.address) else { return };
        known.connections = known.connections.saturating_sub(1);
        all.connected -= usize::from(known.connections == 0);
    }
}

/// A socket that is counted for its address until this is dropped.
#[derive(Debug)]
pub(super) struct Accepted {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(known) = self.addresses.lock().by_address.get_mut(&self.address) {
            known.sockets = known.sockets.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(connections: usize, handshakes: u32, rooms: u32) -> Arc<Addresses> {
        Arc::new(Addresses::new(&Limits {
            connections_per_address: connections,
            handshakes_per_address: handshakes,
            rooms_opened_per_address: rooms,
            ..Limits::default()
        }))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_connections_until_they_end() {
        let all = addresses(2, 100, 1);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let mut held = vec![all.connect(one).unwrap(), all.connect(address("::ffff:192.0.2.1")).unwrap()];
        assert_eq!(all.connect(one).unwrap_err(), Crowded::Connections(2));
        assert!(all.connect(other).is_ok());
        held.pop();
        assert!(all.connect(one).is_ok());
    }

    #[test]
    fn an_address_has_as_many_sockets_as_connections() {
        let all = addresses(2, 100, 1);
        let one = address("192.0.2.1");
        let mut held = vec![all.accept(one).unwrap(), all.accept(one).unwrap()];
        assert!(all.accept(one).is_none() && all.accept(address("192.0.2.2")).is_some());
        // A socket that has become a connection is counted there.
        let _connection = all.connect(one).unwrap();
        held.pop();
        assert!(all.accept(one).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let all = addresses(1, 100, 1);
        let _held = all.connect(address("2001:db8::1")).unwrap();
        assert!(all.connect(address("2001:db8::ffff:1")).is_err());
        assert!(all.connect(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn connections_and_rooms_have_a_rate() {
        let all = addresses(1_000, 1, 2);
        let one = address("192.0.2.1");
        let held: Vec<_> = (0..10).map(|_| all.connect(one).unwrap()).collect();
        assert_eq!(all.connect(one).unwrap_err(), Crowded::Handshakes(1));
        assert_eq!((0..100).filter(|_| held[0].open_room()).count(), 20);
        assert!(all.connect(address("192.0.2.2")).unwrap().open_room());
    }

    #[test]
    fn the_processors_are_shared_by_address_and_connection() {
        let all = addresses(2, 100, 1);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let mut held = vec![all.connect(one).unwrap()];
        let share = |counted: &Counted| {
            all.lock().time = AllTime::shared_equally();
            counted.spend(Spent::NOTHING, false, Instant::now()).share
        };
        let whole = share(&held[0]);
        held.push(all.connect(one).unwrap());
        assert_eq!(share(&held[1]), whole / 2.0);
        let other = all.connect(other).unwrap();
        assert_eq!((share(&held[0]), share(&other)), (whole / 4.0, whole / 2.0));
        drop(other);
        held.pop();
        assert_eq!(share(&held[0]), whole);
    }

    #[test]
    fn the_connections_of_an_address_share_its_bytes() {
        let all = Arc::new(Addresses::new(&Limits { bytes_per_address: 1_000, ..Limits::default() }));
        let held = [(); 2].map(|()| all.connect(address("192.0.2.1")).unwrap());
        assert_eq!(held[0].received(9_000), Duration::ZERO);
        assert!(held[1].received(3_000) > Duration::from_millis(1_500));
        let other = all.connect(address("192.0.2.2")).unwrap();
        assert_eq!(other.received(9_000), Duration::ZERO);
    }

    #[test]
    fn addresses_that_have_gone_are_forgotten() {
        let all = addresses(1, 1, 1_000_000);
        let _held = all.connect(address("192.0.2.1")).unwrap();
        for n in 0..=u32::try_from(4 * MAX_KNOWN).unwrap() {
            let _ = all.connect(IpAddr::V4((0x0A00_0000 + n).into()));
        }
        assert!(all.lock().by_address.len() <= 4 * MAX_KNOWN);
        assert!(all.connect(address("192.0.2.1")).is_err(), "one that is connected is not forgotten");
    }
}
