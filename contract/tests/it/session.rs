use serde_json::json;
use stickshift_contract::SessionItem;

#[test]
fn items_of_every_age_are_read() {
    let token = "472ed977dc2fd2700dbb03a58634f789fd58d911";
    // As the article's function reads them: neither `started` nor `touched`, and perhaps no version.
    let oldest: SessionItem =
        serde_json::from_value(json!({ "token": token, "expiration": 1_710_000_600 })).expect("old");
    assert_eq!((oldest.version, oldest.started, oldest.touched), (None, 0, 0));
    let item = json!({
        "token": token, "version": "2", "expiration": 1_710_000_720, "started": 1_710_000_000,
        "touched": 1_710_000_000, "progress": "the app's own",
    });
    let item: SessionItem = serde_json::from_value(item).expect("new");
    assert_eq!(item.version.map(|version| version.to_string()).as_deref(), Some("2"));
}

#[test]
fn a_session_is_over_at_its_expiration_though_its_item_is_there() {
    let item = json!({ "token": "472ed977dc2fd2700dbb03a58634f789fd58d911", "version": "2", "expiration": 100 });
    let item: SessionItem = serde_json::from_value(item).expect("an item");
    assert!(item.is_live(99));
    assert!(!item.is_live(100));
    assert!(!item.is_live(1_000_000));
}
