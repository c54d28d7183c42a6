//! The state of the example `dashboard`: a canvas, widgets one above the other, and their configuration.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use shared_state::Author;
use shared_state::{List, SharedState};

/// A dashboard that several people arrange.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Dashboard {
    /// The canvas. Nested: its fields are written one by one.
    #[shared(nested)]
    pub layout: Layout,
    /// The widgets, from back to front.
    #[shared(list(key = id, nested), validate(length(max = 50)))]
    pub widgets: List<Widget>,
    /// The range of dates shown. Both dates are one value, so that those of two people are never mixed.
    #[shared(validate(custom = DateRange::check))]
    pub range: DateRange,
    /// How often the widgets are refreshed, in seconds.
    #[shared(validate(range(min = 1, max = 3_600)))]
    pub refresh: u32,
}

/// The size of the canvas, in pixels.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Layout {
    /// Its width.
    #[shared(validate(range(min = 100, max = 10_000)))]
    pub width: u32,
    /// Its height.
    #[shared(validate(range(min = 100, max = 10_000)))]
    pub height: u32,
}

/// A widget on the canvas. Its fields are written one by one.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Widget {
    /// Its name, which identifies it.
    #[shared(validate(pattern("^[a-z0-9-]{1,20}$")))]
    pub id: String,
    /// How it looks.
    pub kind: Kind,
    /// Where it is. During a drag the position is sent at most twenty times a second; the last one is always sent.
    #[shared(throttle = "50ms")]
    pub position: Position,
    /// Its size.
    #[shared(validate(custom = Size::check))]
    pub size: Size,
    /// Its configuration. Two people who set two keys at the same time both succeed.
    #[shared(map, validate(length(max = 20), inner(length(max = 100))))]
    pub config: BTreeMap<String, String>,
}

/// How a widget looks.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A curve.
    Chart,
    /// Rows and columns.
    Table,
    /// One large number.
    Number,
}

/// The upper left corner of a widget. One value: the x of one person never meets the y of another.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Pixels from the left.
    pub x: u32,
    /// Pixels from the top.
    pub y: u32,
}

/// A size, in pixels.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
}

/// A range of days, both written like `2026-01-31`.
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
    /// The position after `step` of `steps` equal steps towards `to`.
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
        // Days written like this sort as texts.
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

/// The rule that only the server can check: every widget lies on the canvas. If one person makes the canvas narrower
/// while another drags a widget to its edge, each change alone satisfies it; the second one is refused.
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
