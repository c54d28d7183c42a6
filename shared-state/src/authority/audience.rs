//! Which sessions may read which fields. Sessions that hold the same roles form an audience; a frame is made once for
//! each audience.
//!
//! A field is sent whole or not at all: its readers need every role that the field, or any field inside it, requires.
//! Each role is a bit of a `u64`, so that comparing audiences is one instruction. A room whose struct requires no role
//! to read has no [`Audiences`] and no cost.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::authority::change::{Change, Update, field_of};
use crate::authority::permissions::Permissions;
use crate::core::shape::fnv;
use crate::core::{FieldInfo, FieldPathBuf, roles};
use crate::proto::push_string;

/// A set of roles that readers need, one bit for each role.
pub(super) type Audience = u64;

/// How many roles have a bit of their own. Further roles share the last bit, which no audience holds.
const ROLES: usize = 63;

/// The roles that the fields of a struct require of their readers.
pub(super) struct Audiences {
    roles: Vec<&'static str>,
    /// The required roles of each restricted field, by its name and its aliases.
    needs: BTreeMap<&'static str, Audience>,
}

impl Audiences {
    /// `None`: no field requires a role to be read.
    pub(super) fn of(fields: &'static [FieldInfo]) -> Option<Self> {
        let mut this = Self { roles: Vec::new(), needs: BTreeMap::new() };
        for field in fields {
            let mut need = 0;
            let mut asks =
                |field: &'static FieldInfo| field.read.into_iter().for_each(|role| need |= this.bit(role));
            asks(field);
            if let Some(parts) = field.parts {
                roles::each_inside(parts(), &mut Vec::new(), &mut asks);
            }
            if need > 0 {
                let names = field.aliases.iter().copied().chain([field.name]);
                this.needs.extend(names.map(|name| (name, need)));
            }
        }
        (!this.needs.is_empty()).then_some(this)
    }

    fn bit(&mut self, role: &'static str) -> Audience {
        let at = self.roles.iter().position(|known| *known == role).unwrap_or_else(|| {
            self.roles.push(role);
            self.roles.len() - 1
        });
        1 << at.min(ROLES)
    }

    /// The audience of a session with these permissions.
    pub(super) fn with(&self, permissions: Option<&dyn Permissions>) -> Audience {
        let Some(permissions) = permissions else { return 0 };
        let held = self.roles.iter().take(ROLES).enumerate().filter(|(_, role)| permissions.has(role));
        held.fold(0, |all, (at, _)| all | 1 << at)
    }

    /// The roles required to read the field at a path.
    fn need(&self, path: &str) -> Audience {
        self.needs.get(&*field_of(path)).copied().unwrap_or(0)
    }

