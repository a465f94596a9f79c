//! What operators talk to: AWS, or an `up` on this machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use aws_sdk_dynamodb::Client;
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use stickshift_contract::{
    PassKeys, PlanRecord, ROLLOUT_TABLE, SESSIONS_TABLE, SessionCookie, SiteRecord, site_parameter,
};
use stickshift_edge::{is_known_region, nearest_first};

use super::words;
use crate::local::RunningUp;
#[cfg(feature = "embedded-dynamodb")]
use crate::local::machine::DataDir;
use crate::settings::SharedSettings;
use crate::store::plans::read_plan_in_force;
use crate::store::pulses::PulseStore;
use crate::store::runs::RunStore;
use crate::store::sessions::SessionStore;
use crate::store::{Calls, DynamoDb, aws_config};

/// Variables that say that AWS is meant.
const AWS_VARIABLES: [&str; 4] = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB"];

/// The arguments of a command line that name it.
#[derive(Debug, Args)]
pub struct SiteArguments {
    /// The site on AWS, by the name that Terraform gave it; its tables and its address are found by it
    #[arg(long, global = true, value_name = "NAME", conflicts_with_all = ["rollout_table", "sessions_table"])]
    site: Option<String>,
    /// The home region of the tables on AWS
    #[arg(long, global = true, value_name = "REGION")]
    region: Option<String>,
    /// The profile of AWS's configuration files
    #[arg(long, global = true, value_name = "PROFILE")]
    profile: Option<String>,
    /// The table of plans on AWS
    #[arg(long, global = true, value_name = "NAME", default_value = ROLLOUT_TABLE)]
    rollout_table: String,
    /// The table of sessions on AWS
    #[arg(long, global = true, value_name = "NAME", default_value = SESSIONS_TABLE)]
    sessions_table: String,
    /// Where the `stickshift up` on this machine keeps its data
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".stickshift")]
    data_dir: PathBuf,
}

/// The tables, and who changes them.
pub struct Site {
    /// What was asked of DynamoDB there.
    pub calls: Calls,
    /// DynamoDB in the home region.
    pub client: Client,
    /// The sessions.
    pub sessions: SessionStore,
    /// What instances report.
    pub pulses: PulseStore,
    /// The rollout that runs by itself.
    pub runs: RunStore,
    /// The name of the table of plans.
    pub rollout_table: String,
    /// The address of the site, if it is known.
    pub url: Option<String>,
    /// What it talks to, in words.
    pub name: String,
    /// What it talks to.
    place: Place,
}

enum Place {
    /// The `up` with this data directory.
    Up(PathBuf),
    Aws {
        /// AWS's configuration for the home region, which also says who asks.
        config: Box<aws_config::SdkConfig>,
        profile: Option<String>,
        /// The record of the site, if it was found by its name.
        record: Option<SiteRecord>,
        sessions_table: String,
    },
}

/// A replica of the tables, as an edge reads it.
pub struct Replica {
    /// Its region.
    pub region: String,
    /// DynamoDB there.
    pub client: Client,
    /// The sessions there.
    pub sessions: SessionStore,
}

