//! Which snapshots to keep, as it is typed or as a profile says it.

use serde::Deserialize;

use super::config::values::Span;
use super::units;
use crate::operations::forget::policy::{Period, Policy};

/// What to keep: options of `forget`, keys of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[command(next_help_heading = "What to keep")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keep {
    /// Keep the last N snapshots
    #[arg(long, value_name = "N")]
    pub keep_last: Option<u64>,
    /// Keep the last snapshot of each of the last N hours that have one
    #[arg(long, value_name = "N")]
    pub keep_hourly: Option<u64>,
    /// … of each of the last N days
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u64>,
    /// … of each of the last N weeks
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u64>,
    /// … of each of the last N months
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u64>,
    /// … of each of the last N quarters
    #[arg(long, value_name = "N")]
    pub keep_quarterly: Option<u64>,
    /// … of each of the last N years
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<u64>,
    /// Keep all snapshots of the time before the newest one, such as 30d
    #[arg(long, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within: Option<Span>,
    /// Keep the last snapshot of each hour of this time
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_hourly: Option<Span>,
    /// … of each day
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_daily: Option<Span>,
    /// … of each week
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_weekly: Option<Span>,
    /// … of each month
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_monthly: Option<Span>,
    /// … of each quarter
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_quarterly: Option<Span>,
    /// … of each year
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = Span::parse)]
    pub keep_within_yearly: Option<Span>,
    /// Keep snapshots with this tag; may be repeated
    #[arg(long = "keep-tag", value_name = "TAG")]
    #[serde(rename = "keep-tag")]
    pub keep_tags: Vec<String>,
}

impl Keep {
    /// The policy that these options make.
    pub fn policy(&self) -> Policy {
        let counts = [self.keep_hourly, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_quarterly, self.keep_yearly];
        let spans = [
            self.keep_within_hourly,
            self.keep_within_daily,
            self.keep_within_weekly,
            self.keep_within_monthly,
            self.keep_within_quarterly,
            self.keep_within_yearly,
        ];
        Policy {
            last: self.keep_last.unwrap_or(0),
            periods: Period::ALL.into_iter().zip(counts).filter_map(|(period, count)| Some((period, count?))).collect(),
            within: self.keep_within.map(|span| span.0),
            within_periods: Period::ALL.into_iter().zip(spans).filter_map(|(period, span)| Some((period, span?.0))).collect(),
            tags: self.keep_tags.clone(),
        }
    }
}

/// The keys that are set, as a profile has them.
impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Policy { last, periods, within, within_periods, tags } = self.policy();
        let last = (last > 0).then(|| format!("keep-last {last}"));
        let periods = periods.into_iter().map(|(period, count)| format!("keep-{} {count}", period.name()));
        let within = within.map(|within| format!("keep-within {}", Span(within)));
        let within_periods = within_periods.into_iter().map(|(period, within)| format!("keep-within-{} {}", period.name(), Span(within)));
        let tags = tags.into_iter().map(|tag| format!("keep-tag {}", units::printable(&tag)));
        let all: Vec<String> = last.into_iter().chain(periods).chain(within).chain(within_periods).chain(tags).collect();
        f.write_str(&all.join(", "))
    }
}
