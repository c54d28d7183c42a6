//! Roles: what a user is in a room, and which roles the fields of a struct ask for.

use std::collections::BTreeSet;

use crate::core::{FieldInfo, FieldPath, FieldPathBuf, PolicyInfo};

/// The roles of a user in a room. The names are those in `#[shared(read = "..")]` and `#[shared(write =
/// "..")]`.
///
/// ```
/// use shared_state::server::Roles;
///
/// let roles = Roles::from_iter(["editor", "owner"]);
/// assert!(roles.has("owner") && !roles.has("dealer"));
/// assert!(!Roles::NONE.has("owner"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Box<str>>);

impl Roles {
    /// No roles.
    pub const NONE: Self = Self(BTreeSet::new());

    /// Whether the user has this role.
    #[must_use]
    pub fn has(&self, role: &str) -> bool {
        self.0.contains(role)
    }
}

impl<R: Into<Box<str>>> FromIterator<R> for Roles {
    fn from_iter<I: IntoIterator<Item = R>>(roles: I) -> Self {
        Self(roles.into_iter().map(Into::into).collect())
    }
}

impl<R: Into<Box<str>>, const N: usize> From<[R; N]> for Roles {
    fn from(roles: [R; N]) -> Self {
        roles.into_iter().collect()
    }
}

/// The index of the field with this name or alias.
pub(crate) fn named(fields: &'static [FieldInfo], name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name == name || field.aliases.contains(&name))
}

