use rand::SeedableRng as _;
use rand::rngs::StdRng;
use stickshift_contract::Token;

#[test]
fn tokens_are_forty_hex_digits_and_differ() {
    let mut rng = StdRng::seed_from_u64(1);
    let (one, other) = (Token::generate(&mut rng), Token::generate(&mut rng));
    assert_ne!(one, other);
    assert_eq!(Token::parse(one.as_str()), Ok(one));
    assert_eq!(one.short(), &one.as_str()[..8]);
}

#[test]
fn a_token_is_the_sha_1_of_128_random_bytes() {
    use rand::Rng as _;
    use sha1::Digest as _;
    let mut seed = [0; 128];
    StdRng::seed_from_u64(7).fill_bytes(&mut seed);
    let expected: String = sha1::Sha1::digest(seed).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(Token::generate(&mut StdRng::seed_from_u64(7)).as_str(), expected);
}

#[test]
fn what_is_no_token_is_refused() {
    let good = "472ed977dc2fd2700dbb03a58634f789fd58d911";
    for bad in
        ["", &good[1..], &format!("{good}0"), &good.to_uppercase(), &good.replace('4', "g"), &good.replace("4", "é")]
    {
        assert!(Token::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn debug_shows_no_more_than_eight_digits() {
    let token = Token::parse("472ed977dc2fd2700dbb03a58634f789fd58d911").expect("a token");
    assert_eq!(format!("{token:?}"), "Token(472ed977…)");
}
