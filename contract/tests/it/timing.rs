use stickshift_contract::Timing;

use crate::receipt;

#[test]
fn a_lifetime_covers_the_session_the_touch_interval_and_the_clocks() {
    assert_eq!(Timing::default().lifetime_seconds(), 720);
}

#[test]
fn a_receipt_from_the_future_counts_as_new_up_to_the_allowance() {
    let (timing, receipt) = (Timing::default(), receipt());
    assert_eq!(timing.age_seconds(&receipt, receipt.touched + 5), Some(5));
    assert_eq!(timing.age_seconds(&receipt, receipt.touched - 60), Some(0));
    assert_eq!(timing.age_seconds(&receipt, receipt.touched - 61), None);
}

#[test]
fn intervals_out_of_range_are_named() {
    let refused = |timing: Timing| timing.check().expect_err("out of range").to_string();
    let good = Timing::default();
    assert!(good.check().is_ok());
    assert_eq!(refused(Timing { session_seconds: 59, ..good }), "session_seconds is 59: it takes 60 to 86400 seconds");
    assert_eq!(
        refused(Timing { touch_interval_seconds: 601, ..good }),
        "touch_interval_seconds is 601: it takes 0 to 600 seconds"
    );
    assert_eq!(
        refused(Timing { trust_window_seconds: 601, ..good }),
        "trust_window_seconds is 601: it takes 0 to 600 seconds"
    );
    assert_eq!(
        refused(Timing { clock_allowance_seconds: u64::MAX, ..good }),
        format!("clock_allowance_seconds is {}: it takes 0 to 600 seconds", u64::MAX)
    );
}
