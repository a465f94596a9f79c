//! The settings of a sidecar.

use std::time::Duration;

use anyhow::Result;
use stickshift_contract::{
    BODY_LIMIT, Setting, TUNNEL_SILENCE, UPSTREAM_CONNECTIONS, UPSTREAM_HEAD, UPSTREAM_PAUSE, VIEWER_CONNECTIONS,
};

use super::Values;
use crate::forward::{Limits, Target};
use crate::listener::worker_threads;

/// An app behind a sidecar, and how it is reached.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// What it gets as `Host`.
    pub host: UpstreamHost,
    /// Its paths that `/_v/<version>/` leads to.
    pub asset_paths: AssetPaths,
    /// What a request to it may take.
    pub limits: Limits,
    /// The most connections that one thread accepts.
    pub viewer_connections: usize,
}

/// What the upstream gets as `Host`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamHost {
    /// What the request had.
    Viewer,
    /// The upstream's own name and port.
    Upstream,
}

/// The paths of an upstream that `/_v/<version>/` leads to. Each begins and ends with `/`.
#[derive(Debug, Clone, Default)]
pub struct AssetPaths(Vec<String>);

/// Every setting that only a sidecar has.
pub fn upstream_settings() -> Vec<Setting> {
    vec![
        Setting::without_default(
            "asset_paths",
            "Paths of the app with files that anybody may see, separated by commas, for example `/assets/,/static/`. \
             Each begins and ends with `/`. `/_v/<version>/assets/app.js` leads to `/assets/app.js`. Without this \
             setting, `/_v/` leads nowhere.",
        ),
        Setting::optional(
            "upstream_host",
            &"viewer",
            "What the app gets as `Host`: `viewer` for what the request had, `upstream` for the app's own address.",
        ),
        Setting::interval(&UPSTREAM_HEAD),
        Setting::interval(&UPSTREAM_PAUSE),
        Setting::interval(&TUNNEL_SILENCE),
        Setting::interval(&BODY_LIMIT),
        Setting::interval(&UPSTREAM_CONNECTIONS),
        Setting::interval(&VIEWER_CONNECTIONS),
    ]
}

impl Values<'_> {
    pub(super) fn upstream(&self, target: Target) -> Result<Upstream> {
        let paths = self.get::<String>("asset_paths")?.unwrap_or_default();
        let asset_paths = AssetPaths::parse(&paths).map_err(|cause| self.refuse("asset_paths", cause))?;
        let seconds = |interval| self.checked_interval(interval).map(Duration::from_secs);
        let for_a_thread = |interval| {
            let count = usize::try_from(self.checked_interval(interval)?)?;
            anyhow::Ok(count.div_ceil(worker_threads()))
        };
        let limits = Limits {
            connections: for_a_thread(&UPSTREAM_CONNECTIONS)?,
            connect: Duration::from_secs(10),
            head: seconds(&UPSTREAM_HEAD)?,
            pause: seconds(&UPSTREAM_PAUSE)?,
            silence: seconds(&TUNNEL_SILENCE)?,
            body_bytes: self.checked_interval(&BODY_LIMIT)?,
        };
        let viewer_connections = for_a_thread(&VIEWER_CONNECTIONS)?;
        let hosts = [("viewer", UpstreamHost::Viewer), ("upstream", UpstreamHost::Upstream)];
        Ok(Upstream { target, host: self.one_of("upstream_host", hosts)?, asset_paths, limits, viewer_connections })
    }
}

impl AssetPaths {
    /// Reads a list. Errors say what a path looks like.
    fn parse(list: &str) -> Result<Self, String> {
        let paths = list.split(',').map(str::trim).filter(|path| !path.is_empty());
        paths
            .map(|path| match path {
                _ if path.starts_with('/') && path.ends_with('/') && is_plain(path) => Ok(path.to_owned()),
                _ => Err(format!("`{path}`: expected a path that begins and ends with `/`, for example /assets/")),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a path of the upstream is one of its assets, whichever way the upstream reads it.
    pub fn contain(&self, path: &str) -> bool {
        is_plain(path) && self.0.iter().any(|asset_path| path.starts_with(asset_path))
    }
}

/// Whether every server reads the path in the same way: no empty segment but the last, no `.` and `..`, also
/// encoded, no encoded slash, backslash, percent or NUL.
fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let lower_case = path.to_ascii_lowercase();
    let has_doubtful =
        ["%2f", "%5c", "%2e", "%25", "%00", "\\", "//", ";"].iter().any(|part| lower_case.contains(part));
    !has_doubtful && !rest.split('/').any(|segment| matches!(segment, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_paths_lead_to_nothing_else() {
        let paths = AssetPaths::parse("/assets/, /a/static/").expect("a list");
        for path in ["/assets/app.js", "/assets/", "/assets/a/b.css", "/a/static/x%20y.png"] {
            assert!(paths.contain(path), "{path}");
        }
        for path in [
            "/",
            "/app.js",
            "/assets",
            "/assetsx/a",
            "/a/",
            "/assets/../admin",
            "/assets/./a",
            "/assets/%2e%2e/admin",
            "/assets/%2E./admin",
            "/assets/..%2fadmin",
            "/assets/..%5Cadmin",
            "/assets//etc",
            "/assets/..;/admin",
            "/assets/%252e%252e/admin",
            "assets/app.js",
            "",
        ] {
            assert!(!paths.contain(path), "{path}");
        }
        for list in ["assets/", "/assets", "/assets/../", "/a/,b"] {
            assert!(AssetPaths::parse(list).is_err(), "{list}");
        }
        assert!(!AssetPaths::parse("").expect("none").contain("/a"));
    }
}
