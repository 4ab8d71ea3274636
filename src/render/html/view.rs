//! A message's keys, looked at for pages.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::chat::DELETED_ACCOUNT;
use crate::model::json;
use crate::model::peer::Peer;
use crate::model::record::MessageRecord;
use crate::model::time;

/// A message taken apart once.
pub struct View<'a> {
    /// The record.
    pub record: &'a MessageRecord,
    zone: &'a TimeZone,
    members: Vec<(&'a str, &'a str)>,
}

impl<'a> View<'a> {
    /// Takes `record` apart.
    pub fn new(record: &'a MessageRecord, zone: &'a TimeZone) -> Self {
        Self::of(record, record.message.get(), zone)
    }

    /// Takes `message` apart, an earlier version of what `record` says.
    pub fn of(record: &'a MessageRecord, message: &'a str, zone: &'a TimeZone) -> Self {
        Self { record, zone, members: json::members(message).collect() }
    }

    /// The first value of a key. Only `text` is ever repeated, by a service message whose own text comes first.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// All members.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.members.iter().copied()
    }

    /// A value that is text.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        json::text(self.get(key)?)
    }

    /// A value that is one of a few plain words; empty where there is none.
    pub fn word(&self, key: &str) -> &'a str {
        self.get(key).and_then(json::spelling).unwrap_or_default()
    }

    /// A value that is an integer.
    pub fn integer(&self, key: &str) -> Option<i64> {
        json::integer(self.get(key)?)
    }

    /// A value of the extra keys.
    pub fn extra(&self, key: &str) -> Option<&'a str> {
        json::get(self.record.extra.as_ref()?.get(), key)
    }

    /// Who sent it: `from_id`, or `actor_id`.
    pub fn sender(&self) -> Option<Peer> {
        self.get("from_id").or_else(|| self.get("actor_id")).and_then(json::spelling)?.parse().ok()
    }

    /// A person's name as people read it: an account without a name is gone; of a message without a sender nobody knows who sent it.
    pub fn name(&self, key: &str) -> Option<Cow<'a, str>> {
        let name = self.text(key).filter(|name| !name.is_empty());
        name.or_else(|| self.get(key).map(|_| DELETED_ACCOUNT.into()))
    }

    /// The local time that it was sent at.
    pub fn local(&self) -> Option<DateTime> {
        match self.record.date {
            Some(unix) => time::local(self.zone, unix),
            None => time::parse_iso(&self.text("date")?),
        }
    }

    /// `DD.MM.YYYY HH:MM:SS UTC+HH:MM` of the local time that it was sent at.
    pub fn full(&self, local: DateTime) -> String {
        self.stamp(local, self.record.date.unwrap_or_default())
    }

    /// The same of another time; `None` for one that no clock shows.
    pub fn full_time(&self, unix: i64) -> Option<String> {
        Some(self.stamp(time::local(self.zone, unix)?, unix))
    }

    fn stamp(&self, local: DateTime, unix: i64) -> String {
        let stamp = jiff::Timestamp::from_second(unix).unwrap_or_default();
        let seconds = self.zone.to_offset(stamp).seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.unsigned_abs() / 60;
        let (day, month, year) = (local.day(), local.month(), local.year());
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        format!("{day:02}.{month:02}.{year:04} {hour:02}:{minute:02}:{second:02} UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// A time as people read it.
    pub fn unix_time(&self, unix: i64) -> String {
        time::local(self.zone, unix)
            .map_or_else(|| "an unknown time".to_owned(), |local| format!("{} {:02}:{:02}", day(local), local.hour(), local.minute()))
    }
}

/// `12 January 2024`.
pub fn day(time: DateTime) -> String {
    format!("{} {} {}", time.day(), month_name(time.month()), time.year())
}

/// The name of a month, from 1; empty for what is none.
pub fn month_name(month: i8) -> &'static str {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    usize::try_from(month).ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&"")
}
