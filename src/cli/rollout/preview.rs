//! `stickshift rollout preview`: a link that shows one browser one version.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use stickshift::clock::unix_now;
use stickshift_contract::{ASSET_PREFIX, Link, PASS_HEADER, PASS_PARAMETER, Pass, VersionCode};

use super::change::parse_time;
use super::site::Site;
use super::words;

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The version
    #[arg(value_parser = VersionCode::parse, required_unless_present = "leave", conflicts_with = "leave")]
    version: Option<VersionCode>,
    /// How long the browser sees it, for example 2h; at most a day
    #[arg(long = "for", value_name = "TIME", default_value = "2h", value_parser = parse_pass_time)]
    seconds: u64,
    /// The page to open
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = parse_path)]
    path: String,
    /// The address of the site on AWS, for example https://www.example.com
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    url: Option<String>,
    /// Print the link that ends a preview before its time
    #[arg(long)]
    leave: bool,
}

impl Preview {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let url = self.url.clone().or_else(|| site.url.clone());
        let url = url.context("which address does the site have? Name it with --url, as https://www.example.com")?;
        let link = |parameter: &str| {
            let between = if self.path.contains('?') { '&' } else { '?' };
            format!("{}{}{between}{PASS_PARAMETER}={parameter}", url.trim_end_matches('/'), self.path)
        };
        let leave = link("");
        let Some(version) = self.version else {
            if site.is_json {
                return words::show(&json!({ "leave": leave }).to_string());
            }
            return words::show(&format!("Open this link to end a preview:\n\n  {leave}\n"));
        };
        let plan = site.plan_in_force().await?.plan;
        if !plan.versions().contains_key(&version) {
            bail!("version {version} is not in the plan: add it first");
        }
        if !plan.is_open(version) {
            bail!("version {version} is withdrawn, so it is shown to nobody");
        }
        let keys = site.pass_keys().await?;
        let now = unix_now();
        let pass = Pass { version, expires: now + self.seconds };
        let redeem_by = now + Link::REDEEM_SECONDS;
        let (enter, by_header) = (link(&keys.sign_link(&Link { pass, redeem_by })), keys.sign(&pass));
        if site.is_json {
            let made = json!({
                "version": version,
                "expires": pass.expires,
                "link": enter,
                "redeem_by": redeem_by,
                "header": format!("{PASS_HEADER}: {by_header}"),
                "leave": leave,
            });
            return words::show(&made.to_string());
        }
        // A link is long and must not be cut off.
        words::show_whole(&format!(
            "{}\n\n\
             Open this link before {}. The browser then sees version {version}\n\
             until {}, with a session of its own there. The session that it has now waits.\n\
             Whoever has the link can do the same.\n\n  {enter}\n\n\
             To end it earlier:\n\n  {leave}\n\n\
             For programs, as a header:\n\n  {PASS_HEADER}: {by_header}\n",
            site.name,
            words::time(redeem_by),
            words::time(pass.expires),
        ))
    }
}

fn parse_pass_time(text: &str) -> Result<u64, String> {
    let seconds = parse_time(text)?;
    if seconds > Pass::MAX_SECONDS {
        return Err(format!("`{text}`: a preview lasts at most a day, for example 2h"));
    }
    Ok(seconds)
}

fn parse_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && host.bytes().all(is_part) => Ok(text.to_owned()),
        _ => Err(format!("`{text}`: expected the address of a site, for example https://www.example.com")),
    }
}

/// An asset is never a link, and of two links nobody knows which one is meant.
fn parse_path(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_page = !text.starts_with(ASSET_PREFIX) && !text.contains(PASS_PARAMETER);
    if is_plain && is_page && text.starts_with('/') && !text.starts_with("//") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}`: expected the path of a page, for example /shop"))
}
