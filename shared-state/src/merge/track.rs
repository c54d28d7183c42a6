//! Which version last changed what: the bookkeeping from which a delta is made.

/// The versions that last changed a value and, where a policy addresses them, its parts.
///
/// A tree that mirrors the paths updates have been addressed to: a plain field is one node; a nested struct has
/// a node per inner field, made when one is first changed alone. It never grows beyond the number of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    changed: u64,
    whole: u64,
    parts: Vec<Track>,
}

impl Track {
    /// The version that last changed the value or a part of it; 0 if none did.
    #[must_use]
    pub const fn changed(&self) -> u64 {
        self.changed
    }

    /// The version that last replaced the value as a whole; 0 if none did.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    /// Notes that the value was replaced as a whole. What was known of its parts is no longer needed.
    pub fn set_whole(&mut self, version: u64) {
        *self = Self { changed: version, whole: version, parts: Vec::new() };
    }

    /// The node of part `index`, to be noted in; the value itself counts as changed at `version`.
    pub fn part_mut(&mut self, index: usize, version: u64) -> &mut Self {
        self.changed = version;
        if self.parts.len() <= index {
            self.parts.resize_with(index + 1, Self::default);
        }
        &mut self.parts[index]
    }

    /// The node of part `index`, if that part was ever changed alone.
    #[must_use]
    pub fn part(&self, index: usize) -> Option<&Self> {
        self.parts.get(index)
    }

    /// Visits the changed leaves and wholes as (path of indices, version replaced as a whole).
    pub fn each(&self, visit: &mut dyn FnMut(&[usize], u64)) {
        fn walk(track: &Track, path: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize], u64)) {
            if track.whole > 0 {
                visit(path, track.whole);
            }
            for (index, part) in track.parts.iter().enumerate() {
                path.push(index);
                walk(part, path, visit);
                path.pop();
            }
        }
        walk(self, &mut Vec::new(), visit);
    }

    /// Notes, at a path of indices, that the value there was replaced as a whole; the inverse of
    /// [`each`](Self::each), which visits parents before their parts.
    pub fn restore(&mut self, path: &[usize], version: u64) {
        match path {
            [] => {
                self.whole = version;
                self.changed = self.changed.max(version);
            }
            [index, rest @ ..] => {
                let changed = self.changed.max(version);
                self.part_mut(*index, changed).restore(rest, version);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_survives_being_visited_and_restored() {
        let mut track = Track::default();
        track.part_mut(2, 3).set_whole(3);
        track.part_mut(0, 4).part_mut(1, 4).set_whole(4);
        track.part_mut(0, 9).set_whole(9);
        track.part_mut(0, 11).part_mut(5, 11).set_whole(11);
        let mut restored = Track::default();
        track.each(&mut |path, version| restored.restore(path, version));
        assert_eq!(restored, track);
        assert_eq!(restored.changed(), 11);
        assert_eq!(restored.part(0).map(Track::whole), Some(9));
    }
}
