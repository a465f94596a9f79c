use stickshift_contract::{Placed, Placement, SessionItem};
use stickshift_session::{Guard, Write};

use crate::{NOW, code, item, receipt};

/// A write by version 1 now.
fn write(guard: Guard) -> Write {
    let placed = Placed { revision: 42, placement: Placement::Moved };
    let receipt = stickshift_contract::Receipt { placed, ..receipt("1", 0) };
    Write { receipt, expiration: NOW + 720, guard }
}

#[test]
fn guards_admit_a_write_of_version_1_over_these_items() {
    let versionless = SessionItem { version: None, ..item("1", 10) };
    let stored = [
        ("absent", None),
        ("live on 1", Some(item("1", 10))),
        ("live on 2", Some(item("2", 10))),
        ("over on 1", Some(item("1", 720))),
        ("over on 2", Some(item("2", 720))),
        ("live on none", Some(versionless)),
    ];
    for (guard, admitted) in [
        (Guard::Begin, "absent, live on 1, live on 2, over on 1, over on 2, live on none"),
        (Guard::Renew, "absent, live on 1, over on 1, over on 2, live on none"),
        (Guard::RenewByToken, "live on 1"),
        (Guard::Move, "absent, live on 1, live on 2, over on 1, over on 2, live on none"),
        (Guard::MoveByToken, "live on 1, live on 2, live on none"),
    ] {
        let names: Vec<&str> = stored
            .iter()
            .filter(|(_, item)| guard.admits(item.as_ref(), &write(guard).receipt))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(names.join(", "), admitted, "{guard:?}");
    }
}

#[test]
fn only_a_move_and_a_begin_change_the_placement() {
    let stored = item("2", 10);
    for (guard, revision, started) in [
        (Guard::Begin, 42, receipt("1", 0).started),
        (Guard::Renew, 41, stored.started),
        (Guard::RenewByToken, 41, stored.started),
        (Guard::Move, 42, stored.started),
        (Guard::MoveByToken, 42, stored.started),
    ] {
        let after = write(guard).apply(Some(&stored));
        assert_eq!((after.revision, after.started), (revision, started), "{guard:?}");
        assert_eq!((after.version, after.touched, after.expiration), (Some(code("1")), NOW, NOW + 720), "{guard:?}");
        let from_nothing = write(guard).apply(None);
        assert_eq!((from_nothing.revision, from_nothing.started), (42, receipt("1", 0).started), "{guard:?}");
    }
}
