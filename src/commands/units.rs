//! Sizes, times and names as people write and read them.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use crate::model::harmless::printable;

/// Reads a size in bytes: a number and, if wanted, `K`, `M`, `G` or `T` (powers of 1,024), which `iB` or `B` may follow.
///
/// # Errors
/// When the text is no such size, or larger than 2⁶⁴ − 1 bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim().find(|character: char| !character.is_ascii_digit()).unwrap_or(text.trim().len());
    let (number, unit) = text.trim().split_at(digits);
    let malformed = || format!("'{}' is not a size; use a number with K, M, G or T, such as 10M", printable(text));
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let unit = unit.trim().to_ascii_uppercase();
    let shift = match unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit) {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(malformed()),
    };
    number.checked_mul(1 << shift).ok_or_else(malformed)
}

/// Reads a number of bytes a second, in the form of [`parse_size`]; nothing at all would never end.
///
/// # Errors
/// As [`parse_size`], and for 0.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("a limit of 0 bytes per second would never finish; leave the option out for no limit".to_owned()),
        rate => Ok(rate),
    }
}

/// Reads a share: a number of percent above 0 and up to 100, with or without `%`.
///
/// # Errors
/// When it is none.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err(format!("'{}' is not a percentage; use a number above 0 and up to 100, such as 5%", printable(text))),
    }
}

/// A number of bytes with the binary unit that suits it.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// A count with commas between the thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and the word for what is counted, which gets an `s` unless there is one.
pub fn counted(number: u64, word: &str) -> String {
    // Entries, but days.
    match (number, word.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{} {stem}ies", count(number)),
        _ => format!("{} {word}s", count(number)),
    }
}

/// A span of time with the two units that say most.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Reads a span of time: a number with `s`, `m` (minutes), `h`, `d` or `w`; 0 may stand alone.
///
/// # Errors
/// When it is none.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let malformed = || format!("'{}' is not a time span; use a number with s, m, h, d or w, such as 90m or 30d", printable(text));
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| malformed())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        "" if number == 0 => 0,
        _ => return Err(malformed()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(malformed)
}

/// A point in time in the user's time zone, to the second.
pub fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Rows in columns that are as wide as they have to be, two spaces apart; those named in `right` are set to the right.
pub fn columns<const N: usize>(rows: &[[String; N]], right: &[usize]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Writing to a string does not fail.
            let _ = if right.contains(&at) { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One word of a command, quoted where a POSIX shell needs it.
pub fn shell_word(word: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte);
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return word.to_string_lossy().into_owned();
    }
    format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))
}

/// The digits of an id that are shown, and that select it.
pub fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        for (text, size) in [("0", 0), ("17", 17), ("10M", 10 << 20), ("1.GiB", 0), ("2 KiB", 2048), ("3tb", 3 << 40), (" 5k ", 5120)] {
            match parse_size(text) {
                Ok(found) => assert_eq!(found, size, "{text}"),
                Err(_) => assert_eq!(text, "1.GiB"),
            }
        }
        for bad in ["", "M", "-1", "10X", "1e3", "99999999999999999999", "18446744073709551615K"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(parse_rate("0K").is_err());
        assert_eq!(parse_rate("1K"), Ok(1024));
    }

    #[test]
    fn spans_are_read_as_people_type_them() {
        assert_eq!(parse_span("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_span("0"), Ok(Duration::ZERO));
        for bad in ["", "d", "3", "3y", "-1d"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_above_nothing_and_at_most_everything() {
        assert_eq!(parse_percent("5%"), Ok(5.0));
        assert_eq!(parse_percent("0.1"), Ok(0.1));
        for bad in ["0", "101%", "-1", "NaN", "inf", "%", ""] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_shown_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes((1 << 20) - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(count(1_204), "1,204");
        assert_eq!(count(999), "999");
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(2_000, "entry"), "2,000 entries");
        assert_eq!(duration(Duration::from_secs(11_520)), "3 h 12 min");
    }

    #[test]
    fn names_cannot_drive_a_terminal_or_a_shell() {
        assert_eq!(printable("a\x1b[2J"), "a\\u{1b}[2J");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(shell_word(OsStr::new("s3://bucket/a-b")), "s3://bucket/a-b");
        assert_eq!(shell_word(OsStr::new("it's $HOME")), r"'it'\''s $HOME'");
        assert_eq!(shell_word(OsStr::new("")), "''");
    }
}
