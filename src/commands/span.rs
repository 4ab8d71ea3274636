//! Which messages are meant: times as people type them, and the options that `restore` and `cat` share.

use clap::Args;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::operations::chats::conversation::Span;

/// Options that choose messages of chats.
#[derive(Clone, Debug, Default, Args)]
pub struct SpanArgs {
    /// Only messages sent on this day or later: 2024-05-04, or with a time 2024-05-04T12:30
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub from: Option<Moment>,

    /// Only messages sent until the end of this day, or until this time
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub till: Option<Moment>,

    /// Chats as they were at the end of this day, or at this time
    #[arg(long, value_name = "DATE", value_parser = parse_moment)]
    pub at: Option<Moment>,

    /// With earlier versions of edited messages; with --at also what had been deleted by then
    #[arg(long)]
    pub history: bool,
}

impl SpanArgs {
    /// Whether anything is chosen.
    pub fn narrows(&self) -> bool {
        self.from.is_some() || self.till.is_some() || self.at.is_some() || self.history
    }

    /// The span as operations take it.
    pub fn span(&self) -> Span {
        Span {
            from: self.from.map(|moment| moment.first),
            till: self.till.map(|moment| moment.last.saturating_add(1)),
            at: self.at.map(|moment| moment.last),
            history: self.history,
        }
    }
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
    let wrong = || format!("'{}' is no date; write 2024-05-04, or 2024-05-04T12:30:00", super::units::printable(text));
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
            assert!(read(bad).unwrap_err().contains("is no date"), "{bad}");
        }
    }
}
