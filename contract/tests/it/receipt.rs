use proptest::prelude::*;
use stickshift_contract::{Keys, KeysError, Placed, Placement, Receipt, Token, VersionCode};

use crate::{KEY, code, keys, receipt};

/// Samples of the receipt's format 1, made with OpenSSL and not with this code:
/// `printf %s "$signed" | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef | sed 's/.*= //' | cut -c1-32`.
///
/// Two releases of the app read each other's receipts. So lines may be added here and never changed.
const VECTORS: &str = include_str!("receipts.txt");

#[test]
fn receipts_are_signed_as_openssl_signs_them() {
    for line in VECTORS.lines() {
        let receipt = keys().verify(line).unwrap_or_else(|| panic!("refused: {line}"));
        assert_eq!(keys().sign(&receipt), line);
    }
    assert_eq!(VECTORS.lines().next(), Some(keys().sign(&receipt()).as_str()));
}

#[test]
fn a_receipt_with_any_one_character_changed_is_none() {
    let signed = keys().sign(&receipt());
    for (index, original) in signed.char_indices() {
        for other in ('\u{1}'..='\u{ff}').filter(|&other| other != original) {
            let mut forged = signed.clone();
            forged.replace_range(index..=index, &other.to_string());
            assert_eq!(keys().verify(&forged), None, "{forged}");
        }
        let mut shorter = signed.clone();
        shorter.remove(index);
        assert_eq!(keys().verify(&shorter), None, "{shorter}");
    }
    assert_eq!(keys().verify(&format!("{signed}0")), None);
    assert_eq!(keys().verify(&format!(".{signed}")), None);
}

#[test]
fn an_upper_case_tag_is_none() {
    let (signed, tag) = VECTORS.lines().next().and_then(|line| line.rsplit_once('.')).expect("a receipt");
    assert_eq!(keys().verify(&format!("{signed}.{}", tag.to_uppercase())), None);
}

#[test]
fn the_first_key_signs_and_all_verify() {
    let old = "an old key of thirty-two letters";
    let rotated = Keys::parse(&format!("{KEY},{old}")).expect("two keys");
    let by_old = Keys::parse(old).expect("one key").sign(&receipt());
    assert_eq!(rotated.verify(&by_old), Some(receipt()));
    assert_eq!(rotated.sign(&receipt()), keys().sign(&receipt()));
    assert_eq!(keys().verify(&by_old), None);
}

#[test]
fn key_lists_are_read_and_refused_without_repeating_a_key() {
    assert!(Keys::parse(&format!(" {KEY} ,\n{KEY}\n")).is_ok());
    assert_eq!(Keys::parse(" , ").map(|_| ()), Err(KeysError::Empty));
    let short = Keys::parse(&format!("{KEY},hunter2")).expect_err("7 characters");
    assert_eq!(short, KeysError::TooShort { position: 2, length: 7 });
    assert!(!short.to_string().contains("hunter2"));
    assert!(!format!("{:?}", keys()).contains(KEY));
}

proptest! {
    #[test]
    fn receipts_round_trip(
        digits in "[0-9a-f]{40}", version in "[A-Za-z0-9_-]{1,16}", revision: u64, letter in 0..3usize,
        started: u64, touched: u64,
    ) {
        let token = Token::parse(&digits).expect("40 digits");
        let placement = [Placement::Drawn, Placement::Moved, Placement::Other][letter];
        let placed = Placed { revision, placement };
        let receipt = Receipt { token, version: code(&version), placed, started, touched };
        prop_assert_eq!(keys().verify(&keys().sign(&receipt)), Some(receipt));
    }

    #[test]
    fn no_text_is_a_receipt_or_makes_a_panic(text in "\\PC*", near in "[0-9a-f]{0,41}(\\.[0-9A-Za-z+_-]{0,21}){0,7}") {
        prop_assert_eq!(keys().verify(&text), None);
        prop_assert_eq!(keys().verify(&near), None);
    }

    #[test]
    fn a_placement_is_a_number_and_a_letter(text in "\\PC{0,4}", near in "[0-9+-]{0,21}[dmo]?") {
        for text in [text, near] {
            if let Some(placed) = Placed::parse(&text) {
                prop_assert_eq!(placed.to_string(), text);
            }
        }
        for other in ["+1d", "07d", "00o", "d", "18446744073709551616d"] {
            prop_assert_eq!(Placed::parse(other), None);
        }
    }

    #[test]
    fn version_codes_are_their_text(text in "\\PC{0,20}") {
        let is_code = (1..=16).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match VersionCode::parse(&text) {
            Ok(code) => prop_assert!(is_code && code.as_str() == text),
            Err(_) => prop_assert!(!is_code),
        }
    }

    #[test]
    fn version_codes_sort_as_their_text(one in "[A-Za-z0-9_-]{1,16}", other in "[A-Za-z0-9_-]{1,16}") {
        prop_assert_eq!(code(&one).cmp(&code(&other)), one.cmp(&other));
    }
}
