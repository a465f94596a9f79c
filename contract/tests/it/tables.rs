use stickshift_contract::{TableNames, plan_history_key};

#[test]
fn names_that_dynamodb_refuses_are_refused() {
    let refused = |sessions: &str, rollout: &str| {
        let names = TableNames { sessions: sessions.to_owned(), rollout: rollout.to_owned() };
        names.check().map_err(|cause| (cause.name, cause.to_string()))
    };
    assert_eq!(refused("blue.Sessions_1", "blue-Rollout"), Ok(()));
    let (name, message) = refused("my table", "R-1").expect_err("a space");
    assert_eq!(name, "sessions_table");
    assert_eq!(message, "`my table` is not a table name: expected 3 to 255 characters of A-Z a-z 0-9 _ - .");
    assert_eq!(refused("Sessions", "R").expect_err("too short").0, "rollout_table");
    assert_eq!(refused(&"s".repeat(256), "Rollout").expect_err("too long").0, "sessions_table");
    let (name, message) = refused("Same", "Same").expect_err("the same");
    assert_eq!((name, message.contains("is the table of sessions")), ("rollout_table", true));
}

#[test]
fn the_history_sorts_by_revision() {
    assert_eq!(plan_history_key(41), "0000000041");
    assert!(plan_history_key(9) < plan_history_key(10));
}
