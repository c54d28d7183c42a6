//! The code that the derive generates, used as an application and as the state machines use it.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::merge::{CounterOp, NestedOp, Overlap, Versions};
use shared_state::merge::{FieldPathBuf, ServerBackend, UpdateErrorKind};
use shared_state::proto::{WireUpdate, decode_update, encode_update};
use shared_state::schema::Timing;
use shared_state::{Backend, Invalid};
use shared_state::{SharedState, WriteError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Theme {
    #[default]
    Light,
    Dark,
}

/// How the page is laid out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(rename_all = "camelCase")]
#[shared(validate = Self::room_for_columns)]
struct Layout {
    #[shared(validate(range(max = MOST_COLUMNS)))]
    columns: u8,
    #[shared(throttle = "50ms")]
    line_width: u32,
    #[shared(counter)]
    redraws: u8,
}

const MOST_COLUMNS: u8 = 12;

impl Layout {
    fn room_for_columns(&self) -> Result<(), String> {
        if u32::from(self.columns) * 10 > self.line_width && self.line_width > 0 {
            return Err(format!("{} columns do not fit", self.columns));
        }
        Ok(())
    }
}

fn no_shouting(title: &str) -> Result<(), &'static str> {
    if title.len() > 3 && title.to_uppercase() == *title { Err("do not shout") } else { Ok(()) }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = Document::published_has_title)]
struct Document {
    /// What everybody sees first.
    #[shared(debounce = "300ms", validate(length(max = 20), pattern("^[^<]*$"), custom = no_shouting))]
    title: String,
    theme: Theme,
    #[shared(validate(range(min = 12, max = 24)), rename = "fontSize")]
    #[serde(rename = "fontSize")]
    font_size: u8,
    #[shared(counter, throttle = "1s")]
    views: i64,
    #[shared(counter, debounce = "1s")]
    #[cfg(any())]
    never: i64,
    #[shared(nested)]
    layout: Layout,
    #[shared(debounce = "1s", max_wait = "2s", validate(length(min = 1, max = 3)))]
    tags: Option<Vec<String>>,
    #[serde(alias = "kind_of", default)]
    r#type: Option<u8>,
    ratio: f64,
    votes: BTreeMap<u64, bool>,
    #[shared(read_only)]
    last_edit: u64,
    #[shared(nested, read_only)]
    frozen: Layout,
    #[shared(skip)]
    #[serde(skip)]
    cached: usize,
    #[serde(skip)]
    also_cached: usize,
    published: bool,
}

impl Document {
    fn published_has_title(&self) -> Result<(), &'static str> {
        if self.published && self.title.is_empty() {
            Err("a published document needs a title")
        } else {
            Ok(())
        }
    }
}

fn valid() -> Document {
    Document { font_size: 12, ..Document::default() }
}

fn json(update: &DocumentUpdate) -> String {
    encode_update::<Document>(update).unwrap().as_str().to_owned()
}

