//! What brief frames can be about: who writes which field by which operation, under numbers that everybody in the room
//! who takes brief frames was told.

use std::collections::HashMap;

use crate::proto::compact::{SUBJECTS, Subject};

/// The numbered subjects of a room.
///
/// A number is told with the first change of its subject, to all who are in the room. Somebody who comes has heard of
/// none: then all are forgotten, and told again with the next change of each.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    numbers: HashMap<Subject, u8>,
    /// By number, from 1 on.
    subjects: Vec<Subject>,
    /// How many were numbered.
    count: usize,
}

impl Subjects {
    /// Somebody came who was told of no subject.
    pub(super) fn forget(&mut self) {
        self.numbers.clear();
        self.subjects.clear();
        self.count = 0;
    }

    /// The number under which everybody knows this.
    pub(super) fn number(&self, subject: &Subject) -> Option<u8> {
        self.numbers.get(subject).copied()
    }

    /// Numbers a subject; everybody is to be told. The oldest gives way if there are too many.
    pub(super) fn introduce(&mut self, subject: Subject) -> u8 {
        let at = self.count % usize::from(SUBJECTS);
        self.count += 1;
        if at < self.subjects.len() {
            let before = std::mem::replace(&mut self.subjects[at], subject.clone());
            self.numbers.remove(&before);
        } else {
            self.subjects.push(subject.clone());
        }
        let number = at as u8 + 1;
        self.numbers.insert(subject, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(key: usize) -> Subject {
        Subject { from: "somebody".into(), key: key.to_string().into(), op: None }
    }

    #[test]
    fn g9_the_oldest_of_too_many_subjects_gives_way() {
        let mut subjects = Subjects::default();
        let most = usize::from(SUBJECTS);
        for key in 0..=most {
            assert_eq!(subjects.number(&subject(key)), None);
            let number = subjects.introduce(subject(key));
            assert_eq!((number, subjects.number(&subject(key))), ((key % most) as u8 + 1, Some(number)));
        }
        assert_eq!((subjects.number(&subject(0)), subjects.number(&subject(1))), (None, Some(2)));
        assert_eq!((subjects.numbers.len(), subjects.subjects.len()), (most, most));
        subjects.forget();
        assert_eq!(subjects.number(&subject(1)), None);
    }
}
