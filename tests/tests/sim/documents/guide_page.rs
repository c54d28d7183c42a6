//! The guide's first page grows a struct until every attribute of the derive has appeared: those of the derive's own
//! tables, which are compared with its parser beside the parser.

use std::collections::BTreeSet;

const TABLES: &str = include_str!("../../../../shared-state-derive/src/derive.md");
const PAGE: &str = include_str!("../../../../shared-state/src/guide/grow.md");

/// The name at the start of each row of the table under `heading`.
fn listed(heading: &str) -> BTreeSet<&'static str> {
    let section = TABLES.split_once(heading).expect("the page has the heading").1;
    let section = section.split("\n# ").next().unwrap_or_default();
    section.lines().filter_map(|line| line.strip_prefix("| `").map(first_name)).collect()
}

fn first_name(text: &'static str) -> &'static str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The attribute names in the `#[shared(..)]` of the page's code.
fn shown() -> BTreeSet<&'static str> {
    let attributes = PAGE.lines().filter_map(|line| line.split_once("#[shared(")).map(|(_, rest)| rest);
    attributes
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_attribute_is_in_the_code_of_the_page() {
    let shown = shown();
    for heading in ["# Attributes on a field", "# Rules\n", "# Attributes on the struct"] {
        let listed = listed(heading);
        assert!(listed.len() > 5, "{heading}: {listed:?}");
        let missing: Vec<_> = listed.difference(&shown).collect();
        assert!(missing.is_empty(), "{heading}: the page does not show {missing:?}");
    }
}
