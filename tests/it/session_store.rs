//! The guards of the session rules in their two notations: what DynamoDB admits by the expression is what
//! `admits` says, and the item afterwards is what `apply` says.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use stickshift::clock::unix_now;
use stickshift::store::sessions::{LiveSessions, SessionStore, SessionWritten};
use stickshift_contract::{Placed, Placement, Receipt, SESSIONS_TABLE, SessionItem, VersionCode};
use stickshift_session::{Change, Claimed, Guard, Stored, Write, Written};

use crate::support::{code, dynamodb, put_session, receipt, session_item, stored_session, token};

/// Few and close values, so that equal ones are frequent.
/// Does a write without a step of the activity.
async fn written(store: &SessionStore, write: &Write) -> Written {
    match store.write(write, None).await.expect("an answer") {
        SessionWritten::Session(written) => written,
        SessionWritten::FirstFinish(_) | SessionWritten::Overtaken(_) => unreachable!("there is no step"),
    }
}

fn any_time() -> impl Strategy<Value = u64> {
    1000u64..1006
}

fn any_version() -> impl Strategy<Value = VersionCode> {
    prop_oneof![Just(code("1")), Just(code("2"))]
}

fn any_placed() -> impl Strategy<Value = Placed> {
    let placement = prop_oneof![Just(Placement::Drawn), Just(Placement::Moved), Just(Placement::Other)];
    (40u64..43, placement).prop_map(|(revision, placement)| Placed { revision, placement })
}

fn any_item() -> impl Strategy<Value = Option<SessionItem>> {
    let placed = prop_oneof![4 => any_placed(), 1 => Just(Placed::default())];
    let item = (prop::option::of(any_version()), any_time(), any_time(), any_time(), placed);
    let item = item.prop_map(|(version, expiration, started, touched, placed)| SessionItem {
        token: token(1),
        version,
        expiration,
        started,
        touched,
        revision: placed.revision,
        placement: placed.placement,
        failed: None,
    });
    prop::option::weighted(0.8, item)
}

fn any_write() -> impl Strategy<Value = Write> {
    let guard = prop_oneof![
        Just((Guard::Begin, Change::Put)),
        Just((Guard::Renew, Change::Renew)),
        Just((Guard::RenewByToken, Change::Renew)),
        Just((Guard::Reclaim, Change::Place)),
        Just((Guard::Move, Change::Place)),
        Just((Guard::MoveByToken, Change::Place)),
        Just((Guard::Extend, Change::Extend)),
    ];
    let receipt = (any_version(), any_placed(), any_time(), any_time());
    let receipt = receipt.prop_map(|(version, placed, started, touched)| Receipt {
        token: token(1),
        version,
        placed,
        started,
        touched,
    });
    let order = (40u64..43, any_time());
    let write = (receipt, order, prop::option::of(any_version()), guard);
    write.prop_map(|(receipt, order, from, (guard, change))| Write {
        claimed: Claimed { receipt, order, from },
        expiration: receipt.touched + 720,
        guard,
        change,
    })
}

