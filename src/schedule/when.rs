//! How often something is started.

use std::str::FromStr;

use super::ScheduleError;

/// How often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Every day.
    Daily,
    /// Every Monday.
    Weekly,
    /// On the first of each month.
    Monthly,
    /// On the first of January, April, July and October.
    Quarterly,
    /// A calendar expression as systemd has them.
    Calendar(String),
}

impl FromStr for When {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let refused = |why| Err(ScheduleError::When { text: text.escape_debug().to_string(), why });
        match text {
            "daily" => Ok(Self::Daily),
            "weekly" => Ok(Self::Weekly),
            "monthly" => Ok(Self::Monthly),
            "quarterly" => Ok(Self::Quarterly),
            "" => refused("it is empty"),
            _ if text.chars().any(char::is_control) => refused("it holds a control character"),
            // Everything that systemd takes has a digit or a star; a mistyped word has neither.
            _ if !text.contains(|character: char| character.is_ascii_digit() || character == '*') => {
                refused("use daily, weekly, monthly, quarterly, or a calendar expression such as 'Mon,Thu 03:30'")
            }
            _ => Ok(Self::Calendar(text.to_owned())),
        }
    }
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl FromStr for Time {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let refused = || ScheduleError::When { text: text.escape_debug().to_string(), why: "use HH:MM, such as 03:30" };
        let (hour, minute) = text.split_once(':').ok_or_else(refused)?;
        let is_plain = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_plain(hour) || minute.len() != 2 || !is_plain(minute) {
            return Err(refused());
        }
        let (hour, minute) = (hour.parse().map_err(|_| refused())?, minute.parse().map_err(|_| refused())?);
        if hour < 24 && minute < 60 { Ok(Self { hour, minute }) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_expressions_and_times_are_told_apart() {
        assert_eq!("weekly".parse(), Ok(When::Weekly));
        assert_eq!("Mon *-*-01..07 04:00".parse(), Ok(When::Calendar("Mon *-*-01..07 04:00".into())));
        for bad in ["", "dayly", "03:00\nExecStart=x"] {
            assert!(bad.parse::<When>().is_err(), "{bad:?}");
        }
        assert_eq!("3:05".parse(), Ok(Time { hour: 3, minute: 5 }));
        for bad in ["24:00", "3:5", "+3:05", "3", "03:60", ""] {
            assert!(bad.parse::<Time>().is_err(), "{bad:?}");
        }
    }
}
