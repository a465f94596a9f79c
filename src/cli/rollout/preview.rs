//! `stickshift rollout preview`: a link that shows one browser one version.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use stickshift::operator::preview::{self, DEFAULT_TIME, parse_pass_time, parse_path};
use stickshift_contract::{PASS_HEADER, VersionCode};

use super::site::Site;
use super::words;
use crate::cli::arguments::parse_url;

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The version
    #[arg(value_parser = VersionCode::parse, required_unless_present = "leave", conflicts_with = "leave")]
    version: Option<VersionCode>,
    /// How long the browser sees it, for example 2h; at most a day
    #[arg(long = "for", value_name = "TIME", default_value = DEFAULT_TIME, value_parser = parse_pass_time)]
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
        let (url, path) = (self.url.as_deref(), self.path.as_str());
        let Some(version) = self.version else {
            let leave = preview::leave(site, url, path)?;
            if site.is_json {
                return words::show(&json!({ "leave": leave }).to_string());
            }
            return words::show(&format!("Open this link to end a preview:\n\n  {leave}\n"));
        };
        let made = preview::Preview::new(site, version, self.seconds, url, path).await?;
        let preview::Preview { link, redeem_by, expires, header, leave } = made;
        let header = format!("{PASS_HEADER}: {header}");
        if site.is_json {
            let made = json!({
                "version": version,
                "expires": expires,
                "link": link,
                "redeem_by": redeem_by,
                "header": header,
                "leave": leave,
            });
            return words::show(&made.to_string());
        }
        // A link is long and must not be cut off.
        words::show_whole(&format!(
            "{}\n\n\
             Open this link before {}. The browser then sees version {version}\n\
             until {}, with a session of its own there. The session that it has now waits.\n\
             Whoever has the link can do the same.\n\n  {link}\n\n\
             To end it earlier:\n\n  {leave}\n\n\
             For programs, as a header:\n\n  {header}\n",
            site.name,
            words::time(redeem_by),
            words::time(expires),
        ))
    }
}
