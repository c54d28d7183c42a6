//! The state of the example `dashboard`: a layout, widgets one above the other, and what they show.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::{List, SharedState};

/// A dashboard that several people arrange.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// Its fields are written one by one.
    #[shared(nested)]
    pub layout: Layout,
    /// The last one is in front.
    #[shared(list(key = id, nested), validate(length(max = 50)))]
    pub widgets: List<Widget>,
    /// Both dates are one value: what one person means is never mixed with what another means.
    #[shared(validate(custom = DateRange::check))]
    pub range: DateRange,
    /// How often the widgets are filled again, in seconds.
    #[shared(validate(range(min = 1, max = 3_600)))]
    pub refresh: u32,
}

/// The canvas, in pixels.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Layout {
    /// To the right.
    #[shared(validate(range(min = 100, max = 10_000)))]
    pub width: u32,
    /// Down.
    #[shared(validate(range(min = 100, max = 10_000)))]
    pub height: u32,
}

/// One thing on the canvas. Its fields are written one by one.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Widget {
    /// What people call it.
    #[shared(validate(pattern("^[a-z0-9-]{1,20}$")))]
    pub id: String,
    /// What it looks like.
    pub kind: Kind,
    /// While it is dragged, the others are sent its place twenty times a second at most, and its last place.
    #[shared(throttle = "50ms")]
    pub position: Position,
    /// How large it is.
    #[shared(validate(custom = Size::check))]
    pub size: Size,
    /// Two people who set two keys at once both have them set.
    #[shared(map, validate(length(max = 20), inner(length(max = 100))))]
    pub config: BTreeMap<String, String>,
}

/// What a widget looks like.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A curve.
    Chart,
    /// Rows.
    Table,
    /// One number, large.
    Number,
}

/// Where the upper left corner is. One value: a widget is never at the x of one person and the y of another.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
}

/// How large something is.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// To the right.
    pub width: u32,
    /// Down.
    pub height: u32,
}

/// From one day to another, both as `2026-01-31`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DateRange {
    /// The first day.
    pub from: String,
    /// The last day.
    pub to: String,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            layout: Layout { width: 1_200, height: 800 },
            widgets: List::default(),
            range: DateRange { from: "2026-01-01".to_owned(), to: "2026-01-31".to_owned() },
            refresh: 30,
        }
    }
}

impl Widget {
    /// A widget in the upper left corner.
    #[must_use]
    pub fn new(id: &str, kind: Kind) -> Self {
        let size = Size { width: 200, height: 100 };
        Self { id: id.to_owned(), kind, position: Position::default(), size, config: BTreeMap::new() }
    }

    fn fits(&self, layout: &Layout) -> bool {
        self.position.x.saturating_add(self.size.width) <= layout.width
            && self.position.y.saturating_add(self.size.height) <= layout.height
    }
}

impl Position {
    /// The place after so many of all the steps to another one.
    #[must_use]
    pub fn towards(self, to: Self, step: u32, steps: u32) -> Self {
        let between = |from: u32, to: u32| {
            let (from, to, step, steps) = (i64::from(from), i64::from(to), i64::from(step), i64::from(steps));
            u32::try_from(from + (to - from) * step / steps.max(1)).unwrap_or_default()
        };
        Self { x: between(self.x, to.x), y: between(self.y, to.y) }
    }
}

impl Size {
    fn check(&self) -> Result<(), &'static str> {
        match self.width.min(self.height) {
            0..10 => Err("a widget is 10 pixels wide and high at least"),
            _ => Ok(()),
        }
    }
}

impl DateRange {
    fn check(&self) -> Result<(), String> {
        for day in [&self.from, &self.to] {
            if !is_day(day) {
                return Err(format!("{day:?} is no day; write it as 2026-01-31"));
            }
        }
        // Written like this, days are in order as texts.
        match self.from <= self.to {
            true => Ok(()),
            false => Err(format!("{} is after {}", self.from, self.to)),
        }
    }
}

fn is_day(text: &str) -> bool {
    let number =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().unwrap_or(0));
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            number(year).is_some()
                && number(month).is_some_and(|month| (1..=12).contains(&month))
                && number(day).is_some_and(|day| (1..=31).contains(&day))
        }
        _ => false,
    }
}

/// What only the server can decide: one person makes the canvas narrow while another drags a widget to its edge, and
/// each alone would be right. Whoever comes second is refused.
///
/// # Errors
/// The reason, for the author.
pub fn rules(_before: &Dashboard, after: &Dashboard, _author: &Author) -> Result<(), String> {
    let Layout { width, height } = after.layout;
    match after.widgets.iter().find(|widget| !widget.fits(&after.layout)) {
        Some(widget) => Err(format!("{} is not within {width}x{height}", widget.id)),
        None => Ok(()),
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.x, self.y)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}
