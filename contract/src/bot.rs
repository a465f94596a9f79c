//! Crawlers and monitors, recognised by their `User-Agent`.

/// Whether a `User-Agent` belongs to a known crawler or monitor. Such a request begins no session.
///
/// Plain clients such as curl count as viewers. So does `Amazon CloudFront`, the value that arrives when
/// CloudFront does not forward the viewer's own header, and so does a request without the header.
pub fn is_bot(user_agent: &str) -> bool {
    // Words that crawlers and monitors have in their names, in lower case. `bot` covers Googlebot,
    // bingbot and most others. The rest are names without `bot` in them.
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
    // The phones of one maker are called `Cubot`, and people use them.
    let user_agent = user_agent.to_ascii_lowercase().replace("cubot", "");
    MARKS.iter().any(|mark| user_agent.contains(mark))
        || (user_agent.contains("uptime") && !user_agent.contains("mozilla"))
}
