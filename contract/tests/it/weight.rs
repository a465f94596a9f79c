use proptest::prelude::*;
use stickshift_contract::{Weight, WeightError};

#[test]
fn percentages_are_read_exactly() {
    for (text, basis_points) in [("0", 0), ("0.01", 1), ("0.29", 29), ("10", 1000), ("33.3", 3330), ("100", 10_000)] {
        assert_eq!(Weight::parse_percent(text).map(Weight::basis_points), Ok(basis_points), "{text}");
    }
}

#[test]
fn what_is_no_percentage_is_refused() {
    for text in ["", ".", "1.", ".5", "-1", "+1", "1e1", "12.345", "0x10", "10%", "١", "1000"] {
        assert!(Weight::parse_percent(text).is_err(), "{text}");
    }
    assert_eq!(Weight::parse_percent("100.01"), Err(WeightError::OutOfRange(10_001)));
}

proptest! {
    #[test]
    fn weights_round_trip(basis_points in 0u16..=10_000) {
        let weight = Weight::from_basis_points(basis_points).expect("in range");
        prop_assert_eq!(Weight::parse_percent(&weight.to_string()), Ok(weight));
    }
}
