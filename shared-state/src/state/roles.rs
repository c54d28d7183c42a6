//! Roles: what somebody is in a room, and what a struct's fields ask for.

use std::collections::BTreeSet;

use crate::state::{FieldInfo, Path, PolicyInfo};

/// What somebody is in a room, in the words of `#[shared(read = "..")]` and `#[shared(write = "..")]`.
///
/// ```
/// use shared_state::state::Roles;
///
/// let roles = Roles::from_iter(["editor", "owner"]);
/// assert!(roles.has("owner") && !roles.has("dealer"));
/// assert!(!Roles::NONE.has("owner"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeSet<Box<str>>);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(BTreeSet::new());

    /// Whether this role is among them.
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

/// The shared field of this name, also of one of its other names.
pub(crate) fn named(fields: &'static [FieldInfo], name: &str) -> Option<usize> {
    fields.iter().position(|field| field.name == name || field.aliases.contains(&name))
}

/// Visits these fields and all inside them, each struct once.
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

/// The roles that an update at `path` needs to be written: of the fields on the way to where it lands, and, unless it
/// only moves an entry, of those inside the value there.
pub(crate) fn each_to_write(
    mut fields: &'static [FieldInfo],
    path: &str,
    op: Option<&str>,
    visit: &mut dyn FnMut(&'static str),
) {
    let mut path = Path::new(path);
    while let Some(name) = path.next_segment() {
        // What the struct does not have, it asks no role for.
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
