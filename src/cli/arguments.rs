//! Arguments that several commands take, and how they print a version.

#[cfg(feature = "embedded-dynamodb")]
use stickshift::forward::{Target, TargetError};
use stickshift_contract::{Domain, Origin, Plan, PlannedVersion, Port, Protocol, State, VersionCode, Weight};

/// Where a version answers monitors.
pub(super) const ADMIN_LISTEN: &str = "127.0.0.1:9464";

/// Where the dashboard listens.
#[cfg(feature = "operator")]
pub(super) const DASHBOARD_LISTEN: &str = "127.0.0.1:8090";

/// Reads `VERSION=PERCENT`.
pub(super) fn parse_weight(text: &str) -> Result<(VersionCode, Weight), String> {
    let (version, weight) = text.split_once('=').ok_or("expected VERSION=PERCENT, for example 2=10")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let weight = Weight::parse_percent(weight).map_err(|cause| cause.to_string())?;
    Ok((version, weight))
}

/// Reads `VERSION=URL`.
#[cfg(feature = "embedded-dynamodb")]
pub(super) fn parse_app(text: &str) -> Result<(VersionCode, Target), String> {
    let (version, url) = text.split_once('=').ok_or("expected VERSION=URL, for example 2=http://127.0.0.1:3000")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let target = url.parse().map_err(|cause: TargetError| cause.to_string())?;
    Ok((version, target))
}

/// Reads `VERSION=HOST:PORT`.
pub(super) fn parse_origin(text: &str) -> Result<(VersionCode, Origin), String> {
    let parts = text.split_once('=').and_then(|(version, place)| Some((version, place.rsplit_once(':')?)));
    let (version, (domain, port)) = parts.ok_or("expected VERSION=HOST:PORT, for example 1=localhost:8081")?;
    let version = VersionCode::parse(version).map_err(|cause| cause.to_string())?;
    let domain = Domain::parse(domain).map_err(|cause| cause.to_string())?;
    let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
    let port = Port::new(port).map_err(|cause| cause.to_string())?;
    Ok((version, Origin { domain, port, protocol: Protocol::Http }))
}

/// What a plan says about a version, for example `live, stable, 90.00 % of new sessions`. Only a live
/// version gets new sessions.
pub(super) fn in_words(plan: &Plan, version: VersionCode, planned: &PlannedVersion) -> String {
    let stable = if plan.stable() == version { ", stable" } else { "" };
    match planned.state {
        State::Live => format!("{}{stable}, {} % of new sessions", planned.state, planned.weight),
        state => state.to_string(),
    }
}

/// Reads the address of a site, `https://HOST`.
#[cfg(feature = "operator")]
pub(super) fn parse_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && host.bytes().all(is_part) => Ok(text.to_owned()),
        _ => Err(format!("`{text}`: expected the address of a site, for example https://www.example.com")),
    }
}
