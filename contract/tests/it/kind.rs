use stickshift_contract::{Kind, KindInputs};

fn get() -> KindInputs<'static> {
    let (fetch_destination, accept) = (None, Some("text/html,application/xhtml+xml,*/*;q=0.8"));
    KindInputs { method: "GET", path: "/", fetch_destination, accept, is_websocket: false, is_bot: false }
}

#[test]
fn browsers_say_what_they_want() {
    for (destination, kind) in [
        ("document", Kind::Document),
        ("empty", Kind::Visit),
        ("iframe", Kind::Visit),
        ("frame", Kind::Visit),
        ("websocket", Kind::Visit),
        ("image", Kind::Rest),
        ("style", Kind::Rest),
        ("script", Kind::Rest),
        ("font", Kind::Rest),
        ("serviceworker", Kind::Rest),
        ("invented-later", Kind::Rest),
    ] {
        let request = KindInputs { fetch_destination: Some(destination), ..get() };
        assert_eq!(Kind::of(&request, false), kind, "{destination}");
    }
    let frame = KindInputs { fetch_destination: Some("iframe"), ..get() };
    assert_eq!(Kind::of(&frame, true), Kind::Document, "with SameSite=None");
}

#[test]
fn without_that_header_the_accepted_types_tell() {
    for (accept, kind) in [
        (None, Kind::Document),
        (Some("*/*"), Kind::Document),
        (Some("text/html"), Kind::Document),
        (Some("application/xml;q=0.9, Text/HTML;q=0.8"), Kind::Document),
        (Some("application/json"), Kind::Visit),
        (Some("text/event-stream"), Kind::Visit),
        (Some(""), Kind::Visit),
    ] {
        assert_eq!(Kind::of(&KindInputs { accept, ..get() }, false), kind, "{accept:?}");
    }
}

#[test]
fn methods_assets_sockets_and_bots_are_told_apart() {
    for (method, kind) in [
        ("POST", Kind::Visit),
        ("PUT", Kind::Visit),
        ("DELETE", Kind::Visit),
        ("HEAD", Kind::Rest),
        ("OPTIONS", Kind::Rest),
    ] {
        assert_eq!(Kind::of(&KindInputs { method, ..get() }, false), kind, "{method}");
    }
    let asset = KindInputs { path: "/_v/2/theme.css", accept: None, ..get() };
    assert_eq!(Kind::of(&asset, false), Kind::Rest, "an asset request often has no Accept header");
    let document = KindInputs { fetch_destination: Some("document"), ..asset };
    assert_eq!(Kind::of(&document, false), Kind::Rest, "also when a person opens the asset");
    assert_eq!(Kind::of(&KindInputs { is_websocket: true, accept: None, ..get() }, false), Kind::Visit);
    for method in ["GET", "POST"] {
        let bot = KindInputs { method, is_bot: true, ..get() };
        assert_eq!(Kind::of(&bot, false), Kind::Rest, "{method}");
    }
}