fn read(text: &str) -> Result<DocumentUpdate, shared_state::merge::UpdateError> {
    decode_update::<Document>(&serde_json::from_str::<WireUpdate<'_>>(text).unwrap())
}

#[test]
fn updates_of_every_kind_travel() {
    let layout = Layout { columns: 3, line_width: 80, redraws: 1 };
    for (update, text) in [
        (DocumentUpdate::Title("Hi".into()), r#"{"key":"title","value":"Hi"}"#),
        (DocumentUpdate::Theme(Theme::Dark), r#"{"key":"theme","value":"Dark"}"#),
        (DocumentUpdate::FontSize(14), r#"{"key":"fontSize","value":14}"#),
        (DocumentUpdate::Views(CounterOp::Add(-2)), r#"{"key":"views","op":"add","value":-2}"#),
        (DocumentUpdate::Views(CounterOp::Set(7)), r#"{"key":"views","value":7}"#),
        (
            DocumentUpdate::Layout(NestedOp::In(Box::new(LayoutUpdate::Columns(4)))),
            r#"{"key":"layout/columns","value":4}"#,
        ),
        (
            DocumentUpdate::Layout(NestedOp::In(Box::new(LayoutUpdate::LineWidth(9)))),
            r#"{"key":"layout/lineWidth","value":9}"#,
        ),
        (
            DocumentUpdate::Layout(NestedOp::In(Box::new(LayoutUpdate::Redraws(CounterOp::Add(1))))),
            r#"{"key":"layout/redraws","op":"add","value":1}"#,
        ),
        (
            DocumentUpdate::Layout(NestedOp::Set(layout)),
            r#"{"key":"layout","value":{"columns":3,"lineWidth":80,"redraws":1}}"#,
        ),
        (DocumentUpdate::Type(None), r#"{"key":"type","value":null}"#),
        (DocumentUpdate::Ratio(0.1), r#"{"key":"ratio","value":0.1}"#),
        (DocumentUpdate::Votes(BTreeMap::from([(7, true)])), r#"{"key":"votes","value":{"7":true}}"#),
    ] {
        assert_eq!(json(&update), text);
        assert_eq!(read(text).unwrap(), update, "{text}");
        assert_eq!(serde_json::to_string(&update).unwrap(), text, "the update's own Serialize");
        assert_eq!(serde_json::from_str::<DocumentUpdate>(text).unwrap(), update, "its own Deserialize");
    }
}

#[test]
fn what_is_not_an_update_is_refused_with_its_place() {
    use UpdateErrorKind::{UnknownField, UnknownOp, WrongType};
    for (text, kind, field, message) in [
        (
            r#"{"key":"font_size","value":1}"#,
            UnknownField,
            "font_size",
            "`Document` has no field `font_size`",
        ),
        (r#"{"key":"","value":1}"#, UnknownField, "", "`Document` has no field ``"),
        (r#"{"key":"cached","value":1}"#, UnknownField, "cached", "`Document` has no field `cached`"),
        (r#"{"key":"layout/x","value":1}"#, UnknownField, "layout/x", "`Layout` has no field `x`"),
        (
            r#"{"key":"title/x","value":1}"#,
            UnknownField,
            "title/x",
            "a `lww` field has no part `x` to address",
        ),
        (
            r#"{"key":"title","op":"add","value":1}"#,
            UnknownOp,
            "title",
            "a `lww` field has no operation `add`",
        ),
        (
            r#"{"key":"layout/redraws","op":"mul","value":1}"#,
            UnknownOp,
            "layout/redraws",
            "a `counter` field has no operation `mul`",
        ),
        (
            r#"{"key":"layout/columns","value":256}"#,
            WrongType,
            "layout/columns",
            "invalid value: integer `256`, expected u8 at line 1 column 3",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(
            (error.kind, error.field.as_str(), error.message.as_str()),
            (kind, field, message),
            "{text}"
        );
    }
    let error = serde_json::from_str::<DocumentUpdate>(r#"{"key":"layout/x","value":1}"#).unwrap_err();
    assert_eq!(error.to_string(), "`layout/x`: `Layout` has no field `x`");
}

#[test]
fn an_alias_is_understood_wherever_a_name_is() {
    assert_eq!(read(r#"{"key":"kind_of","value":3}"#).unwrap(), DocumentUpdate::Type(Some(3)));
    assert_eq!(Document::field_named("kind_of"), Some(Document::TYPE.id()));
    assert_eq!(Document::field_named("type"), Some(Document::TYPE.id()));
    assert_eq!(Document::field_named("cached"), None);
    let patch: DocumentPatch = serde_json::from_str(r#"{"kind_of":3}"#).unwrap();
    assert_eq!(patch.r#type, Some(Some(3)));
}

/// A state of small values, so that two of them often have equal fields.
fn random(rng: &mut fastrand::Rng) -> Document {
    let layout = |rng: &mut fastrand::Rng| Layout {
        columns: rng.u8(0..3),
        line_width: rng.u32(0..2),
        redraws: *rng.choice([0, 1, 254, 255].iter()).unwrap(),
    };
    Document {
        title: rng.choice(["", "a", "b"]).unwrap().to_owned(),
        theme: if rng.bool() { Theme::Light } else { Theme::Dark },
        font_size: rng.u8(0..3),
        views: *rng.choice([i64::MIN, -1, 0, 1, i64::MAX].iter()).unwrap(),
        layout: layout(rng),
        tags: rng.bool().then(|| vec!["x".to_owned(); rng.usize(0..3)]),
        r#type: *rng.choice([None, Some(0), Some(1)].iter()).unwrap(),
        ratio: *rng.choice([0.0, 0.1, -1e300].iter()).unwrap(),
        votes: (0..rng.u64(0..3)).map(|user| (user, rng.bool())).collect(),
        last_edit: rng.u64(0..2),
        frozen: layout(rng),
        cached: 0,
        also_cached: 0,
        published: rng.bool(),
    }
}

#[test]
fn a_diff_applied_makes_the_new_state_and_its_inverses_the_old_one() {
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..500 {
        let (old, new) = (random(&mut rng), random(&mut rng));
        let mut state = old.clone();
        let mut inverses = Vec::new();
        let mut track = Versions::default();
        for (version, update) in (1..).zip(Document::diff(&old, &new)) {
            let travelled = read(&json(&update)).unwrap();
            assert_eq!(travelled, update);
            Document::record(&mut track, &update, version);
            inverses.push(state.apply(travelled));
        }
        assert_eq!(state, new, "round {round}");

        let mut updates = Vec::new();
        new.delta(&track, 0, &mut updates);
        let mut caught_up = old.clone();
        updates.into_iter().for_each(|update| drop(caught_up.apply(update)));
        assert_eq!(caught_up, new, "a delta brings the old state to the new one, round {round}");

        let mut copied = old.clone();
        (0..Document::FIELDS.len()).for_each(|field| copied.copy_field(&new, field));
        assert_eq!(copied, new, "round {round}");

        let mut set = old.clone();
        (0..Document::FIELDS.len()).for_each(|field| drop(set.apply(new.current(field))));
        assert_eq!(set, new, "round {round}");

        inverses.into_iter().rev().for_each(|inverse| drop(state.apply(inverse)));
        assert_eq!(state, old, "round {round}");
        assert!(Document::diff(&old, &old).is_empty());
    }
}

#[test]
fn fields_are_listed_with_their_names_policies_and_timing() {
    let listed: Vec<_> =
        Document::FIELDS.iter().map(|info| (info.name, info.policy, info.read_only)).collect();
    assert_eq!(
        listed,
        [
            ("title", "lww", false),
            ("theme", "lww", false),
            ("fontSize", "lww", false),
            ("views", "counter", false),
            ("layout", "nested", false),
            ("tags", "lww", false),
            ("type", "lww", false),
            ("ratio", "lww", false),
            ("votes", "lww", false),
            ("last_edit", "lww", true),
            ("frozen", "nested", true),
            ("published", "lww", false),
        ]
    );
    assert_eq!(Document::NAME, "Document");
    let parts = Document::FIELDS[Document::LAYOUT.id()].parts.unwrap();
    let parts: Vec<_> = parts().iter().map(|info| info.name).collect();
    assert_eq!(parts, ["columns", "lineWidth", "redraws"]);
    assert!(Document::FIELDS[Document::TITLE.id()].parts.is_none());
    assert_eq!(Document::timing(&Document::TITLE.set(String::new())), Timing::debounce(300, 3000));
    assert_eq!(Document::timing(&Document::TAGS.set(None)), Timing::debounce(1000, 2000));
    assert_eq!(
        Document::timing(&Document::VIEWS.op(CounterOp::Add(1))),
        Timing::Throttle { every: Duration::from_secs(1) }
    );
    assert_eq!(Document::timing(&Document::THEME.set(Theme::Dark)), Timing::Immediate);
    let inside = |update| Document::LAYOUT.op(NestedOp::In(Box::new(update)));
    assert_eq!(Document::timing(&inside(LayoutUpdate::LineWidth(1))), Timing::throttle(50));
    assert_eq!(Document::timing(&inside(LayoutUpdate::Columns(1))), Timing::Immediate);
    assert!(Document::read_only(&Document::LAST_EDIT.set(1)));
    assert!(Document::read_only(&DocumentUpdate::Frozen(NestedOp::In(Box::new(LayoutUpdate::Columns(1))))));
    assert!(!Document::read_only(&inside(LayoutUpdate::Columns(1))));
}

#[test]
fn keys_know_their_field() {
    let state = Document { title: "x".into(), layout: Layout { columns: 2, ..Layout::default() }, ..valid() };
    assert_eq!(Document::TITLE.get(&state), "x");
    assert_eq!(Layout::COLUMNS.get(Document::LAYOUT.get(&state)), &2);
    assert_eq!(Document::FONT_SIZE.name(), "fontSize");
    assert_eq!(Document::TYPE.set(Some(2)), DocumentUpdate::Type(Some(2)));
    assert_eq!(Document::field(&DocumentUpdate::FontSize(1)), Document::FONT_SIZE.id());
    assert_eq!(format!("{:?}", Document::LAYOUT), "Document::layout");
    assert_eq!(state.current(Document::TITLE.id()), DocumentUpdate::Title("x".into()));
}

#[test]
fn updates_of_one_field_fold_and_hide() {
    let mut first = DocumentUpdate::Title("a".into());
    assert!(Document::coalesce(&mut first, &DocumentUpdate::Title("b".into())));
    assert_eq!(first, DocumentUpdate::Title("b".into()));
    assert!(!Document::coalesce(&mut first, &DocumentUpdate::FontSize(1)));
    let add = DocumentUpdate::Views(CounterOp::Add(1));
    assert_eq!(Document::overlap(&add, &add), Overlap::Conflicts);
    assert_eq!(Document::overlap(&first, &first), Overlap::Shadowed);
    assert_eq!(Document::overlap(&first, &add), Overlap::Commutes);
}

#[test]
fn a_patch_keeps_null_apart_from_absent() {
    let absent: DocumentPatch = serde_json::from_str("{}").unwrap();
    assert!(Document::patch_updates(absent.clone()).is_empty());
    assert_eq!(serde_json::to_string(&absent).unwrap(), "{}");

    let text = r#"{"title":"T","fontSize":13,"views":5,"layout":{"lineWidth":70},"type":null,"last_edit":1}"#;
    let patch: DocumentPatch = serde_json::from_str(text).unwrap();
    assert_eq!(patch.r#type, Some(None));
    assert_eq!(serde_json::to_string(&patch).unwrap(), text);
    assert_eq!(
        Document::patch_updates(patch),
        [
            DocumentUpdate::Title("T".into()),
            DocumentUpdate::FontSize(13),
            DocumentUpdate::Views(CounterOp::Set(5)),
            DocumentUpdate::Layout(NestedOp::In(Box::new(LayoutUpdate::LineWidth(70)))),
            DocumentUpdate::Type(None),
            DocumentUpdate::LastEdit(1),
        ]
    );
    assert!(serde_json::from_str::<DocumentPatch>(r#"{"title":null}"#).is_err());
}

fn refused(result: Result<(), Invalid>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn rules_are_checked_for_the_field_that_was_touched() {
    let check = |update: DocumentUpdate| {
        let mut state = valid();
        state.apply(update.clone());
        assert_eq!(state.check(&update).is_err(), state.validate().is_err(), "{update:?}");
        state.check(&update)
    };
    let title = |text: &str| check(Document::TITLE.set(text.to_owned()));
    assert_eq!(title("fine"), Ok(()));
    assert_eq!(refused(title("123456789012345678901")), "title: length is 21, expected at most 20");
    assert_eq!(refused(title("<b>")), "title: expected a text that matches `^[^<]*$`");
    assert_eq!(refused(title("HELLO")), "title: do not shout");
    assert_eq!(refused(check(Document::FONT_SIZE.set(11))), "fontSize: value is 11, expected at least 12");
    assert_eq!(refused(check(Document::FONT_SIZE.set(25))), "fontSize: value is 25, expected at most 24");
    assert_eq!(check(Document::TAGS.set(None)), Ok(()));
    assert_eq!(refused(check(Document::TAGS.set(Some(vec![])))), "tags: length is 0, expected at least 1");
    let columns = |columns| LayoutUpdate::Columns(columns);
    let inside = |update| check(Document::LAYOUT.op(NestedOp::In(Box::new(update))));
    assert_eq!(inside(columns(12)), Ok(()));
    assert_eq!(refused(inside(columns(13))), "layout/columns: value is 13, expected at most 12");
    let whole = Layout { columns: 13, ..Layout::default() };
    assert_eq!(
        refused(check(Document::LAYOUT.set(whole))),
        "layout/columns: value is 13, expected at most 12"
    );
    // The update is valid, although another field violates its rule.
    assert_eq!(Document::default().check(&Document::THEME.set(Theme::Dark)), Ok(()));
}

#[test]
fn the_rule_over_the_whole_state_includes_the_nested_ones() {
    const { assert!(Document::HAS_RULE && Layout::HAS_RULE) };
    let untitled = Document { published: true, ..valid() };
    assert_eq!(refused(untitled.check_rule()), "a published document needs a title");
    assert_eq!(refused(untitled.validate()), "a published document needs a title");
    assert_eq!(untitled.check_rule().unwrap_err().rule, "state");
    let crowded = Document { layout: Layout { columns: 9, line_width: 80, redraws: 0 }, ..valid() };
    let error = crowded.check_rule().unwrap_err();
    assert_eq!((error.field.as_str(), error.rule), ("layout", "state"));
    assert_eq!(crowded.validate(), Err(error));
    assert_eq!(valid().check_rule(), Ok(()));
    assert_eq!(valid().validate(), Ok(()));
}

/// The smallest backend: a state, and a record of what was written.
#[derive(Clone, Debug)]
struct Local<S>(Rc<RefCell<S>>);

impl<S: SharedState> Backend<S> for Local<S> {
    type Receipt = String;
    type Error = WriteError;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.0.borrow())
    }

    fn write_with(&self, decide: impl FnOnce(&S) -> Vec<S::Update>) -> Result<String, WriteError> {
        let mut paths = Vec::new();
        let mut state = self.0.borrow_mut();
        for update in decide(&state) {
            let mut path = FieldPathBuf::new();
            S::address(&update, &mut path);
            let undo = state.apply(update);
            if let Err(invalid) = state.check(&undo) {
                state.apply(undo);
                return Err(invalid.into());
            }
            paths.push(path.into_string());
        }
        Ok(paths.join(" "))
    }
}

impl<S: SharedState> ServerBackend<S> for Local<S> {}

#[test]
fn handles_read_and_write_through_any_backend() {
    let local = Local(Rc::new(RefCell::new(valid())));
    let document = SharedDocument::from(local);
    assert_eq!(document.set_title("Hello").unwrap(), "title");
    assert_eq!(document.set_title(String::from("Hello you")).unwrap(), "title");
    assert_eq!(document.title(), "Hello you");
    assert_eq!(
        document.set_font_size(99).unwrap_err().to_string(),
        "fontSize: value is 99, expected at most 24"
    );
    assert_eq!(document.font_size(), 12);
    document.add_views(2).unwrap();
    document.add_views(3).unwrap();
    assert_eq!(document.views(), 5);
    document.set_views(1).unwrap();
    assert_eq!(document.views(), 1);
    assert_eq!(document.set_type(Some(4)).unwrap(), "type");
    assert_eq!(document.r#type(), Some(4));
    assert_eq!(document.set_last_edit(9).unwrap(), "last_edit");
    assert_eq!(document.last_edit(), 9);
    let layout = document.layout();
    assert_eq!(layout.set_columns(4).unwrap(), "layout/columns");
    layout.add_redraws(7).unwrap();
    assert_eq!((layout.columns(), layout.redraws()), (4, 7));
    assert_eq!(layout.state(), Layout { columns: 4, line_width: 0, redraws: 7 }, "through Deref");
    let patch = LayoutPatch { columns: Some(5), redraws: Some(8), ..LayoutPatch::default() };
    assert_eq!(layout.merge(patch).unwrap(), "layout/columns layout/redraws");
    assert_eq!(layout.update(|layout| layout.columns += 1).unwrap(), "layout/columns");
    assert_eq!(layout.state(), Layout { columns: 6, line_width: 0, redraws: 8 });
    assert_eq!(document.set_layout(Layout::default()).unwrap(), "layout");
    assert_eq!(document.clone().layout().columns(), 0);
    assert!(format!("{document:?}").starts_with("SharedDocument(Local("));
}

#[test]
fn a_field_is_encoded_on_its_own() {
    struct Alone<'a>(&'a Document, usize);
    impl Serialize for Alone<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.encode_field(self.1, serializer)
        }
    }
    let state = valid();
    let whole = serde_json::to_value(&state).unwrap();
    for (index, info) in Document::FIELDS.iter().enumerate() {
        let name = info.name;
        assert_eq!(serde_json::to_value(Alone(&state, index)).unwrap(), whole[name], "{name}");
    }
}

mod elsewhere {
    pub(crate) mod deep {
        use serde::{Deserialize, Serialize};

        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, shared_state::SharedState)]
        pub(crate) struct Far {
            pub(super) near: String,
            /// A field with the name of a trait item.
            pub(crate) name: String,
            fields: u8,
        }
    }

    pub(crate) fn near() -> shared_state::Field<deep::Far, String> {
        deep::Far::NEAR
    }
}

#[test]
fn a_struct_in_a_module_derives() {
    use elsewhere::deep::Far;
    assert_eq!(elsewhere::near().name(), "near");
    assert_eq!(Far::NAME.name(), "name", "a field's key comes before the trait's constant");
    assert_eq!(<Far as SharedState>::NAME, "Far");
    let mut far = Far::default();
    far.apply(elsewhere::deep::FarUpdate::Fields(3));
    assert_eq!(Far::FIELDS.get(&far), &3);
    const { assert!(!<Far as SharedState>::HAS_RULE) };
}

#[test]
fn a_struct_in_a_function_derives() {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct L;
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
    struct Inside {
        #[shared(validate(pattern("^x*$")))]
        only: String,
        unit: L,
        boxed: Option<Box<Self>>,
    }
    let inside = SharedInside::from(Local(Rc::new(RefCell::new(Inside::default()))));
    inside.set_only("xx").unwrap();
    assert!(inside.set_only("xy").is_err());
    inside.set_boxed(Some(Box::default())).unwrap();
    assert_eq!(inside.boxed(), Some(Box::default()));
    assert_eq!(inside.unit(), L);
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Counters {
    #[shared(counter)]
    up: u8,
    #[shared(counter)]
    down: u8,
}

#[test]
fn a_struct_without_plain_fields_derives() {
    let add = |by| Counters::UP.op(CounterOp::Add(by));
    assert_eq!(Counters::overlap(&add(1), &add(1)), Overlap::Conflicts);
    assert_eq!(Counters::overlap(&Counters::UP.set(1), &add(1)), Overlap::Shadowed);
    assert_eq!(Counters::overlap(&Counters::UP.set(1), &Counters::DOWN.set(1)), Overlap::Commutes);
}
