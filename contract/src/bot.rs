//! Crawlers and monitors, by what they call themselves.

/// Whether a `User-Agent` belongs to a known crawler or monitor. Such a request starts no session.
///
/// Plain clients such as curl are viewers, and so is `Amazon CloudFront`, which is what arrives when the viewer's own
/// header is not forwarded. A request without the header is a viewer as well.
pub fn is_bot(user_agent: &str) -> bool {
    // Words that crawlers and monitors put into their names, in lower case. `bot` covers Googlebot, bingbot and most
    // others; the rest are those that go without it.
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
    // Phones of this maker have `Cubot` in their names, and people behind them.
    let user_agent = user_agent.to_ascii_lowercase().replace("cubot", "");
    MARKS.iter().any(|mark| user_agent.contains(mark))
        || (user_agent.contains("uptime") && !user_agent.contains("mozilla"))
}