    /// A role that this audience lacks to read at a path; `None` if it may read there.
    pub(super) fn lacks(&self, audience: Audience, path: &str) -> Option<&'static str> {
        let lacking = self.need(path) & !audience;
        let at = (lacking > 0).then(|| lacking.trailing_zeros() as usize)?;
        self.roles.get(at).copied()
    }

    /// Whether there are fields that this audience may not see.
    pub(super) fn hides(&self, audience: Audience) -> bool {
        self.needs.values().any(|need| need & !audience > 0)
    }

    /// Whether this audience may read at a path.
    fn may_read(&self, audience: Audience, path: &str) -> bool {
        self.need(path) & !audience == 0
    }

    /// An update as this audience may see it; `None`: it may not. An item that moves to where it may not read is deleted
    /// for it.
    pub(super) fn shown<'a>(&self, audience: Audience, update: Update<'a>) -> Option<Update<'a>> {
        if !self.may_read(audience, update.key) {
            return None;
        }
        match update.destination() {
            Some(to) if !self.may_read(audience, &to) => {
                Some(Update { op: Some("delete"), value: "null", ..update })
            }
            _ => Some(update),
        }
    }

    /// Whether this audience may see an update as it is.
    fn is_shown(&self, audience: Audience, update: Update<'_>) -> bool {
        self.shown(audience, update) == Some(update)
    }

    /// The fields that this audience may not see, by their paths.
    pub(super) fn hidden(&self, audience: Audience, fields: &'static [FieldInfo]) -> Vec<String> {
        let hidden =
            fields.iter().filter(|field| self.needs.get(field.name).is_some_and(|need| need & !audience > 0));
        hidden.map(|field| FieldPathBuf::of(field.name).into_string()).collect()
    }

    /// Identifies the fields that this audience may see. The token is the same in every program that has the same
    /// struct. A delta for one session is valid for every other session with the same token.
    pub(super) fn token(&self, audience: Audience, fields: &'static [FieldInfo]) -> u64 {
        let mut hidden = self.hidden(audience, fields);
        hidden.sort_unstable();
        fnv(hidden.join("\n").as_bytes())
    }

    /// The union of the roles required to read the fields that a change updates.
    pub(super) fn needs(&self, change: &Change) -> Audience {
        change.updates().fold(0, |all, update| {
            let to = update.destination().map_or(0, |to| self.need(&to));
            all | self.need(update.key) | to
        })
    }

    /// The updates of a change that this audience may see, as a JSON array.
    pub(super) fn updates<'a>(&self, audience: Audience, change: &'a Change) -> Cow<'a, str> {
        if change.updates().all(|update| self.is_shown(audience, update)) {
            return Cow::Borrowed(change.text());
        }
        Cow::Owned(array(change.updates().filter_map(|update| self.shown(audience, update))))
    }

    /// Those of the moves of a change, each the update that takes an item from its former list, that this audience may see
    /// from both ends, as a JSON array.
    pub(super) fn moves<'a>(&self, audience: Audience, change: &'a Change) -> Cow<'a, str> {
        if change.updates().all(|update| self.is_shown(audience, update)) {
            return Cow::Borrowed(change.text());
        }
        Cow::Owned(array(change.updates().filter(|update| self.is_shown(audience, *update))))
    }

    /// The members of a JSON object of fields that this audience may see. If `data` is not an object and something is
    /// hidden from the audience, an empty object.
    pub(super) fn fields<'a>(&self, audience: Audience, data: &'a str) -> Cow<'a, str> {
        if !self.hides(audience) {
            return Cow::Borrowed(data);
        }
        let fields = serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(data);
        let Ok(fields) = fields else { return Cow::Borrowed("{}") };
        let shown = fields.into_iter().filter(|(name, _)| {
            // The members are field names and not paths, so they have no escapes.
            self.needs.get(&**name).is_none_or(|need| need & !audience == 0)
        });
        let shown: Vec<_> = shown.map(|(name, value)| (value.get().to_owned(), name.into_owned())).collect();
        Cow::Owned(object(&shown))
    }
}

/// Writes updates as a JSON array.
fn array<'a>(updates: impl Iterator<Item = Update<'a>>) -> String {
    let mut out = String::from("[");
    for update in updates {
        if out.len() > 1 {
            out.push(',');
        }
        update.write(&mut out);
    }
    out.push(']');
    out
}

