//! Arguments of `watch`: what is shown, by the names that the HTTP API has for it.

use clap::{Args, Subcommand};

use crate::alert::When;
use crate::alert::enrich::Bands;
use crate::commands::Format;
use crate::commands::watch::{Agents, Alerts};
use crate::config::Settings;
use crate::setting::Span;
use crate::store::reader::AlertFilter;

/// What to watch.
#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// Alerts as they are stored, after the newest that are there
    #[command(
        after_help = "Examples:\n  custom-mongo watch alerts --level-min 10\n  custom-mongo watch alerts --agent 003 --since 2h --text 'invalid user'\n  custom-mongo watch alerts --risk critical --format json | jq .full_log"
    )]
    Alerts(WatchAlertsArgs),
    /// Agents, those that need a look first: status, age of the inventory, last keep alive
    #[command(
        after_help = "Examples:\n  custom-mongo watch agents\n  custom-mongo watch agents --status disconnected --interval 30s\n  custom-mongo watch agents --format json > agents.json"
    )]
    Agents(WatchAgentsArgs),
}

/// Arguments of `watch alerts`. Everything that is asked for has to hold.
#[derive(Debug, Args)]
pub struct WatchAlertsArgs {
    /// Only this risk
    #[arg(long, alias = "risk-score", value_parser = ["critical", "high", "medium", "low"])]
    pub risk: Option<String>,
    /// Only this agent
    #[arg(long, alias = "agent-id", value_name = "ID")]
    pub agent: Option<String>,
    /// Only this rule
    #[arg(long, alias = "rule-id", value_name = "ID")]
    pub rule: Option<String>,
    /// Only rules of this group
    #[arg(long)]
    pub group: Option<String>,
    /// Only rules of this level or a higher one
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i64).range(0..=16))]
    pub level_min: Option<i64>,
    /// Only this MITRE ATT&CK technique
    #[arg(long, value_name = "ID")]
    pub mitre: Option<String>,
    /// Only this site
    #[arg(long)]
    pub site: Option<String>,
    /// Only with this text in the description or the log line, whatever its case
    #[arg(long, alias = "q")]
    pub text: Option<String>,
    /// First those of this time and later: a date, a time (RFC 3339), or an age as 36h or 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// First so many of the newest; 20, or 1000 with --since
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub last: Option<u64>,
}

/// Arguments of `watch agents`.
#[derive(Debug, Args)]
pub struct WatchAgentsArgs {
    /// Only this status: active, disconnected, pending, `never_connected`
    #[arg(long)]
    pub status: Option<String>,
    /// Only this site
    #[arg(long)]
    pub site: Option<String>,
    /// How often the table is made anew
    #[arg(long, value_name = "SPAN", default_value = "5s")]
    pub interval: Span,
}

impl WatchCommand {
    /// Shows it.
    ///
    /// # Errors
    ///
    /// As the commands'.
    pub fn run(&self, settings: &Settings, format: Format) -> anyhow::Result<u8> {
        match self {
            Self::Alerts(args) => Alerts {
                filter: args.filter(&settings.enrich.risk),
                since: args.since,
                last: args.last,
            }
            .run(settings, format),
            Self::Agents(args) => Agents {
                status: args.status.clone(),
                site: args.site.clone(),
                every: args.interval.0,
            }
            .run(settings, format),
        }
    }
}

impl WatchAlertsArgs {
    /// The filter but for its time. Wazuh 5 has words for levels, which `bands` knows.
    fn filter(&self, bands: &Bands) -> AlertFilter {
        AlertFilter {
            site: self.site.clone(),
            risk_score: self.risk.clone(),
            agent_id: self.agent.as_deref().map(super::agent_id),
            rule_id: self.rule.clone(),
            group: self.group.clone(),
            mitre: self.mitre.clone(),
            level_min: self.level_min,
            level_words: self
                .level_min
                .map(|number| bands.words_from(number))
                .unwrap_or_default(),
            q: self.text.clone(),
            ..AlertFilter::default()
        }
    }
}