impl Site {
    /// Finds it. Errors: nothing runs here and no AWS is configured.
    pub async fn find(arguments: SiteArguments) -> Result<Self> {
        let SiteArguments { site, region, profile, rollout_table, sessions_table, data_dir } = arguments;
        let is_aws = site.is_some()
            || region.is_some()
            || profile.is_some()
            || AWS_VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if is_aws {
            let mut config = aws_config(region, profile.as_deref()).await;
            let record = match &site {
                Some(site) => Some(read_site(&config, site).await?),
                None => None,
            };
            let (rollout_table, sessions_table) = match &record {
                Some(record) => (record.rollout_table.clone(), record.sessions_table.clone()),
                None => (rollout_table, sessions_table),
            };
            if let Some(record) = &record {
                config = aws_config(Some(record.home_region.clone()), profile.as_deref()).await;
            }
            let dynamodb = DynamoDb::from_config(&config);
            let region = config.region().map_or_else(String::new, ToString::to_string);
            let place = match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
                Ok(url) => format!("the DynamoDB at {url}, {rollout_table}"),
                Err(_) => format!("AWS, {region}, {rollout_table}"),
            };
            let name = site.map_or_else(|| place.clone(), |site| format!("site {site}: {place}"));
            let calls = Calls::default();
            let client = dynamodb.counted_by(calls.clone()).client();
            return Ok(Self {
                calls,
                pulses: PulseStore::new(client.clone(), rollout_table.clone()),
                runs: RunStore::new(client.clone(), rollout_table.clone()),
                sessions: SessionStore::new(client.clone(), sessions_table.clone()),
                client,
                rollout_table,
                name,
                url: record.as_ref().map(|record| record.url.clone()),
                place: Place::Aws { config: Box::new(config), profile, record, sessions_table },
            });
        }
        let Some(up) = RunningUp::find(&data_dir)? else {
            bail!(
                "no `stickshift up` runs with the data directory {}: start one, name another with --data-dir, or \
                 name the site on AWS with --site or its home region with --region",
                data_dir.display()
            );
        };
        Ok(Self::of_up(up, data_dir))
    }

    /// The `up` that keeps its data in a directory.
    pub fn of_up(up: RunningUp, data_dir: PathBuf) -> Self {
        let calls = Calls::default();
        let client = DynamoDb::at(&up.dynamodb).counted_by(calls.clone()).client();
        let rollout_table = up.rollout_table;
        Self {
            sessions: SessionStore::new(client.clone(), up.sessions_table),
            pulses: PulseStore::new(client.clone(), rollout_table.clone()),
            runs: RunStore::new(client.clone(), rollout_table.clone()),
            client,
            rollout_table,
            calls,
            name: format!("stickshift up on this machine, {}", up.cloudfront),
            url: Some(up.cloudfront),
            place: Place::Up(data_dir),
        }
    }

    /// The plan in force. Errors: there is none, or the table cannot be used.
    pub async fn plan_in_force(&self) -> Result<PlanRecord> {
        let record = read_plan_in_force(&self.client, &self.rollout_table).await;
        let record = record.with_context(|| format!("could not read the plan from {}", self.name))?;
        record.with_context(|| format!("there is no plan in {} yet", self.name))
    }

    /// How the edge reads cookies: by the settings in the environment, and the keys of the `up` on this machine.
    ///
    /// Errors: a setting is wrong.
    pub fn cookie(&self) -> Result<SessionCookie> {
        let mut cookie = SharedSettings::from_environment()?.cookie;
        #[cfg(feature = "embedded-dynamodb")]
        if let (None, Place::Up(data_dir)) = (&cookie.keys, &self.place) {
            cookie.keys = DataDir::keys_in(data_dir);
        }
        Ok(cookie)
    }

    /// The keys of passes: the site's own, or made from the receipts' keys. Errors: there are none.
    pub async fn pass_keys(&self) -> Result<PassKeys> {
        if let Some(keys) = self.cookie()?.keys {
            return Ok(keys.passes().clone());
        }
        if let Place::Aws { config, record: Some(SiteRecord { pass_key: Some(name), .. }), .. } = &self.place {
            let key = SecretString::from(read_parameter(config, name).await?);
            return PassKeys::parse(key.expose_secret()).with_context(|| format!("the parameter {name} is no key"));
        }
        bail!("a preview is signed: name the site with --site, or set STICKSHIFT_KEYS to the receipts' keys")
    }

    /// The replica that an edge in a region asks first. Errors: there is no such region, or only one replica.
    pub async fn nearest_replica(&self, region: &str) -> Result<Replica> {
        if !is_known_region(region) {
            bail!("`{region}` is no region of AWS that this release knows, for example eu-central-1");
        }
        let Place::Aws { config, profile, record, sessions_table } = &self.place else {
            bail!("`stickshift up` has one region: leave --from out");
        };
        let mut regions: Vec<String> = config.region().map(ToString::to_string).into_iter().collect();
        match record {
            Some(record) => regions.extend(record.replicas.iter().cloned()),
            None => {
                let table = self.client.describe_table().table_name(sessions_table).send().await;
                let table = table.map_err(aws_sdk_dynamodb::Error::from).context("could not read the replicas")?.table;
                let replicas = table.and_then(|table| table.replicas).unwrap_or_default();
                regions.extend(replicas.into_iter().filter_map(|replica| replica.region_name));
            }
        }
        nearest_first(region, &mut regions, String::as_str);
        let nearest = regions.into_iter().next().context("the tables are in no region")?;
        let client = DynamoDb::from_config(&aws_config(Some(nearest.clone()), profile.as_deref()).await).client();
        let sessions = SessionStore::new(client.clone(), sessions_table.clone());
        Ok(Replica { region: nearest, client, sessions })
    }

    /// Who asks, for the history: AWS's name of the caller, or the user of this machine.
    pub async fn caller(&self) -> Result<String> {
        let is_aws = std::env::var_os("AWS_ENDPOINT_URL_DYNAMODB").is_none();
        if let (Place::Aws { config, .. }, true) = (&self.place, is_aws) {
            let identity = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
            let identity = identity.map_err(aws_sdk_sts::Error::from).context("could not ask AWS who you are")?;
            return identity.arn.context("AWS does not say who you are");
        }
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Ok(user.map_or_else(|| "somebody on this machine".to_owned(), |user| words::plain(&user)))
    }
}

/// Reads the record of a site. Errors: there is none, or it cannot be read.
async fn read_site(config: &aws_config::SdkConfig, site: &str) -> Result<SiteRecord> {
    let name = site_parameter(site);
    let text = read_parameter(config, &name).await?;
    serde_json::from_str(&text).with_context(|| format!("the parameter {name} is not the record of a site"))
}

async fn read_parameter(config: &aws_config::SdkConfig, name: &str) -> Result<String> {
    let call = aws_sdk_ssm::Client::new(config).get_parameter().name(name).with_decryption(true).send().await;
    let region = config.region().map_or_else(String::new, ToString::to_string);
    let parameter = call.map_err(aws_sdk_ssm::Error::from);
    let parameter = parameter.with_context(|| format!("could not read the parameter {name} in {region}"))?.parameter;
    parameter.and_then(|parameter| parameter.value).with_context(|| format!("the parameter {name} is empty"))
}
