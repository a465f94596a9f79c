//! Docs and Terraform that repeat facts of the code are made from the code, or compared with it.

use std::path::Path;

use stickshift::settings::{app_settings, upstream_settings};
use stickshift_contract::{ROLLOUT_SCHEMA, SESSIONS_SCHEMA, Setting, TTL_ATTRIBUTE, TableSchema, settings_table};
use stickshift_edge::function_settings;

use crate::support::root;

/// Compares the part of a file between two marks with `expected`. With `UPDATE_DOCS` set, writes it.
fn check_part(file: &Path, mark: &str, expected: &str) {
    let docs = std::fs::read_to_string(file).expect("a file of docs");
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let (before, rest) = docs.split_once(&begin).expect("a mark before the part");
    let (part, after) = rest.split_once(&end).expect("a mark after the part");
    if part == expected {
        return;
    }
    let file_name = file.display();
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "{file_name} does not say what the code says: run this test with UPDATE_DOCS=1"
    );
    std::fs::write(file, format!("{before}{begin}{expected}{end}{after}")).expect("written");
}

#[test]
fn the_tables_of_settings_are_made_from_the_code() {
    let table = settings_table(&app_settings(), str::to_uppercase);
    check_part(&root().join("docs/settings.md"), "settings", &table);
    let table = settings_table(&upstream_settings(), str::to_uppercase);
    check_part(&root().join("docs/settings.md"), "sidecar", &table);
    let table = settings_table(&function_settings(), str::to_owned);
    check_part(&root().join("docs/lambda-at-edge.md"), "configuration", &table);
}

#[test]
fn app_and_function_describe_a_setting_in_the_same_words() {
    let function = function_settings();
    let shared: Vec<(Setting, &Setting)> = app_settings()
        .into_iter()
        .filter_map(|setting| Some((setting.clone(), function.iter().find(|other| other.name == setting.name)?)))
        .collect();
    assert_eq!(shared.len(), 12, "intervals, keys, the cookie and the tables");
    for (app, function) in shared {
        assert_eq!(app, *function);
    }
}

#[test]
fn terraform_has_the_defaults_of_the_code() {
    let variables = std::fs::read_to_string(root().join("infra/variables.tf")).expect("variables.tf");
    let (_, block) = variables.split_once("variable \"settings\"").expect("the variable `settings`");
    let (block, _) = block.split_once("default = {}").expect("its end");
    let mut names = Vec::new();
    for line in block.lines().filter(|line| line.contains("optional(")) {
        let (name, rest) = line.split_once('=').expect("a name");
        let default = rest.rsplit_once(", ").expect("a default").1.trim_end_matches(')').trim_matches('"');
        let setting = function_settings().into_iter().find(|setting| setting.name == name.trim());
        assert_eq!(default, setting.expect("a setting of the function").default, "{name}");
        names.push(name.trim().to_owned());
    }
    let secret_or_named_elsewhere = ["keys", "sessions_table", "rollout_table"];
    let expected: Vec<String> = function_settings()
        .into_iter()
        .filter(|setting| !setting.default.is_empty() && !secret_or_named_elsewhere.contains(&setting.name))
        .map(|setting| setting.name.to_owned())
        .collect();
    names.sort_unstable();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(names, sorted);
}

#[test]
fn terraform_makes_the_tables_of_the_contract() {
    let tables = std::fs::read_to_string(root().join("infra/tables.tf")).expect("tables.tf");
    let quoted = |name: Option<&str>| name.map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""));
    for (table, TableSchema { hash_key, range_key }) in [("sessions", SESSIONS_SCHEMA), ("rollout", ROLLOUT_SCHEMA)] {
        let keys = format!("hash_key = \"{hash_key}\", range_key = {}", quoted(range_key));
        let line = tables.lines().find(|line| line.contains(&format!("name = var.tables.{table},"))).expect(table);
        assert!(line.contains(&keys), "{line} should have {keys}");
    }
    let (_, ttl) = tables.split_once("  ttl {").expect("a TTL");
    assert!(ttl.trim_start().starts_with(&format!("attribute_name = \"{TTL_ATTRIBUTE}\"")), "{ttl}");
}
