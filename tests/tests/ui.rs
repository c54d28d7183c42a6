//! What the derive refuses, and how it says so; and what it must take without a word.
//!
//! Set `TRYBUILD=overwrite` to write the `.stderr` files anew, and read every one that changed.

#[test]
fn mistakes_are_told_at_the_token_with_what_to_write() {
    trybuild::TestCases::new().compile_fail("ui/fail/*/*.rs");
}

#[test]
fn generated_code_is_taken_without_a_word() {
    trybuild::TestCases::new().pass("ui/pass/*.rs");
}