#[actix_web::test]
async fn expressions_admit_and_write_what_the_functions_say() {
    let (_dynamodb, client) = dynamodb().await;
    let store = SessionStore::new(client.clone(), SESSIONS_TABLE.to_owned());
    let mut runner = TestRunner::deterministic();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..4000 {
        let (stored, write) = (any_item(), any_write()).new_tree(&mut runner).expect("a case").current();
        match &stored {
            // An item of an earlier release has no revision.
            Some(item) if item.revision == 0 => {
                let mut old: std::collections::HashMap<_, _> = serde_dynamo::to_item(item).expect("an item");
                old.remove("revision");
                client.put_item().table_name(SESSIONS_TABLE).set_item(Some(old)).send().await.expect("put");
            }
            Some(item) => put_session(&client, item).await,
            None => {
                let key = aws_sdk_dynamodb::types::AttributeValue::S(token(1).as_str().to_owned());
                client.delete_item().table_name(SESSIONS_TABLE).key("token", key).send().await.expect("deleted");
            }
        }
        let written = written(&store, &write).await;
        let after = stored_session(&client, token(1)).await;
        let is_admitted = write.guard.admits(stored.as_ref(), &write.claimed);
        if is_admitted {
            let mut expected = write.change.apply(stored.as_ref(), &write.claimed.receipt, write.expiration);
            if write.change == Change::Renew && stored.as_ref().is_some_and(|item| item.revision == 0) {
                // `if_not_exists` finds none.
                expected.revision = write.claimed.receipt.placed.revision;
            }
            if let (Written::Done { started, placed, last_visit }, false) = (&written, write.change == Change::Extend) {
                assert_eq!((*started, *placed), (expected.started, expected.placed()), "{write:?} over {stored:?}");
                let before = stored.as_ref().filter(|_| write.change != Change::Put).map(|item| item.touched);
                assert_eq!(*last_visit, before, "{write:?} over {stored:?}");
            }
            assert!(matches!(written, Written::Done { .. }), "{write:?} over {stored:?}");
            assert_eq!(after, Some(expected), "{write:?} over {stored:?}");
        } else {
            let refusal = stored.clone().map_or(Stored::Absent, Stored::Item);
            assert_eq!((written, after), (Written::Refused(refusal), stored), "{write:?}");
        }
        *counts.entry((format!("{:?}", write.guard), is_admitted)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 14, "each guard admits and refuses: {counts:?}");
    assert!(counts.values().all(|count| *count > 20), "{counts:?}");
}

#[actix_web::test]
async fn the_first_failure_of_a_session_is_recorded_once() {
    let (_dynamodb, client) = dynamodb().await;
    let store = SessionStore::new(client.clone(), SESSIONS_TABLE.to_owned());
    assert!(!store.note_failure(token(1), 1000).await.expect("an answer"), "there is no such session");
    assert_eq!(stored_session(&client, token(1)).await, None, "and none begins");
    put_session(&client, &session_item(&receipt("1", 5))).await;
    assert!(store.note_failure(token(1), 1000).await.expect("an answer"));
    assert!(!store.note_failure(token(1), 2000).await.expect("an answer"));
    assert_eq!(stored_session(&client, token(1)).await.and_then(|item| item.failed), Some(1000));
}

#[actix_web::test]
async fn a_begin_that_arrives_late_overwrites_nothing() {
    let (_dynamodb, client) = dynamodb().await;
    let store = SessionStore::new(client.clone(), SESSIONS_TABLE.to_owned());
    let receipt = receipt("1", 100);
    let claimed = Claimed { receipt, order: (0, 0), from: None };
    let begin = Write { claimed, expiration: receipt.touched + 720, guard: Guard::Begin, change: Change::Put };
    assert!(matches!(written(&store, &begin).await, Written::Done { .. }));
    // The app has stored the progress of an activity, or the session has failed. Nothing else has changed.
    store.note_failure(token(1), 1000).await.expect("an answer");
    let before = stored_session(&client, token(1)).await.expect("an item");
    let late = written(&store, &begin).await;
    assert_eq!(late, Written::Refused(Stored::Item(before.clone())));
    assert_eq!(stored_session(&client, token(1)).await, Some(before));
}

#[actix_web::test]
async fn live_sessions_are_counted_and_in_a_large_table_estimated() {
    let (_embedded, client) = dynamodb().await;
    let store = SessionStore::new(client.clone(), SESSIONS_TABLE.to_owned());
    let now = unix_now();
    for seed in 0..300 {
        let version = if seed % 3 == 0 { "2" } else { "1" };
        // Every tenth one is over.
        let age = if seed % 10 == 0 { 1_000 } else { 5 };
        let receipt = Receipt { token: token(seed), ..receipt(version, age) };
        put_session(&client, &session_item(&receipt)).await;
    }
    let sum = |live: &LiveSessions, version: &str| -> u64 {
        let version = Some(code(version));
        live.counts.iter().map(|counts| counts.get(&version).copied().unwrap_or(0)).sum()
    };
    let exact = store.count_live(now, 1_000).await.expect("an answer");
    assert_eq!((exact.counts.len() as u64, exact.parts, exact.items_read), (4, 4, 300));
    assert_eq!((sum(&exact, "1"), sum(&exact, "2")), (180, 90));
    // 64 of 65 parts are read, so nearly everything is seen.
    let sample = store.count_live(now, 100).await.expect("an answer");
    assert_eq!((sample.counts.len(), sample.parts), (64, 65));
    assert!((160..=180).contains(&sum(&sample, "1")), "{}", sum(&sample, "1"));
}
