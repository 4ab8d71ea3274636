//! Names of objects below the repository's URL. They hold random bits, a hash, a number or a time, and nothing else.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::digest::{Digest, Id};

/// The plain object that makes a place a repository.
pub const DESCRIPTOR: &str = "tgvault.json";

/// Prefixes of what is listed.
pub const ROOT: &str = "root/";
/// Key slots.
pub const KEYS: &str = "keys/";
/// Archives.
pub const ARCHIVES: &str = "archives/";
/// Lists of archives.
pub const LISTS: &str = "lists/";
/// Snapshots and their sums and signatures.
pub const SNAPSHOTS: &str = "snapshots/";
/// What was forgotten or replaced.
pub const RECORDS: &str = "records/";
/// What prune will delete.
pub const MARKS: &str = "marks/";
/// Locks of those who delete.
pub const LOCKS: &str = "locks/";
/// Leases of runs in progress.
pub const RUNNING: &str = "running/";
/// Pieces of many objects in one.
pub const PACKS: &str = "packs/";
/// Those of snapshots.
pub const PACKS_OF_SNAPSHOTS: &str = "packs/snapshots/";
/// The second copies of the small objects.
pub const MIRROR: &str = "mirror/";

/// The endings of a snapshot's three objects.
pub const SNAPSHOT_ENDINGS: [&str; 3] = [".json.zst.age", ".sums", ".minisig"];

/// The largest small object (root, key slot, list, sums, lease) that is read.
pub const MAX_SMALL_BYTES: u64 = 16 * 1024 * 1024;

/// The largest snapshot object that is read, and its largest plain form.
pub const MAX_SNAPSHOT_BYTES: u64 = 256 * 1024 * 1024;

/// `root/<n>.json`: a statement of trust of format 1.
pub fn root(number: u64) -> String {
    format!("{ROOT}{number}.json")
}

/// `root/<n>-<sha256>.json`: a statement of trust, named by its content, so that no two can collide.
pub fn statement(number: u64, sha256: Digest) -> String {
    format!("{ROOT}{number}-{sha256}.json")
}

/// Number and, from format 2 on, SHA-256 of the statement of trust with this name; `None` for what is none.
pub fn parse_statement(name: &str) -> Option<(u64, Option<Digest>)> {
    let stem = name.strip_prefix(ROOT)?.strip_suffix(".json")?;
    let parsed = match stem.split_once('-') {
        Some((number, sha256)) => (number.parse().ok()?, Some(sha256.parse().ok()?)),
        None => (stem.parse().ok()?, None),
    };
    let canonical = match parsed {
        (number, Some(sha256)) => statement(number, sha256),
        (number, None) => root(number),
    };
    (canonical == name).then_some(parsed)
}

/// `keys/<slot>.age`.
pub fn key_slot(slot: Id) -> String {
    format!("{KEYS}{slot}.age")
}

/// The slot whose object has this name; `None` for what is none.
pub fn parse_key_slot(name: &str) -> Option<Id> {
    name.strip_prefix(KEYS)?.strip_suffix(".age")?.parse().ok()
}

/// `archives/<yyyy>/<mm>/<id>.tar.zst.age`.
pub fn archive(time: Timestamp, id: Id) -> String {
    format!("{ARCHIVES}{}/{id}.tar.zst.age", time.to_zoned(TimeZone::UTC).strftime("%Y/%m"))
}

/// `lists/<sha256>.sums`.
pub fn list(sha256: Digest) -> String {
    format!("{LISTS}{sha256}.sums")
}

/// `lists/<sha256>.lengths`: the lengths of the archives in a list.
pub fn lengths(sha256: Digest) -> String {
    format!("{LISTS}{sha256}.lengths")
}

