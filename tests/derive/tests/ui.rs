//! UI tests of the derive: the code that it must reject, with its messages, and the code that it must accept
//! without warnings.
//!
//! Set `TRYBUILD=overwrite` to rewrite the `.stderr` files, and review every one that changed.

#![allow(missing_docs, unreachable_pub, clippy::deprecated_semver)]

/// Each program is a crate of its own, apart from its crate root, and denies warnings.
#[path = "../ui/pass"]
pub mod pass {
    pub mod about;
    pub mod associated_types;
    pub mod bounds;
    pub mod cfg;
    pub mod chosen_names;
    pub mod custom_functions;
    pub mod deprecated;
    pub mod entries;
    pub mod generated_names;
    pub mod generics;
    pub mod hostile_names;
    pub mod in_a_function;
    pub mod macro_fragments;
    pub mod macros;
    pub mod named_option;
    pub mod named_result;
    pub mod named_state;
    pub mod named_string;
    pub mod named_update;
    pub mod named_vec;
    pub mod names_of_handle_methods;
    pub mod nested_around;
    pub mod own_policy;
    pub mod patch_builder;
    pub mod renamed_crate;
    pub mod rules;
    pub mod serde_names;
    pub mod serde_with;
    pub mod std_names;
    pub mod strict;
    pub mod structs_in_each_other;
    pub mod text;
    pub mod two_hundred_fields;
    pub mod value_types;
    pub mod version;
    pub mod visibility;
    pub mod with_and_update;
}

#[test]
fn mistakes_are_told_at_the_token_with_what_to_write() {
    trybuild::TestCases::new().compile_fail("ui/fail/*/*.rs");
}

/// Makes a test of each program.
macro_rules! taken_without_a_word {
    ($($name:ident),* $(,)?) => {
        mod generated_code_is_taken_without_a_word {
            $(#[test]
            fn $name() {
                super::pass::$name::main();
            })*
        }

        #[test]
        fn every_program_is_named_here() {
            let found: std::collections::BTreeSet<_> = std::fs::read_dir("ui/pass")
                .expect("tests run in their package's folder")
                .map(|file| file.expect("the folder can be read").file_name())
                .collect();
            let named = [$(concat!(stringify!($name), ".rs").into()),*];
            assert_eq!(found, std::collections::BTreeSet::from(named));
        }
    };
}

taken_without_a_word![
    about,
    associated_types,
    bounds,
    cfg,
    chosen_names,
    custom_functions,
    deprecated,
    entries,
    generated_names,
    generics,
    hostile_names,
    in_a_function,
    macro_fragments,
    macros,
    names_of_handle_methods,
    named_option,
    named_result,
    named_state,
    named_string,
    named_update,
    named_vec,
    nested_around,
    own_policy,
    patch_builder,
    renamed_crate,
    rules,
    serde_names,
    serde_with,
    std_names,
    strict,
    structs_in_each_other,
    text,
    two_hundred_fields,
    value_types,
    version,
    visibility,
    with_and_update,
];
