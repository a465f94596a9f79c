//! `stickshift rollout history`.

use anyhow::{Context as _, Result};
use clap::Args;
use stickshift::store::plans::history;
use stickshift_contract::PlanRecord;

use super::site::Site;
use super::words;

#[derive(Debug, Args)]
pub(super) struct History {
    /// How many plans to show
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    last: u16,
}

impl History {
    pub(super) async fn run(self, site: &Site) -> Result<()> {
        let records = history(&site.client, &site.rollout_table, self.last).await;
        let records = records.with_context(|| format!("could not read the history from {}", site.name))?;
        if site.is_json {
            let lines: Result<Vec<_>, _> = records.iter().map(serde_json::to_string).collect();
            return words::show(&lines?.join("\n"));
        }
        let mut rows = vec![["revision", "since", "by", "plan", "why"].map(str::to_owned).to_vec()];
        for PlanRecord { plan, changed_at, changed_by, why } in &records {
            let versions =
                plan.versions().keys().map(|version| format!("{version} {}", words::version(plan, *version)));
            rows.push(vec![
                plan.revision().to_string(),
                words::time(*changed_at),
                words::plain(changed_by),
                versions.collect::<Vec<_>>().join("; "),
                words::plain(why),
            ]);
        }
        words::show(&format!("{}\n\n{}", site.name, words::table(&rows)))
    }
}
