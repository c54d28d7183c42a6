//! The table of numbered headers for compact frames. A header is an author, a path and an operation; every session that
//! takes compact frames has been sent each number with its header.

use std::collections::HashMap;

use crate::authority::change::Change;
use crate::proto::Frame;
use crate::proto::compact::{self, Header, MAX_HEADERS};

/// The numbered headers of a room.
///
/// A number is sent to all sessions with the first change that has its header. A session that joins knows no number:
/// the table is then emptied, and each header is numbered again with its next change.
#[derive(Debug, Default)]
pub(super) struct HeaderTable {
    /// The room's number in compact frames.
    pub(super) room: u64,
    numbers: HashMap<Header, u8>,
    /// The header of number `n` is at `n - 1`.
    headers: Vec<Header>,
    /// How many headers were numbered since the table was empty.
    count: usize,
}

/// The compact form of a change.
#[derive(Clone)]
pub(super) enum Compact {
    /// The change has no compact form.
    None,
    /// The change is sent in full and assigns this number to its header.
    Introduces(u8),
    /// The compact frame, for sessions that know the header.
    Frame(Frame),
}

impl HeaderTable {
    /// The compact form of a change.
    pub(super) fn encode(&mut self, from: &str, change: &Change) -> Compact {
        let mut updates = change.updates();
        let (Some(update), None) = (updates.next(), updates.next()) else { return Compact::None };
        let header = Header::new(from, update.key, update.op);
        let Some(value) = header.compact_value(update.value) else { return Compact::None };
        match self.number(&header) {
            Some(number) => Compact::Frame(compact::frame(self.room, number, &value)),
            None => Compact::Introduces(self.introduce(header)),
        }
    }

    /// The frame that says that the receiver's first unanswered change, which has this number, is accepted.
    pub(super) fn ack(&self, seq: u64) -> Frame {
        compact::ack(self.room, seq)
    }

    /// Empties the table, because a session joined that knows no header.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
        self.headers.clear();
        self.count = 0;
    }

    /// The number of a header that was sent already.
    fn number(&self, header: &Header) -> Option<u8> {
        self.numbers.get(header).copied()
    }

    /// Assigns a number to a header. Beyond [`MAX_HEADERS`], it takes the number of the oldest one.
    fn introduce(&mut self, header: Header) -> u8 {
        let at = self.count % usize::from(MAX_HEADERS);
        self.count += 1;
        if at < self.headers.len() {
            let before = std::mem::replace(&mut self.headers[at], header.clone());
            self.numbers.remove(&before);
        } else {
            self.headers.push(header.clone());
        }
        let number = at as u8 + 1;
        self.numbers.insert(header, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key: usize) -> Header {
        Header { from: "somebody".into(), key: key.to_string().into(), op: None }
    }

    #[test]
    fn g9_the_oldest_of_too_many_headers_is_dropped() {
        let mut headers = HeaderTable::default();
        let most = usize::from(MAX_HEADERS);
        for key in 0..=most {
            assert_eq!(headers.number(&header(key)), None);
            let number = headers.introduce(header(key));
            assert_eq!((number, headers.number(&header(key))), ((key % most) as u8 + 1, Some(number)));
        }
        assert_eq!((headers.number(&header(0)), headers.number(&header(1))), (None, Some(2)));
        assert_eq!((headers.numbers.len(), headers.headers.len()), (most, most));
        headers.forget();
        assert_eq!(headers.number(&header(1)), None);
    }
}
