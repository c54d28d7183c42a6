//! What brief frames can be about: who writes which field by which operation, under numbers that everybody in the room
//! who takes brief frames was told.

use std::collections::HashMap;

use crate::proto::compact::{Header, SUBJECTS};

/// The numbered headers of a room.
///
/// A number is told with the first change of its header, to all who are in the room. Somebody who comes has heard of
/// none: then all are forgotten, and told again with the next change of each.
#[derive(Debug, Default)]
pub(super) struct HeaderTable {
    numbers: HashMap<Header, u8>,
    /// By number, from 1 on.
    headers: Vec<Header>,
    /// How many were numbered.
    count: usize,
}

impl HeaderTable {
    /// Somebody came who was told of no header.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
        self.headers.clear();
        self.count = 0;
    }

    /// The number under which everybody knows this.
    pub(super) fn number(&self, header: &Header) -> Option<u8> {
        self.numbers.get(header).copied()
    }

    /// Numbers a header; everybody is to be told. The oldest gives way if there are too many.
    pub(super) fn introduce(&mut self, header: Header) -> u8 {
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
    fn g9_the_oldest_of_too_many_subjects_gives_way() {
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
