//! Times as Telegram Desktop writes them: local, without a zone.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The local time of `unix` seconds; `None` outside of the years that a calendar can show.
pub fn local(zone: &TimeZone, unix: i64) -> Option<DateTime> {
    Some(zone.to_datetime(jiff::Timestamp::from_second(unix).ok()?))
}

/// `YYYY-MM-DDTHH:MM:SS`, the form in `result.json`.
pub fn iso(time: DateTime) -> String {
    let (date, hour, minute, second) = (time.date(), time.hour(), time.minute(), time.second());
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", date.year(), date.month(), date.day())
}

/// Reads the form in `result.json`.
pub fn parse_iso(text: &str) -> Option<DateTime> {
    if text.len() == 19 { text.parse().ok() } else { None }
}

/// `DD-MM-YYYY_HH-MM-SS`, the form in the names of files.
pub fn file_stamp(time: DateTime) -> String {
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{:02}-{:02}-{:04}_{hour:02}-{minute:02}-{second:02}", time.day(), time.month(), time.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_telegram_desktop() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let time = local(&zone, 1_714_803_340).unwrap();
        assert_eq!(iso(time), "2024-05-04T08:15:40");
        assert_eq!(file_stamp(time), "04-05-2024_08-15-40");
        assert_eq!(parse_iso("2024-05-04T08:15:40"), Some(time));
        assert_eq!(parse_iso("2024-05-04"), None);
        assert_eq!(local(&zone, i64::MAX), None);
    }
}
