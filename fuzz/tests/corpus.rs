//! The committed texts, without the fuzzing engine.

use std::fs;
use std::path::Path;

type Handle = fn(&[u8]);

#[test]
fn every_text_of_the_corpus_is_handled() {
    let targets: [(&str, Handle); 6] = [
        ("event", stickshift_fuzz::event),
        ("cookie", stickshift_fuzz::cookie),
        ("receipt", stickshift_fuzz::receipt),
        ("plan", stickshift_fuzz::plan),
        ("config", stickshift_fuzz::config),
        ("theme", stickshift_fuzz::theme),
    ];
    for (target, handle) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let files: Vec<_> = fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
        assert!(!files.is_empty(), "{target} has no texts");
        for file in files {
            handle(&fs::read(&file).expect("it can be read"));
        }
    }
}
