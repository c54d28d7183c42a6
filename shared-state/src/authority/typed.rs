//! A room whose type the server knows: every change is decoded by it and checked by its rules.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::authority::{Author, RoomState, Writer};
use crate::authority::writers::Writers;
use crate::merge::{StoredTrack, Track, scope};
use crate::protocol::{Code, Reject, push_string};
use crate::state::{Path, PathBuf, SharedState, UpdateErrorKind, WireUpdate, decode_update, encode_update};

/// What a client's change must satisfy besides the state's own rules: the state before, the state after, the
/// author.
pub type Rules<S> = dyn Fn(&S, &S, &Author) -> Result<(), String> + Send + Sync;

/// The state of a typed room.
#[derive(Clone)]
pub struct Typed<S> {
    state: S,
    track: Track,
    writers: Writers,
    rules: Option<Arc<Rules<S>>>,
}

impl<S: fmt::Debug> fmt::Debug for Typed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S: SharedState> Typed<S> {
    /// A room that begins as `initial`.
    #[must_use]
    pub fn new(initial: S) -> Self {
        Self { state: initial, track: Track::default(), writers: Writers::default(), rules: None }
    }

    /// The same room, whose clients' changes must satisfy `rules` as well. Each of them then costs a clone of
    /// the state.
    #[must_use]
    pub fn with_rules(mut self, rules: Arc<Rules<S>>) -> Self {
        self.rules = Some(rules);
        self
    }

    /// The state.
    #[must_use]
    pub const fn get(&self) -> &S {
        &self.state
    }

    /// Applies updates one after another, each as its policy settles it, and keeps what takes them back. Gives all
    /// of them as JSON if one was not applied as it came.
    fn take(
        &mut self,
        decoded: Vec<S::Update>,
        wire: &[WireUpdate<'_>],
        by: Writer<'_>,
        inverses: &mut Vec<S::Update>,
    ) -> Result<Option<String>, Reject> {
        // The hook sets whole fields, and means what is different.
        let expands = matches!(by, Writer::Client(Author::Hook { .. }));
        let mut settled: Option<Vec<String>> = None;
        // What was read as JSON is written as JSON.
        let as_they_came = |at: usize| wire[..at].iter().flat_map(serde_json::to_string).collect();
        for (at, update) in decoded.into_iter().enumerate() {
            let parts = if expands { self.state.expand(&update) } else { None };
            if parts.is_some() {
                settled.get_or_insert_with(|| as_they_came(at));
            }
            for update in parts.unwrap_or_else(|| vec![update]) {
                self.state.admit(&update)?;
                let found = self.state.settle(&self.track, &update);
                if found.is_some() {
                    settled.get_or_insert_with(|| as_they_came(at));
                }
                let update = found.unwrap_or(update);
                if let Some(settled) = &mut settled {
                    settled.push(encode_update::<S>(&update)?.as_str().to_owned());
                }
                inverses.push(self.state.apply(update));
            }
        }
        Ok(settled.map(|updates| format!("[{}]", updates.join(","))))
    }

    fn undo(&mut self, inverses: Vec<S::Update>) {
        for inverse in inverses.into_iter().rev() {
            self.state.apply(inverse);
        }
    }
}

/// Reads the updates of a change.
pub(crate) fn read_updates(updates: &str) -> Result<Vec<WireUpdate<'_>>, Reject> {
    serde_json::from_str(updates)
        .map_err(|error| Reject::new(Code::BadMessage, format!("expected an array of updates: {error}")))
}

/// The first segment of an update's path: the field.
pub(crate) fn field_of<'a>(key: &'a str) -> Cow<'a, str> {
    Path::new(key).next_segment().unwrap_or(Cow::Borrowed(key))
}