/// Writes a JSON object from pairs of a value, which is JSON already, and its field's name.
pub(super) fn object(fields: &[(String, impl AsRef<str>)]) -> String {
    let mut out = String::from("{");
    for (index, (value, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(&mut out, field.as_ref());
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &[FieldInfo] = &[FieldInfo::new("suit", "lww"), FieldInfo::new("note", "lww").read("dealer")];
    const FIELDS: &[FieldInfo] = &[
        FieldInfo::new("turn", "lww"),
        FieldInfo::new("hand", "lww").read("seat").aliases(&["cards"]),
        FieldInfo::new("top", "nested").read("seat").parts(|| CARD),
    ];

    struct Holds(&'static [&'static str]);

    impl Permissions for Holds {
        fn write(&self, _: &str) -> Result<(), String> {
            Ok(())
        }

        fn has(&self, role: &str) -> bool {
            self.0.contains(&role)
        }
    }

    #[test]
    fn each_audience_is_shown_what_it_may_see() {
        let audiences = Audiences::of(FIELDS).unwrap();
        let text = r#"[{"key":"turn","value":1},{"key":"cards","value":2},{"key":"top/suit","value":3}]"#;
        let updates = Change::written(text.to_owned());
        let data = r#"{"turn":1,"hand":2,"top":{"suit":3}}"#;
        let one = r#"[{"key":"turn","value":1}]"#;
        let two = r#"[{"key":"turn","value":1},{"key":"cards","value":2}]"#;
        let rows: [(&[&str], &str, &str); 4] = [
            (&[], one, r#"{"turn":1}"#),
            (&["dealer"], one, r#"{"turn":1}"#),
            (&["seat"], two, r#"{"hand":2,"turn":1}"#),
            (&["seat", "dealer"], text, data),
        ];
        for (held, expected, fields) in rows {
            let audience = audiences.with(Some(&Holds(held)));
            assert_eq!(audiences.updates(audience, &updates), expected, "{held:?}");
            assert_eq!(audiences.fields(audience, data), fields, "{held:?}");
        }
        assert_eq!(audiences.hidden(audiences.with(None), FIELDS), ["hand", "top"]);
        assert_eq!(audiences.hidden(audiences.with(Some(&Holds(&["seat"]))), FIELDS), ["top"]);
        let token = |held| audiences.token(audiences.with(Some(&Holds(held))), FIELDS);
        assert_eq!(token(&[]), token(&["dealer"]));
        assert!(token(&[]) != token(&["seat"]) && token(&["seat"]) != token(&["seat", "dealer"]));
        assert_eq!(audiences.lacks(audiences.with(None), "hand"), Some("seat"));
        assert_eq!(audiences.lacks(audiences.with(Some(&Holds(&["seat"]))), "top/suit"), Some("dealer"));
        assert!(Audiences::of(&FIELDS[..1]).is_none());
    }

    #[test]
    fn g12_where_an_item_has_gone_is_shown_only_to_those_who_may_read_there() {
        let audiences = Audiences::of(FIELDS).unwrap();
        let take = |to: &str| format!(r#"{{"key":"turn/7","op":"take","value":{{"to":"{to}"}}}}"#);
        let (open, secret) = (take("turn"), take("hand/FIREBIRD"));
        let change =
            Change::written(format!(r#"[{open},{secret},{{"key":"hand","op":"insert","value":1}}]"#));
        let (all, none) = (audiences.with(Some(&Holds(&["seat"]))), audiences.with(None));
        let delete = r#"{"key":"turn/7","op":"delete","value":null}"#;
        assert_eq!(audiences.updates(all, &change), change.text());
        assert_eq!(audiences.updates(none, &change), format!("[{open},{delete}]"));
        let moves = Change::written(format!("[{open},{secret}]"));
        assert_eq!(audiences.moves(all, &moves), moves.text());
        assert_eq!(audiences.moves(none, &moves), format!("[{open}]"));
        assert!(audiences.needs(&moves) > 0);
    }

    #[test]
    fn roles_beyond_the_last_bit_are_held_by_nobody() {
        let mut audiences = Audiences { roles: Vec::new(), needs: BTreeMap::new() };
        let names: Vec<&'static str> = (0..70).map(|at| &*format!("role-{at}").leak()).collect();
        let bits: Vec<_> = names.iter().map(|role| audiences.bit(role)).collect();
        struct All;
        impl Permissions for All {
            fn write(&self, _: &str) -> Result<(), String> {
                Ok(())
            }
            fn has(&self, _: &str) -> bool {
                true
            }
        }
        let held = audiences.with(Some(&All));
        assert!(bits[..63].iter().all(|bit| held & bit != 0));
        assert!(bits[63..].iter().all(|bit| held & bit == 0));
    }
}
