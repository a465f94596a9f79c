//! Crawlers and monitors, recognised by their `User-Agent`.

use std::sync::LazyLock;

use aho_corasick::automaton::Automaton;
use aho_corasick::dfa::DFA;
use aho_corasick::{Input, MatchKind};

/// Words that crawlers and monitors have in their names, in lower case. `bot` covers Googlebot, bingbot and
/// most others. The rest are names without `bot` in them.
const MARKS: [&str; 20] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "archiver",
    "facebookexternalhit",
    "mediapartners-google",
    "google-inspectiontool",
    "bingpreview",
    "lighthouse",
    "pingdom",
    "statuscake",
    "site24x7",
    "newrelicpinger",
    "datadog",
    "elb-healthchecker",
    "health-check",
    "cloudwatchsynthetics",
    "kube-probe",
    "blackbox-exporter",
];

/// Words that are no mark of a crawler by themselves. The phones of one maker are called `Cubot`, and people
/// use them. `uptime` is a mark only where no browser is named.
const OTHER_WORDS: [&str; 2] = ["cubot", "uptime"];

/// One pass over the header finds all words: every request is searched. The prefilter compares many bytes at once, and
/// in the header of a browser it finds nothing. It needs words and text in one case. The automaton is built
/// directly, because `AhoCorasick` also brings every other kind of automaton into the binary.
static WORDS: LazyLock<DFA> = LazyLock::new(|| {
    DFA::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .prefilter(true)
        .build(OTHER_WORDS.iter().chain(&MARKS))
        .expect("some short words make a small automaton")
});

/// Whether a `User-Agent` belongs to a known crawler or monitor. Such a request begins no session.
///
/// Plain clients such as curl count as viewers. So does `Amazon CloudFront`, the value that arrives when
/// CloudFront does not forward the viewer's own header, and so does a request without the header.
pub fn is_bot(user_agent: &[u8]) -> bool {
    let user_agent = user_agent.to_ascii_lowercase();
    let mut has_uptime = false;
    let words = WORDS.try_find_iter(Input::new(&user_agent)).expect("the automaton supports unanchored searches");
    for word in words {
        match OTHER_WORDS.get(word.pattern().as_usize()) {
            Some(&"cubot") => {}
            Some(_) => has_uptime = true,
            None => return true,
        }
    }
    has_uptime && memchr::memmem::find(&user_agent, b"mozilla").is_none()
}
