use stickshift_contract::{HEDGE_DELAY, PLAN_TTL, Timing};

use crate::receipt;

#[test]
fn a_lifetime_covers_the_session_the_touch_interval_and_the_clocks() {
    assert_eq!(Timing::default().lifetime_seconds(), 720);
}

#[test]
fn a_receipt_from_the_future_counts_as_new_up_to_the_allowance() {
    let (timing, receipt) = (Timing::default(), receipt());
    let at = |now: u64| {
        (timing.is_trusted(&receipt, now), timing.is_due(&receipt, now), timing.is_within_lifetime(&receipt, now))
    };
    let touched = receipt.touched;
    assert_eq!(at(touched), (true, false, true));
    assert_eq!(at(touched + 59), (true, false, true));
    assert_eq!(at(touched + 60), (false, true, true));
    assert_eq!(at(touched + 719), (false, true, true));
    assert_eq!(at(touched + 720), (false, true, false));
    assert_eq!(at(touched - 60), (true, false, true));
    assert_eq!(at(touched - 61), (false, true, true), "further ahead it is looked up");
}

#[test]
fn a_value_out_of_range_is_refused_with_name_and_range() {
    let refused = |timing: Timing| timing.check().expect_err("out of range").to_string();
    let good = Timing::default();
    assert!(good.check().is_ok());
    assert_eq!(
        refused(Timing { session_seconds: 59, ..good }),
        "59 is out of range: session_seconds takes 60 to 86400"
    );
    assert_eq!(
        refused(Timing { session_max_seconds: 31_536_001, ..good }),
        "31536001 is out of range: session_max_seconds takes 0 to 31536000"
    );
    assert_eq!(
        refused(Timing { touch_interval_seconds: 601, ..good }),
        "601 is out of range: touch_interval_seconds takes 0 to 600, the value of session_seconds"
    );
    assert_eq!(
        refused(Timing { trust_window_seconds: 601, ..good }),
        "601 is out of range: trust_window_seconds takes 0 to 600, the value of session_seconds"
    );
    assert_eq!(
        refused(Timing { clock_allowance_seconds: u64::MAX, ..good }),
        format!("{} is out of range: clock_allowance_seconds takes 0 to 600", u64::MAX)
    );
    assert_eq!((PLAN_TTL.check(30, 0), HEDGE_DELAY.check(250, 250)), (Ok(()), Ok(())));
    assert_eq!((PLAN_TTL.range(), HEDGE_DELAY.range()), ("0 to 30".into(), "0 to `deadline_milliseconds`".into()));
}
