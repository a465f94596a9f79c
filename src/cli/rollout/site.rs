//! What the commands talk to: AWS, or an `up` on this machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use aws_sdk_dynamodb::Client;
use clap::Args;
use stickshift::local::RunningUp;
#[cfg(feature = "embedded-dynamodb")]
use stickshift::local::machine::DataDir;
use stickshift::settings::SharedSettings;
use stickshift::store::plans::read_plan_in_force;
use stickshift::store::pulses::PulseStore;
use stickshift::store::sessions::SessionStore;
use stickshift::store::{DynamoDb, aws_config};
use stickshift_contract::{PassKeys, PlanRecord, ROLLOUT_TABLE, SESSIONS_TABLE, SessionCookie};

/// Variables that say that AWS is meant.
const AWS_VARIABLES: [&str; 4] = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB"];

#[derive(Debug, Args)]
pub(super) struct SiteArguments {
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
pub(super) struct Site {
    pub(super) client: Client,
    pub(super) sessions: SessionStore,
    pub(super) pulses: PulseStore,
    pub(super) rollout_table: String,
    /// The address of the site, if it is known.
    pub(super) url: Option<String>,
    /// What it talks to, in words.
    pub(super) name: String,
    /// Whether to print JSON.
    pub(super) is_json: bool,
    /// The data directory of the `up` on this machine.
    pub(super) data_dir: Option<PathBuf>,
    /// AWS's configuration, which also says who asks. `None` on this machine.
    config: Option<aws_config::SdkConfig>,
}

impl Site {
    /// Finds it. Errors: nothing runs here and no AWS is configured.
    pub(super) async fn find(arguments: SiteArguments, is_json: bool) -> Result<Self> {
        let SiteArguments { region, profile, rollout_table, sessions_table, data_dir } = arguments;
        let is_aws = region.is_some()
            || profile.is_some()
            || AWS_VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if is_aws {
            let config = aws_config(region, profile.as_deref()).await;
            let dynamodb = DynamoDb::from_config(&config);
            let region = config.region().map_or_else(String::new, ToString::to_string);
            let name = match std::env::var("AWS_ENDPOINT_URL_DYNAMODB") {
                Ok(url) => format!("the DynamoDB at {url}, {rollout_table}"),
                Err(_) => format!("AWS, {region}, {rollout_table}"),
            };
            let sessions = SessionStore::new(dynamodb.client(), sessions_table);
            let client = dynamodb.client();
            return Ok(Self {
                pulses: PulseStore::new(client.clone(), rollout_table.clone()),
                client,
                sessions,
                rollout_table,
                name,
                is_json,
                url: None,
                data_dir: None,
                config: Some(config),
            });
        }
        let Some(up) = RunningUp::find(&data_dir)? else {
            bail!(
                "no `stickshift up` runs with the data directory {}: start one, name another with --data-dir, or \
                 name the home region on AWS with --region",
                data_dir.display()
            );
        };
        let dynamodb = DynamoDb::at(&up.dynamodb);
        let name = format!("stickshift up on this machine, {}", up.cloudfront);
        let sessions = SessionStore::new(dynamodb.client(), up.sessions_table);
        let url = Some(up.cloudfront);
        let (client, rollout_table) = (dynamodb.client(), up.rollout_table);
        let pulses = PulseStore::new(client.clone(), rollout_table.clone());
        Ok(Self { client, sessions, pulses, rollout_table, url, name, is_json, data_dir: Some(data_dir), config: None })
    }

    /// The plan in force. Errors: there is none, or the table cannot be used.
    pub(super) async fn plan_in_force(&self) -> Result<PlanRecord> {
        let record = read_plan_in_force(&self.client, &self.rollout_table).await;
        let record = record.with_context(|| format!("could not read the plan from {}", self.name))?;
        record.with_context(|| format!("there is no plan in {} yet", self.name))
    }

    /// How the edge reads cookies: by the settings in the environment, and the keys of the `up` on this machine. Errors:
    /// a setting is wrong.
    pub(super) fn cookie(&self) -> Result<SessionCookie> {
        let mut cookie = SharedSettings::from_environment()?.cookie;
        #[cfg(feature = "embedded-dynamodb")]
        if let (None, Some(data_dir)) = (&cookie.keys, &self.data_dir) {
            cookie.keys = DataDir::keys_in(data_dir);
        }
        Ok(cookie)
    }

    /// The keys of passes. Errors: there are none.
    pub(super) fn pass_keys(&self) -> Result<PassKeys> {
        let keys = self.cookie()?.keys.context("a preview is signed: set STICKSHIFT_KEYS to the receipts' keys")?;
        Ok(keys.passes().clone())
    }

    /// Who asks, for the history: AWS's name of the caller, or the user of this machine.
    pub(super) async fn caller(&self) -> Result<String> {
        let is_aws = std::env::var_os("AWS_ENDPOINT_URL_DYNAMODB").is_none();
        if let Some(config) = self.config.as_ref().filter(|_| is_aws) {
            let identity = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
            let identity = identity.map_err(aws_sdk_sts::Error::from).context("could not ask AWS who you are")?;
            return identity.arn.context("AWS does not say who you are");
        }
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        Ok(user.unwrap_or_else(|| "somebody on this machine".to_owned()))
    }
}
