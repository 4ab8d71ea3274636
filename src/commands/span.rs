//! Which messages are meant: times as people type them, the same for every command, and the options that `restore` and `cat`
//! share.

use clap::Args;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::error::CommandError;
use crate::operations::chats::conversation::Span;

/// Options that choose messages of chats.
#[derive(Clone, Debug, Default, Args)]
pub struct SpanArgs {
    /// Only messages sent on or after this day or time: 2024-05-04 or 2024-05-04T12:30
    #[arg(help_heading = "Messages", long, value_name = "DATE", value_parser = parse_moment)]
    pub from: Option<Moment>,

    /// Only messages sent up to the end of this day, or up to this time
    #[arg(help_heading = "Messages", long, value_name = "DATE", value_parser = parse_moment)]
    pub till: Option<Moment>,

    /// Show chats as they were at the end of this day, or at this time
    #[arg(help_heading = "Messages", long, value_name = "DATE", value_parser = parse_moment)]
    pub at: Option<Moment>,

    /// Include earlier versions of edited messages (with --at, also messages deleted by then)
    #[arg(help_heading = "Messages", long)]
    pub history: bool,

    /// Only the message with this ID, as `search` shows it
    #[arg(help_heading = "Messages", long, value_name = "ID", allow_negative_numbers = true)]
    pub message: Option<i64>,
}

impl SpanArgs {
    /// Whether anything is chosen.
    pub fn narrows(&self) -> bool {
        self.from.is_some() || self.till.is_some() || self.at.is_some() || self.history || self.message.is_some()
    }

    /// The span as operations take it.
    ///
    /// # Errors
    /// When its times contradict each other.
    pub fn span(&self) -> Result<Span, CommandError> {
        check_order(self.from, self.till)?;
        if let Some(at) = self.at {
            let hint = "leave out --at to get the latest state";
            check_past("--at", at, hint)?;
            if self.from.is_some_and(|from| from.first > at.last) {
                return Err(CommandError::usage("--from is later than --at, so no message can match", "swap the two"));
            }
        }
        Ok(Span {
            from: self.from.map(|moment| moment.first),
            till: self.till.map(|moment| moment.last.saturating_add(1)),
            at: self.at.map(|moment| moment.last),
            history: self.history,
            message: self.message,
        })
    }
}

/// Refuses times between which nothing can lie.
///
/// # Errors
/// When `--from` lies after `--till`, or in the future.
pub fn check_order(from: Option<Moment>, till: Option<Moment>) -> Result<(), CommandError> {
    let Some(from) = from else { return Ok(()) };
    if till.is_some_and(|till| from.first > till.last) {
        return Err(CommandError::usage("--till is earlier than --from", "swap the two"));
    }
    check_past("--from", from, "check the year")
}

/// Refuses a time that has not come yet. A day counts as come when it has begun.
fn check_past(option: &str, moment: Moment, hint: &'static str) -> Result<(), CommandError> {
    // Clocks differ, and somewhere the day has begun already.
    const DAY: i64 = 24 * 60 * 60;
    let now = jiff::Timestamp::now().as_second();
    if moment.first > now.saturating_add(DAY) { Err(CommandError::usage(format!("{option} is in the future"), hint)) } else { Ok(()) }
}

/// A day or a point in time, by its first and last second, Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The first second.
    pub first: i64,
    /// The last second.
    pub last: i64,
}

/// Reads a date, or a date and a time: local, unless `Z` or an offset follows.
///
/// # Errors
/// When it is neither.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    moment(text, &TimeZone::system())
}

fn moment(text: &str, zone: &TimeZone) -> Result<Moment, String> {
    let wrong = || format!("'{}' is not a date; use 2024-05-04 or 2024-05-04T12:30:00", super::units::printable(text));
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Moment { first: at.as_second(), last: at.as_second() });
    }
    let unix = |time: DateTime| zone.to_ambiguous_zoned(time).compatible().map(|zoned| zoned.timestamp().as_second()).map_err(|_| wrong());
    if text.len() <= "2024-05-04".len() {
        let day: Date = text.parse().map_err(|_| wrong())?;
        let next = day.tomorrow().map_err(|_| wrong())?;
        return Ok(Moment { first: unix(day.to_datetime(Time::midnight()))?, last: unix(next.to_datetime(Time::midnight()))? - 1 });
    }
    let time: DateTime = text.parse().map_err(|_| wrong())?;
    let at = unix(time)?;
    Ok(Moment { first: at, last: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let moment = |text: &str| Some(parse_moment(text).unwrap());
        let (may, june) = (moment("2024-05-04"), moment("2024-06-04"));
        assert!(check_order(may, june).is_ok() && check_order(may, may).is_ok() && check_order(None, may).is_ok());
        assert!(check_order(june, may).unwrap_err().to_string().contains("--till is earlier than --from"));
        assert!(check_order(moment("2999-01-01"), None).unwrap_err().to_string().contains("in the future"));
        let span = |from, till, at| SpanArgs { from, till, at, ..SpanArgs::default() }.span();
        assert!(span(may, None, june).is_ok() && span(None, may, None).is_ok());
        assert!(span(june, None, may).is_err() && span(june, may, None).is_err() && span(None, None, moment("2999-01-01")).is_err());
    }

    #[test]
    fn days_and_times_are_read() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let read = |text: &str| moment(text, &zone).map(|moment| (moment.first, moment.last));
        assert_eq!(read("2024-05-04"), Ok((1_714_773_600, 1_714_860_000 - 1)));
        // The day on which summer time begins has 23 hours.
        assert_eq!(read("2024-03-31").map(|(first, last)| last - first), Ok(23 * 3600 - 1));
        assert_eq!(read("2024-05-04T08:15:40"), Ok((1_714_803_340, 1_714_803_340)));
        assert_eq!(read("2024-05-04 08:15"), Ok((1_714_803_300, 1_714_803_300)));
        assert_eq!(read("2024-05-04T06:15:40Z"), Ok((1_714_803_340, 1_714_803_340)));
        for bad in ["", "yesterday", "2024-13-01", "04.05.2024", "2024-05-04T25:00", "\u{1b}[31m"] {
            assert!(read(bad).unwrap_err().contains("is not a date"), "{bad}");
        }
    }
}
