//! Checks the tables of `docs/limits.md` against the code.

#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use shared_state::proto::Limits;

const TABLES: &str = include_str!("../../../../docs/limits.md");

/// The rows of the tables, each by its columns.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    TABLES.lines().filter_map(|line| {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(row.split(" | ").map(str::trim).collect())
    })
}

#[test]
fn every_limit_that_may_be_set_is_in_the_table_with_its_default() {
    let limits = format!("{:#?}", Limits::default());
    let fields: Vec<_> =
        limits.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(": ")).collect();
    assert!(fields.len() > 10, "{limits}");
    for (name, default) in &fields {
        let row = rows().find(|row| row[0] == format!("`{name}`"));
        let row = row.unwrap_or_else(|| panic!("docs/limits.md leaves out `{name}`"));
        assert_eq!(row[1], *default, "`{name}`");
    }
    let settable = rows().filter(|row| row[0].starts_with('`')).count();
    assert_eq!(settable, fields.len(), "the table has a limit that there is not");
}

/// The value of a constant's expression: a product of shifts and numbers, or a duration's number.
fn value(expression: &str) -> Option<u64> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    if let Some((_, inner)) = expression.split_once('(') {
        return number(inner.strip_suffix(')')?);
    }
    match expression.split_once("<<") {
        Some((one, by)) => number(one)?.checked_shl(u32::try_from(number(by)?).ok()?),
        None => number(expression),
    }
}

#[test]
fn every_fixed_limit_has_the_value_of_its_constant() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared-state/src");
    let fixed: Vec<_> =
        rows().filter(|row| row.last().is_some_and(|place| place.contains(".rs` `"))).collect();
    assert!(fixed.len() > 10);
    for row in fixed {
        let place =
            row.last().and_then(|place| place.strip_prefix('`')?.strip_suffix('`')?.split_once("` `"));
        let (file, name) = place.unwrap_or_else(|| panic!("no place: {row:?}"));
        let text = fs::read_to_string(source.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let constant =
            text.split_once(&format!("const {name}: ")).and_then(|(_, rest)| rest.split_once(" = "));
        let expression =
            constant.and_then(|(_, rest)| rest.split_once(';')).map(|(expression, _)| expression);
        let found = expression.and_then(value).unwrap_or_else(|| panic!("{file} has no constant `{name}`"));
        assert_eq!(row[1], found.to_string(), "{}", row[0]);
    }
}
