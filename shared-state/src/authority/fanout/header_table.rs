//! The headers of compact frames: who writes which field by which operation, under numbers that everybody in the room
//! who takes compact frames has been sent.

use std::collections::HashMap;

use crate::authority::change::Change;
use crate::proto::Frame;
use crate::proto::compact::{self, Header, SUBJECTS};

/// The numbered headers of a room.
///
/// A number is sent with the first change of its header, to all who are in the room. A session that joins has been sent
/// none: then all are forgotten, and are sent again with the next change of each.
#[derive(Debug, Default)]
pub(super) struct HeaderTable {
    /// The room's number in compact frames.
    pub(super) room: u64,
    numbers: HashMap<Header, u8>,
    /// By number, from 1 on.
    headers: Vec<Header>,
    /// How many were numbered.
    count: usize,
}

/// What a change is in compact frames.
#[derive(Clone)]
pub(super) enum Compact {
    /// It has no compact form.
    None,
    /// Its header has this number from now on.
    Introduces(u8),
    /// The frame for those who were sent its header.
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

    /// The receiver's own next change is accepted.
    pub(super) fn ack(&self) -> Frame {
        compact::frame(self.room, 0, &[])
    }

    /// A session joined that was sent no header.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
        self.headers.clear();
        self.count = 0;
    }

    /// The number under which everybody has this header.
    fn number(&self, header: &Header) -> Option<u8> {
        self.numbers.get(header).copied()
    }

    /// Numbers a header, which everybody is to be sent. The oldest is dropped if there are too many.
    fn introduce(&mut self, header: Header) -> u8 {
        let at = self.count % usize::from(SUBJECTS);
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
        let most = usize::from(SUBJECTS);
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
