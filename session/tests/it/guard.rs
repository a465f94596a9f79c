use stickshift_contract::{Placed, Placement, Receipt, SessionItem};
use stickshift_session::{Change, Claimed, Guard};

use crate::{NOW, code, drawn, item, item_of, receipt};

/// A write by version 1 now. A receipt of version 1, 100 s old and placed under revision 41, claims the
/// session. The edge has moved the session here from version 2 under revision 42.
fn claimed() -> Claimed {
    let placed = Placed { revision: 42, placement: Placement::Moved };
    Claimed { receipt: Receipt { placed, ..receipt("1", 0) }, order: receipt("1", 100).order(), from: Some(code("2")) }
}

fn placed_under(revision: u64, version: &str, age: u64) -> SessionItem {
    SessionItem { revision, ..item(version, age) }
}

#[test]
fn guards_admit_a_write_of_version_1_over_these_items() {
    let stored = [
        ("absent", None),
        ("very same", Some(item_of(&Receipt { placed: drawn(41), ..claimed().receipt }))),
        ("here", Some(item("1", 50))),
        ("here, over", Some(item("1", 720))),
        ("left", Some(item("2", 50))),
        ("left, older", Some(item("2", 101))),
        ("left, later plan", Some(placed_under(43, "2", 50))),
        ("left, over", Some(placed_under(43, "2", 720))),
        ("left, over, same plan", Some(item("2", 720))),
        ("other", Some(item("3", 50))),
        ("other, older", Some(placed_under(40, "3", 50))),
        ("none", Some(SessionItem { version: None, ..item("1", 50) })),
    ];
    for (guard, admitted) in [
        (Guard::Begin, "absent"),
        (Guard::Renew, "very same | here | here, over"),
        (Guard::RenewByToken, "very same | here"),
        (Guard::Reclaim, "absent | here, over | left, older | left, over, same plan | other, older | none"),
        (Guard::Move, "absent | here, over | left | left, older | left, over, same plan | other, older | none"),
        (Guard::MoveByToken, "left | left, older"),
        (Guard::Extend, "here | left | left, older | left, later plan | other | other, older | none"),
    ] {
        let names: Vec<&str> =
            stored.iter().filter(|(_, item)| guard.admits(item.as_ref(), &claimed())).map(|(name, _)| *name).collect();
        assert_eq!(names.join(" | "), admitted, "{guard:?}");
    }
}

#[test]
fn changes_keep_what_they_must_keep() {
    let stored = SessionItem { failed: Some(5), ..item("2", 10) };
    let receipt = claimed().receipt;
    for (change, version, revision, started, failed) in [
        (Change::Put, "1", 42, receipt.started, None),
        (Change::Renew, "1", 41, stored.started, Some(5)),
        (Change::Place, "1", 42, stored.started, Some(5)),
        (Change::Extend, "2", 41, stored.started, Some(5)),
    ] {
        let after = change.apply(Some(&stored), &receipt, NOW + 720);
        let kept = (after.version, after.revision, after.started, after.failed);
        assert_eq!(kept, (Some(code(version)), revision, started, failed), "{change:?}");
        assert_eq!((after.touched, after.expiration), (NOW, NOW + 720), "{change:?}");
    }
    let from_nothing = Change::Place.apply(None, &receipt, NOW + 720);
    assert_eq!((from_nothing.revision, from_nothing.started), (42, receipt.started));
}
