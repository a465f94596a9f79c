//! Docs that are made from the code, or compared with it.

use stickshift::settings::settings_table;

use crate::support::root;

#[test]
fn the_table_of_settings_is_that_of_the_code() {
    let file = root().join("docs/settings.md");
    let docs = std::fs::read_to_string(&file).expect("docs/settings.md");
    let (before, rest) = docs.split_once("<!-- settings -->\n").expect("a mark before the table");
    let (table, after) = rest.split_once("<!-- /settings -->").expect("a mark behind the table");
    if table == settings_table() {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let updated = format!("{before}<!-- settings -->\n{}<!-- /settings -->{after}", settings_table());
        std::fs::write(&file, updated).expect("written");
        return;
    }
    panic!("docs/settings.md does not say what src/settings.rs does: run this test with UPDATE_DOCS=1");
}