/// `<yyyymmdd>T<hhmmssmmm>Z-<id>`, with milliseconds: the stem of a snapshot's three objects. Stems sort by time.
pub fn snapshot_stem(time: Timestamp, id: Id) -> String {
    format!("{}-{id}", time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S%3fZ"))
}

/// The time in a stem.
pub fn stem_time(stem: &str) -> Option<Timestamp> {
    let (time, _) = stem.split_once('Z')?;
    let (seconds, millis) = time.split_at_checked(15)?;
    let seconds = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", seconds).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    seconds.checked_add(jiff::SignedDuration::from_millis(millis.parse().ok()?)).ok()
}

/// `snapshots/<stem>.json.zst.age`.
pub fn snapshot(stem: &str) -> String {
    format!("{SNAPSHOTS}{stem}.json.zst.age")
}

/// `snapshots/<stem>.sums`.
pub fn sums(stem: &str) -> String {
    format!("{SNAPSHOTS}{stem}.sums")
}

/// The signature beside a signed object: `.json` or `.sums` becomes `.minisig`.
pub fn signature(signed: &str) -> String {
    let stem = signed.strip_suffix(".json").or_else(|| signed.strip_suffix(".sums")).unwrap_or(signed);
    format!("{stem}.minisig")
}

/// `records/<stem>.json`.
pub fn record(stem: &str) -> String {
    format!("{RECORDS}{stem}.json")
}

/// The stem of the record with this name; `None` for what is none.
pub fn parse_record(name: &str) -> Option<&str> {
    name.strip_prefix(RECORDS)?.strip_suffix(".json").filter(|stem| stem_time(stem).is_some())
}

/// The stem of the record whose signature has this name.
pub fn parse_record_signature(name: &str) -> Option<&str> {
    name.strip_prefix(RECORDS)?.strip_suffix(".minisig").filter(|stem| stem_time(stem).is_some())
}

/// The stem of the snapshot that one of the three objects with this name belongs to.
pub fn stem_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(SNAPSHOTS)?;
    SNAPSHOT_ENDINGS.iter().find_map(|ending| rest.strip_suffix(ending)).filter(|stem| stem_time(stem).is_some())
}

/// `marks/<stem>.json`.
pub fn mark(stem: &str) -> String {
    format!("{MARKS}{stem}.json")
}

/// The stem of the mark with this name; `None` for what is none.
pub fn parse_mark(name: &str) -> Option<&str> {
    name.strip_prefix(MARKS)?.strip_suffix(".json").filter(|stem| stem_time(stem).is_some())
}

/// `locks/<n>.json`.
pub fn lock(number: u64) -> String {
    format!("{LOCKS}{number}.json")
}

/// The number of the lock with this name; `None` for what is none.
pub fn parse_lock(name: &str) -> Option<u64> {
    let number = name.strip_prefix(LOCKS)?.strip_suffix(".json")?.parse().ok()?;
    (lock(number) == name).then_some(number)
}

/// Run and number of the lease with this name; `None` for what is none.
pub fn parse_lease(name: &str) -> Option<(Id, u32)> {
    let (run, number) = name.strip_prefix(RUNNING)?.strip_suffix(".json")?.split_once('-')?;
    Some((run.parse().ok()?, number.parse().ok()?))
}

/// Whether an object has the name of an archive.
pub fn is_archive(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(ARCHIVES).and_then(|rest| rest.strip_suffix(".tar.zst.age")) else { return false };
    let mut parts = rest.split('/');
    let is_number =
        |part: Option<&str>, digits: usize| part.is_some_and(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_number(parts.next(), 4)
        && is_number(parts.next(), 2)
        && parts.next().is_some_and(|id| id.parse::<Id>().is_ok())
        && parts.next().is_none()
}

/// Whether an object has the name of a list, or of its lengths.
pub fn is_list(name: &str) -> bool {
    let stem = name.strip_prefix(LISTS).and_then(|rest| rest.strip_suffix(".sums").or_else(|| rest.strip_suffix(".lengths")));
    stem.is_some_and(|stem| stem.parse::<Digest>().is_ok())
}

/// `running/<run>-<n>.json`.
pub fn lease(run: Id, number: u32) -> String {
    format!("{RUNNING}{run}-{number}.json")
}

/// The name of the second copy.
pub fn mirror(name: &str) -> String {
    format!("{MIRROR}{name}")
}

/// Whether a name in a sums file is one that a repository has: below a known prefix, without tricks.
pub fn is_sound(name: &str) -> bool {
    let known = [ARCHIVES, LISTS, SNAPSHOTS].iter().any(|prefix| name.starts_with(prefix));
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-'));
    known && plain && name.len() < 256 && !name.split('/').any(|part| matches!(part, "" | "." | ".."))
}
