//! Links that show one browser one version.

use anyhow::{Context as _, Result, bail};
use stickshift_contract::{ASSET_PREFIX, Link, PASS_PARAMETER, Pass, Plan, VersionCode};

use super::{Site, words};
use crate::clock::unix_now;

/// How long a browser sees a version unless somebody says otherwise, as [`words::parse_time`] reads it.
pub const DEFAULT_TIME: &str = "2h";

/// A preview.
#[derive(Debug)]
pub struct Preview {
    /// The link that begins it.
    pub link: String,
    /// Until when it begins one, in Unix seconds.
    pub redeem_by: u64,
    /// Its end, in Unix seconds.
    pub expires: u64,
    /// What programs send as [`PASS_HEADER`](stickshift_contract::PASS_HEADER).
    pub header: String,
    /// The link that ends it earlier.
    pub leave: String,
}

impl Preview {
    /// A preview of a version that lasts so many seconds. `url`: the address of the site, if the site itself does not
    /// know it. `path`: the page to open.
    ///
    /// Errors: the plan does not show the version, or there is no key.
    pub async fn new(site: &Site, version: VersionCode, seconds: u64, url: Option<&str>, path: &str) -> Result<Self> {
        check(&site.plan_in_force().await?.plan, version)?;
        let keys = site.pass_keys().await?;
        let now = unix_now();
        let pass = Pass { version, expires: now + seconds };
        let redeem_by = now + Link::REDEEM_SECONDS;
        Ok(Self {
            link: link(site, url, path, &keys.sign_link(&Link { pass, redeem_by }))?,
            redeem_by,
            expires: pass.expires,
            header: keys.sign(&pass),
            leave: leave(site, url, path)?,
        })
    }
}

/// Errors: the plan does not show the version.
fn check(plan: &Plan, version: VersionCode) -> Result<()> {
    if !plan.versions().contains_key(&version) {
        bail!("version {version} is not in the plan: add it first");
    }
    if !plan.is_open(version) {
        bail!("version {version} is withdrawn, so it is shown to nobody");
    }
    Ok(())
}

/// The link that ends any preview. Errors: the address of the site is not known.
pub fn leave(site: &Site, url: Option<&str>, path: &str) -> Result<String> {
    link(site, url, path, "")
}

fn link(site: &Site, url: Option<&str>, path: &str, parameter: &str) -> Result<String> {
    let url = url.or(site.url.as_deref());
    let url = url.context("which address does the site have? Name the site with --site, or its address with --url")?;
    let between = if path.contains('?') { '&' } else { '?' };
    Ok(format!("{}{path}{between}{PASS_PARAMETER}={parameter}", url.trim_end_matches('/')))
}

/// Reads how long a preview lasts, as seconds. Errors: it is no time, or longer than a pass may last.
pub fn parse_pass_time(text: &str) -> Result<u64, String> {
    let seconds = words::parse_time(text)?;
    if seconds > Pass::MAX_SECONDS {
        return Err(format!("`{text}`: a preview lasts at most a day, for example 2h"));
    }
    Ok(seconds)
}

/// Reads the path of a page. An asset is never a link, and of two links nobody knows which one is meant. Errors: it is
/// none.
pub fn parse_path(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_page = !text.starts_with(ASSET_PREFIX) && !text.contains(PASS_PARAMETER);
    if is_plain && is_page && text.starts_with('/') && !text.starts_with("//") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}`: expected the path of a page, for example /shop"))
}
