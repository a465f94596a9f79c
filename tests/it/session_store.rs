//! The guards of the session rules in their two notations: what DynamoDB admits by the expression is what
//! `admits` says, and the item afterwards is what `apply` says.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use stickshift::store::sessions::SessionStore;
use stickshift_contract::{Placed, Placement, Receipt, SESSIONS_TABLE, SessionItem, VersionCode};
use stickshift_session::{Guard, Write, Written};

use crate::support::{code, dynamodb, put_session, stored_session, token};

/// Few and close values, so that equal ones are frequent.
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
    let item = (prop::option::of(any_version()), any_time(), any_time(), any_time(), any_placed());
    let item = item.prop_map(|(version, expiration, started, touched, placed)| SessionItem {
        token: token(1),
        version,
        expiration,
        started,
        touched,
        revision: placed.revision,
        placement: placed.placement,
    });
    prop::option::weighted(0.8, item)
}

fn any_write() -> impl Strategy<Value = Write> {
    let guard = prop_oneof![
        Just(Guard::Begin),
        Just(Guard::Renew),
        Just(Guard::RenewByToken),
        Just(Guard::Move),
        Just(Guard::MoveByToken)
    ];
    let write = (any_version(), any_placed(), any_time(), any_time(), guard);
    write.prop_map(|(version, placed, started, touched, guard)| Write {
        receipt: Receipt { token: token(1), version, placed, started, touched },
        expiration: touched + 720,
        guard,
    })
}

#[actix_web::test]
async fn expressions_admit_and_write_what_the_functions_say() {
    let (_dynamodb, client) = dynamodb().await;
    let store = SessionStore::new(client.clone(), SESSIONS_TABLE.to_owned());
    let mut runner = TestRunner::deterministic();
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..2000 {
        let (stored, write) = (any_item(), any_write()).new_tree(&mut runner).expect("a case").current();
        match &stored {
            Some(item) => put_session(&client, item).await,
            None => {
                let key = aws_sdk_dynamodb::types::AttributeValue::S(token(1).as_str().to_owned());
                client.delete_item().table_name(SESSIONS_TABLE).key("token", key).send().await.expect("deleted");
            }
        }
        let written = store.write(&write).await.expect("an answer");
        let after = stored_session(&client, token(1)).await;
        if write.guard.admits(stored.as_ref(), &write.receipt) {
            let expected = write.apply(stored.as_ref());
            let done = Written::Done { started: expected.started, placed: expected.placed() };
            assert_eq!((written, after), (done, Some(expected)), "{write:?} over {stored:?}");
            admitted += 1;
        } else {
            assert_eq!((written, after), (Written::Refused(stored.clone()), stored), "{write:?}");
            refused += 1;
        }
    }
    assert!(admitted > 500 && refused > 200, "{admitted} admitted, {refused} refused");
}