impl<S: SharedState> RoomState for Typed<S> {
    fn apply(
        &mut self,
        updates: &[WireUpdate<'_>],
        by: Writer<'_>,
        version: u64,
    ) -> Result<Option<String>, Reject> {
        let logged = if let Writer::Log { client } = by { Some(client) } else { None };
        let mut decoded = Vec::with_capacity(updates.len());
        for update in updates {
            match decode_update::<S>(update) {
                Ok(update) => decoded.push(update),
                // A field that the struct has lost since: the rest of its history stays readable.
                Err(error) if logged.is_some() && error.kind == UpdateErrorKind::UnknownField => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(client) = logged {
            for update in decoded {
                let (_, claims) = scope::claims(|| self.state.admit(&update));
                client.into_iter().for_each(|client| self.writers.bind(&claims, client));
                let touched = self.state.apply(update);
                S::touch(&mut self.track, &touched, version);
            }
            return Ok(None);
        }
        if matches!(by, Writer::Client(_))
            && let Some(update) = decoded.iter().find(|update| S::read_only(update))
        {
            let field = S::FIELDS[S::field(update)].name;
            return Err(Reject::new(Code::ReadOnly, "only the server writes this field").in_field(field));
        }
        let ruled = match (by, &self.rules) {
            (Writer::Client(author), Some(rules)) => Some((rules.clone(), author, self.state.clone())),
            _ => None,
        };
        let mut inverses = Vec::with_capacity(decoded.len());
        let (taken, claims) = scope::claims(|| self.take(decoded, updates, by, &mut inverses));
        let verdict = taken.and_then(|settled| {
            self.writers.check(&claims, by)?;
            inverses.iter().try_for_each(|touched| self.state.check(touched))?;
            if S::HAS_RULE {
                self.state.check_rule()?;
            }
            if let Some((rules, author, before)) = ruled {
                rules(&before, &self.state, author).map_err(|message| Reject::new(Code::Invalid, message))?;
            }
            Ok(settled)
        });
        match verdict {
            Ok(_) => {
                inverses.iter().for_each(|touched| S::touch(&mut self.track, touched, version));
                if let Writer::Client(author) = by {
                    self.writers.bind(&claims, author.name());
                }
            }
            Err(_) => self.undo(inverses),
        }
        verdict
    }

    fn changed(&self, key: &str) -> Result<u64, Reject> {
        self.track.changed_at(S::FIELDS, Path::new(key)).ok_or_else(|| {
            let message = format!("`{}` has no field `{key}`", S::NAME);
            Reject::new(Code::UnknownField, message).in_field(key)
        })
    }

    fn write_data(&self, out: &mut String) {
        scope::with_history(|| self.write_plain(out));
    }

    fn write_plain(&self, out: &mut String) {
        out.push('{');
        for (field, info) in S::FIELDS.iter().enumerate() {
            if field > 0 {
                out.push(',');
            }
            push_string(out, info.name);
            out.push(':');
            push_field(&self.state, field, out);
        }
        out.push('}');
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn write_delta(&self, since: u64, out: &mut String) {
        let mut updates = Vec::new();
        self.state.delta(&self.track, since, &mut updates);
        out.push('[');
        let mut first = true;
        for update in &updates {
            // What was decoded from JSON has a JSON form.
            let Ok(encoded) = encode_update::<S>(update) else { continue };
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(encoded.as_str());
        }
        out.push(']');
    }

    fn write_field(&self, key: &str, out: &mut String) {
        match S::field_named(key) {
            Some(field) => push_field(&self.state, field, out),
            None => out.push_str("null"),
        }
    }

    fn write_track(&self, out: &mut String) {
        let stored = StoredVersions { track: self.track.stored(S::FIELDS), o: self.writers.stored() };
        out.push_str(&serde_json::to_string(&stored).unwrap_or_else(|_| "{}".to_owned()));
    }

    fn restore(&mut self, data: &str, track: &str) -> Result<(), String> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(data).map_err(|error| format!("the state is not an object: {error}"))?;
        for (key, value) in fields {
            let Some(field) = S::field_named(&key) else { continue };
            let mut path = PathBuf::new();
            path.push(S::FIELDS[field].name);
            let update = S::decode(Path::new(path.as_str()), None, value).map_err(|error| {
                format!("`{}` cannot be read as a field of `{}`: {error}", error.field, S::NAME)
            })?;
            self.state.apply(update);
        }
        let stored: StoredVersions =
            serde_json::from_str(track).map_err(|error| format!("the versions are not a track: {error}"))?;
        self.track = Track::restored(stored.track, S::FIELDS);
        self.writers = Writers::restored(stored.o);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What is stored beside the data.
#[derive(serde::Serialize, serde::Deserialize)]
struct StoredVersions {
    #[serde(flatten)]
    track: StoredTrack,
    /// The numbers of writers, each with its client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    o: Vec<(u64, String)>,
}

/// The fields an accepted change touched.
pub(crate) fn touched(updates: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for update in read_updates(updates).unwrap_or_default() {
        let field = field_of(&update.key).into_owned();
        if !keys.contains(&field) {
            keys.push(field);
        }
    }
    keys
}

fn push_field<S: SharedState>(state: &S, field: usize, out: &mut String) {
    struct One<'a, S>(&'a S, usize);
    impl<S: SharedState> serde::Serialize for One<'_, S> {
        fn serialize<Ser: serde::Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
            self.0.encode_field(self.1, serializer)
        }
    }
    // What was decoded from JSON has a JSON form.
    out.push_str(&serde_json::to_string(&One(state, field)).unwrap_or_else(|_| "null".to_owned()));
}
