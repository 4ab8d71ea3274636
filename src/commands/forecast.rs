//! `tgvault stats --forecast`: how a vault grows, what that costs, and how long there is room.

use serde::Serialize;

use super::config::prices::Prices;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::units;
use crate::operations::forecast::{Forecast, forecast};

const DAYS_A_MONTH: f64 = 30.44;
const DAYS_A_YEAR: f64 = 365.25;

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    objects: u64,
    bytes: u64,
    archives: u64,
    archive_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_a_month: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in_a_year: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured_days: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_in_days: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<Costs<'a>>,
}

/// In the currency of the profile.
#[derive(Serialize)]
struct Costs<'a> {
    currency: &'a str,
    month: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    month_in_a_year: Option<f64>,
    verify: f64,
    restore: f64,
}

impl<'a> Costs<'a> {
    fn of(forecast: &Forecast, prices: &'a Prices) -> Self {
        let new = forecast.growth.map(|growth| growth.objects_a_day() * DAYS_A_MONTH).unwrap_or_default();
        let month = |bytes: f64| prices.month(bytes) + prices.writing(new);
        Self {
            currency: &prices.currency,
            month: month(forecast.bytes as f64),
            month_in_a_year: in_a_year(forecast).map(|bytes| month(bytes as f64)),
            verify: prices.reading(forecast.bytes, forecast.objects),
            restore: prices.reading(forecast.archive_bytes, forecast.archives),
        }
    }
}

fn in_a_year(forecast: &Forecast) -> Option<u64> {
    Some(forecast.bytes.saturating_add((forecast.growth?.bytes_a_day() * DAYS_A_YEAR) as u64))
}

/// Bytes that there is still room for, and what limits them.
pub fn room(forecast: &Forecast, quota: Option<u64>) -> Option<(u64, &'static str)> {
    let of_quota = quota.map(|quota| (quota.saturating_sub(forecast.bytes), "quota"));
    of_quota.into_iter().chain(forecast.free_bytes.map(|free| (free, "disk"))).min_by_key(|(bytes, _)| *bytes)
}

/// Shows how the vault grows. No key is needed.
///
/// # Errors
/// When there is no vault, or the store fails.
pub async fn run(context: &Context) -> Result<(), CommandError> {
    let session = context.session(Keys::None).await?;
    let forecast = forecast(&session).await?;
    let (output, settings) = (&context.output, &context.settings);
    let room = room(&forecast, settings.quota);
    let full_in = room.and_then(|(bytes, _)| forecast.days_until(bytes));
    let a_month = forecast.growth.map(|growth| (growth.bytes_a_day() * DAYS_A_MONTH) as u64);
    let measured = forecast.growth.map(|growth| growth.within.as_secs() / 86_400);
    let costs = settings.prices.as_ref().map(|prices| Costs::of(&forecast, prices));
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "stats --forecast",
            objects: forecast.objects,
            bytes: forecast.bytes,
            archives: forecast.archives,
            archive_bytes: forecast.archive_bytes,
            bytes_a_month: a_month,
            bytes_in_a_year: in_a_year(&forecast),
            measured_days: measured,
            free_bytes: forecast.free_bytes,
            quota_bytes: settings.quota,
            full_in_days: full_in,
            costs,
        })?;
        return Ok(());
    }
    let mut rows =
        vec![["stored now".to_owned(), format!("{} in {}", units::bytes(forecast.bytes), units::counted(forecast.objects, "object"))]];
    let mut add = |name: &str, value: String| rows.push([name.to_owned(), value]);
    match (a_month, measured, in_a_year(&forecast)) {
        (Some(a_month), Some(days), Some(year)) => {
            add("growth", format!("{} a month, by the last {}", units::bytes(a_month), units::counted(days, "day")));
            add("in a year", units::bytes(year));
        }
        _ => {
            let from = forecast.tells_from.map(|time| format!(" before {}", time.strftime("%Y-%m-%d"))).unwrap_or_default();
            add("growth", format!("the vault is too young to tell{from}"));
        }
    }
    if let Some((bytes, what)) = room {
        add("room", format!("{} left ({what})", units::bytes(bytes)));
    }
    if let Some(days) = full_in {
        add("full in", format!("about {}", span(days)));
    }
    if let (Some(costs), Some(prices)) = (&costs, &settings.prices) {
        add("a month costs", prices.sum(costs.month));
        if let Some(later) = costs.month_in_a_year {
            add("and in a year", prices.sum(later));
        }
        add("verify --deep", prices.sum(costs.verify));
        add("restore of all", prices.sum(costs.restore));
    }
    output.text(&units::columns(&rows, &[]))?;
    if settings.prices.is_none() && forecast.free_bytes.is_none() {
        output.say("add a [prices] table to the profile to see what the store charges");
    }
    Ok(())
}

/// Days as people say them.
fn span(days: u64) -> String {
    match days {
        0..60 => units::counted(days, "day"),
        60..730 => units::counted(days / 30, "month"),
        _ => units::counted(days / 365, "year"),
    }
}