/// Visits `fields` and all fields inside them. A struct that occurs several times is visited once.
pub(crate) fn each_inside(
    fields: &'static [FieldInfo],
    seen: &mut Vec<*const FieldInfo>,
    visit: &mut dyn FnMut(&'static FieldInfo),
) {
    if seen.contains(&fields.as_ptr()) {
        return;
    }
    seen.push(fields.as_ptr());
    for field in fields {
        visit(field);
        if let Some(parts) = field.parts {
            each_inside(parts(), seen, visit);
        }
    }
}

/// Visits the roles that a client needs to write an update at `path`: those of the fields along the path, and
/// those of all fields inside the value there. An update that only moves an entry does not need the latter.
pub(crate) fn each_to_write(
    mut fields: &'static [FieldInfo],
    path: &str,
    op: Option<&str>,
    visit: &mut dyn FnMut(&'static str),
) {
    let mut path = FieldPath::new(path);
    while let Some(name) = path.next_segment() {
        // A field that the struct does not have asks for no role.
        let Some(field) = named(fields, &name).map(|field| &fields[field]) else { return };
        if let Some(role) = field.write {
            visit(role);
        }
        let Some(mut parts) = field.parts else { return };
        let mut about: Option<&'static PolicyInfo> = field.about;
        while let Some(entries) = about.and_then(|about| about.entries.filter(|_| about.fields.is_none()))
            && path.next_segment().is_some()
        {
            about = Some(entries);
            let Some(inside) = entries.parts() else { return };
            parts = inside;
        }
        fields = parts();
        if path.is_end() {
            break;
        }
    }
    if op != Some("move") {
        each_inside(fields, &mut Vec::new(), &mut |field| field.write.into_iter().for_each(&mut *visit));
    }
}

/// The segment that stands for any entry of a list or a map in the path of a field. [`FieldPathBuf::push`]
/// escapes `~`, so no key looks like this.
pub(crate) const ANY: &str = "~";

/// Limits of [`each_place`], since a struct may contain itself: how deep fields are visited, and how many of
/// them.
const DEPTH: usize = 8;
const MOST: usize = 1024;

/// Visits `fields` and the fields inside them, each with its path.
pub(crate) fn each_place(fields: &'static [FieldInfo], visit: &mut dyn FnMut(&str, &'static FieldInfo)) {
    places(fields, &FieldPathBuf::new(), DEPTH, &mut 0, visit);
}

fn places(
    fields: &'static [FieldInfo],
    within: &FieldPathBuf,
    depth: usize,
    count: &mut usize,
    visit: &mut dyn FnMut(&str, &'static FieldInfo),
) {
    for field in fields {
        *count += 1;
        if *count > MOST {
            return;
        }
        let mut path = within.clone();
        path.push(field.name);
        visit(path.as_str(), field);
        let (Some(mut parts), true) = (field.parts, depth > 1) else { continue };
        let mut about = field.about;
        while let Some(entries) = about.and_then(|about| about.entries.filter(|_| about.fields.is_none())) {
            path.push_any();
            about = Some(entries);
            parts = entries.parts().unwrap_or(parts);
        }
        places(parts(), &path, depth - 1, count, visit);
    }
}

/// Whether a field has this path.
pub(crate) fn has_place(mut fields: &'static [FieldInfo], path: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| *segment != ANY).peekable();
    while segments.peek().is_some() {
        let at = segments.by_ref().next().and_then(|segment| FieldPath::new(segment).next_segment());
        let Some(field) = at.and_then(|name| named(fields, &name)).map(|at| &fields[at]) else {
            return false;
        };
        match field.parts {
            Some(parts) => fields = parts(),
            None => return segments.peek().is_none(),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &[FieldInfo] = &[FieldInfo::new("text", "lww"), FieldInfo::new("pinned", "lww").write("mod")];
    const INSIDE: PolicyInfo = PolicyInfo::new("nested").fields(|| ITEM);
    const FIELDS: &[FieldInfo] = &[
        FieldInfo::new("title", "lww").write("editor").aliases(&["name"]),
        FieldInfo::new("free", "lww"),
        FieldInfo::new("items", "list").write("member").about(&PolicyInfo::new("list").entries(&INSIDE)),
        FieldInfo::new("deep", "map").about(
            &PolicyInfo::new("map").entries(&const { PolicyInfo::new("list").key("id").entries(&INSIDE) }),
        ),
        FieldInfo::new("layout", "nested").about(&INSIDE),
    ];

    #[test]
    fn every_field_has_a_place() {
        let mut found = Vec::new();
        each_place(FIELDS, &mut |path, field| found.push((path.to_owned(), field.write)));
        let expected = [
            ("title", Some("editor")),
            ("free", None),
            ("items", Some("member")),
            ("items/~/text", None),
            ("items/~/pinned", Some("mod")),
            ("deep", None),
            ("deep/~/~/text", None),
            ("deep/~/~/pinned", Some("mod")),
            ("layout", None),
            ("layout/text", None),
            ("layout/pinned", Some("mod")),
        ];
        assert_eq!(found, expected.map(|(path, role)| (path.to_owned(), role)));
        assert!(expected.iter().all(|(path, _)| has_place(FIELDS, path)));
        for path in ["other", "free/text", "items/~/other", "layout/other"] {
            assert!(!has_place(FIELDS, path), "{path}");
        }

        static LOOP: [FieldInfo; 2] = [
            FieldInfo::new("secret", "lww").write("owner"),
            FieldInfo::new("next", "nested").parts(|| &LOOP),
        ];
        let mut count = 0;
        each_place(&LOOP, &mut |_, _| count += 1);
        assert_eq!(count, 2 * DEPTH);
    }

    #[test]
    fn a_write_needs_the_roles_around_it_and_inside_it() {
        let rows: [(&str, Option<&str>, &[&str]); 13] = [
            ("title", None, &["editor"]),
            ("name", None, &["editor"]),
            ("free", None, &[]),
            ("unknown/pinned", None, &[]),
            ("items", None, &["member", "mod"]),
            ("items", Some("insert"), &["member", "mod"]),
            ("items/7", None, &["member", "mod"]),
            ("items/7", Some("move"), &["member"]),
            ("items/7/text", None, &["member"]),
            ("items/7/pinned", None, &["member", "mod"]),
            ("deep/a/7/pinned", None, &["mod"]),
            ("deep/a/7/text", None, &[]),
            ("layout", None, &["mod"]),
        ];
        for (path, op, expected) in rows {
            let mut found = Vec::new();
            each_to_write(FIELDS, path, op, &mut |role| found.push(role));
            assert_eq!(found, expected, "{path} {op:?}");
        }
    }
}
