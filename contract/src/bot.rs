//! Crawlers and monitors, recognised by their `User-Agent`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Words that crawlers and monitors have in their names, in lower case. `bot` covers Googlebot, bingbot and
/// most others, and has a search of its own. These are names without `bot` in them.
const MARKS: [&str; 19] = [
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

/// Every request is searched, so the searches are prepared once.
static SEARCHES: LazyLock<Searches> = LazyLock::new(|| Searches {
    bot: Finder::new("bot"),
    marks: MARKS.map(Finder::new),
    uptime: Finder::new("uptime"),
    mozilla: Finder::new("mozilla"),
});

struct Searches {
    bot: Finder<'static>,
    marks: [Finder<'static>; MARKS.len()],
    uptime: Finder<'static>,
    mozilla: Finder<'static>,
}

/// Whether a `User-Agent` belongs to a known crawler or monitor. Such a request begins no session.
///
/// Plain clients such as curl count as viewers. So does `Amazon CloudFront`, the value that arrives when
/// CloudFront does not forward the viewer's own header, and so does a request without the header.
pub fn is_bot(user_agent: &str) -> bool {
    let Searches { bot, marks, uptime, mozilla } = &*SEARCHES;
    let user_agent = user_agent.to_ascii_lowercase();
    let user_agent = user_agent.as_bytes();
    let has = |search: &Finder<'_>| search.find(user_agent).is_some();
    // The phones of one maker are called `Cubot`, and people use them.
    bot.find_iter(user_agent).any(|at| !user_agent[..at].ends_with(b"cu"))
        || marks.iter().any(has)
        || (has(uptime) && !has(mozilla))
}
