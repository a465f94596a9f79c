use serde_json::json;
use stickshift_contract::{Placed, Placement, SessionItem};

use crate::code;

#[test]
fn items_of_every_age_are_read() {
    // Samples of every item that a release or the article wrote. Lines may be added and never changed.
    let token = "472ed977dc2fd2700dbb03a58634f789fd58d911";
    // The article's items have neither `started` nor `touched`, and may have no version.
    let oldest: SessionItem =
        serde_json::from_value(json!({ "token": token, "expiration": 1_710_000_600 })).expect("old");
    assert_eq!((oldest.version, oldest.started, oldest.touched), (None, 0, 0));
    // Before an item had its placement.
    let mut item = json!({
        "token": token, "version": "2", "expiration": 1_710_000_720, "started": 1_710_000_000,
        "touched": 1_710_000_000, "progress": "the app's own",
    });
    let older: SessionItem = serde_json::from_value(item.clone()).expect("older");
    assert_eq!((older.version, older.placed()), (Some(code("2")), Placed::default()));
    item["revision"] = json!(41);
    item["placement"] = json!("drawn");
    let newest: SessionItem = serde_json::from_value(item).expect("newest");
    assert_eq!(newest.placed(), Placed { revision: 41, placement: Placement::Drawn });
}

#[test]
fn a_session_is_over_at_its_expiration_though_its_item_is_there() {
    let item = json!({ "token": "472ed977dc2fd2700dbb03a58634f789fd58d911", "version": "2", "expiration": 100 });
    let item: SessionItem = serde_json::from_value(item).expect("an item");
    assert!(item.is_live(99));
    assert!(!item.is_live(100));
    assert!(!item.is_live(1_000_000));
}
