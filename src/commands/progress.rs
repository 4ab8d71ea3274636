//! Progress of an operation: a bar on a terminal, a plain line now and then elsewhere, JSON lines for programs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::output::Output;
use super::units;
use crate::model::entry::EntryPath;
use crate::operations::events::{Event, Events, Progress};

/// How often a plain line says how far the run is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a JSON line does.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// The bar once the size of everything is known: the first of these for which a terminal has the columns.
const BARS: [(u16, &str); 5] = [
    (88, "{verb} {percent:>3}% [{bar:16}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left  {wide_msg}"),
    (67, "{verb} {percent:>3}% [{bar:10}] {binary_bytes} of {binary_total_bytes}, {eta} left  {wide_msg}"),
    (51, "{verb} {percent:>3}% {binary_bytes} of {binary_total_bytes}, {eta} left"),
    (36, "{verb} {percent:>3}% {binary_bytes}, {eta} left"),
    (0, "{percent:>3}%"),
];

/// The line before that.
const SPINNERS: [(u16, &str); 3] = [
    (42, "{verb} {spinner} {binary_bytes}, {binary_bytes_per_sec}  {wide_msg}"),
    (25, "{verb} {spinner} {binary_bytes}"),
    (0, "{spinner}"),
];

/// The columns of a terminal that does not tell.
const COLUMNS: u16 = 80;

/// The first of these forms for which there is room.
fn form(forms: &'static [(u16, &'static str)], columns: u16) -> (u16, &'static str) {
    forms.iter().copied().find(|(least, _)| columns >= *least).unwrap_or((0, ""))
}

/// The columns that the terminal has now: it may be resized in the middle of a run.
fn columns() -> u16 {
    rustix::termios::tcgetwinsize(std::io::stderr()).ok().map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// Turns the events of one run into what the user sees.
pub struct Reporter {
    output: Output,
    verb: &'static str,
    /// What is counted.
    noun: &'static str,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Mutex<Instant>,
    /// The least columns of the bar that is drawn; none before the size of everything is known.
    drawn: AtomicU16,
}

#[derive(Serialize)]
struct Status {
    message_type: &'static str,
    seconds: f64,
    entries_done: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries_total: Option<u64>,
    bytes_done: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_total: Option<u64>,
    stored_bytes: u64,
}

/// What a restore did that did not come to its end.
#[derive(Serialize)]
struct OfRestore<'a> {
    message_type: &'static str,
    command: &'static str,
    finished: bool,
    snapshot: &'a str,
    entries: u64,
    bytes: u64,
    kept: u64,
    problems: u64,
    damaged: u64,
}

#[derive(Serialize)]
struct OfEntry<'a> {
    message_type: &'static str,
    path: &'a EntryPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Serialize)]
struct OfObject<'a> {
    message_type: &'static str,
    object: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrong: Option<&'a str>,
}

#[derive(Serialize)]
struct OfSnapshot<'a> {
    message_type: &'static str,
    snapshot: &'a str,
    complete: bool,
}

impl Reporter {
    /// Begins to report; `verb` is what the run does (`saved`, `restored`, `checked`) with what `noun` names (`entry`, `object`).
    pub fn new(output: &Output, verb: &'static str, noun: &'static str) -> Self {
        let bar = output.draws().then(|| {
            let bar = output.bars().add(ProgressBar::no_length());
            bar.set_style(style(form(&SPINNERS, columns()).1, verb));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Self { output: output.clone(), verb, noun, bar, started: now, last_line: Mutex::new(now), drawn: AtomicU16::new(u16::MAX) }
    }

    /// How long the run has taken.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes the bar away, for what comes after.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn progress(&self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            if let Some(total) = progress.bytes_total {
                bar.set_length(total.max(1));
                let (least, template) = form(&BARS, columns());
                if self.drawn.swap(least, Ordering::Relaxed) != least {
                    bar.set_style(style(template, self.verb));
                }
            }
            bar.set_position(progress.bytes_done);
            bar.set_message(self.counted(progress));
        } else if self.output.is_json() {
            if self.is_due(JSON_EVERY) {
                // A run must not fail because nobody reads its messages any more.
                let _ = self.output.json(&Status {
                    message_type: "status",
                    seconds: seconds(self.elapsed()),
                    entries_done: progress.entries_done,
                    entries_total: progress.entries_total,
                    bytes_done: progress.bytes_done,
                    bytes_total: progress.bytes_total,
                    stored_bytes: progress.stored_bytes,
                });
            }
        } else if !self.output.is_quiet() && !self.output.is_data_only() && self.is_due(LINE_EVERY) {
            self.output.say(&self.plain(progress));
        }
    }

    fn plain(&self, progress: &Progress) -> String {
        let per_second = progress.bytes_done as f64 / self.elapsed().as_secs_f64().max(0.001);
        let done = units::bytes(progress.bytes_done);
        let rate = units::bytes(per_second as u64);
        let share = match progress.bytes_total {
            Some(total) if total > 0 => {
                let left = total.saturating_sub(progress.bytes_done) as f64 / per_second.max(1.0);
                let left = units::duration(Duration::try_from_secs_f64(left).unwrap_or_default());
                format!("{done} of {} ({:.0}%), {left} left", units::bytes(total), progress.bytes_done as f64 * 100.0 / total as f64)
            }
            _ => done,
        };
        format!("{}: {share}, {}, {rate}/s", self.verb, self.counted(progress))
    }

    fn counted(&self, progress: &Progress) -> String {
        match progress.entries_total {
            Some(total) if total >= progress.entries_done => {
                format!("{} of {}", units::count(progress.entries_done), units::counted(total, self.noun))
            }
            _ => units::counted(progress.entries_done, self.noun),
        }
    }

    fn is_due(&self, every: Duration) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.elapsed() >= every;
        if due {
            *last = Instant::now();
        }
        due
    }

    fn of_entry(&self, message_type: &'static str, path: &EntryPath, text: Option<&str>, bytes: Option<u64>) {
        let _ = self.output.json(&OfEntry { message_type, path, text, bytes });
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Events for Reporter {
    fn event(&self, event: &Event<'_>) {
        let json = self.output.is_json();
        match *event {
            Event::Progress(ref progress) => self.progress(progress),
            Event::Problem { path, what } if json => self.of_entry("problem", path, Some(what), None),
            Event::Problem { path, what } => self.output.tell(&format!("problem: '{path}': {}\n", units::printable(what))),
            Event::Skipped { path, why } if json => self.of_entry("skipped", path, Some(why), None),
            Event::Skipped { path, why } => self.output.say(&format!("skipped: '{path}': {why}")),
            Event::Planned { path, bytes } if json => self.of_entry("planned", path, None, Some(bytes)),
            // What would be done is the result of a dry run.
            Event::Planned { path, bytes } => drop(self.output.line(&format!("{:>12}  {path}", units::count(bytes)))),
            Event::ArchiveStored { name, bytes } => {
                tracing::info!(object = name, bytes, "stored an archive");
                if json {
                    let _ = self.output.json(&OfObject { message_type: "archive", object: name, bytes: Some(bytes), wrong: None });
                }
            }
            Event::SnapshotStored { id, complete } => {
                tracing::info!(id, complete, "stored a snapshot");
                if json {
                    let _ = self.output.json(&OfSnapshot { message_type: "snapshot_stored", snapshot: id, complete });
                }
            }
            Event::Checked { name, wrong } if json => {
                let _ = self.output.json(&OfObject { message_type: "object", object: name, bytes: None, wrong });
            }
            // What is wrong stands in the report at the end; who waits for that sees it come.
            Event::Checked { name, wrong: Some(wrong) } => tracing::info!(object = name, wrong, "not what it should be"),
            Event::Checked { .. } => {}
            Event::RestoreEnded { snapshot, entries, bytes, kept, problems, damaged } if json => {
                let (message_type, command, finished) = ("summary", "restore", false);
                let summary = OfRestore { message_type, command, finished, snapshot, entries, bytes, kept, problems, damaged };
                let _ = self.output.json(&summary);
            }
            Event::RestoreEnded { entries, .. } => self.output.say(&format!("restored until then: {}", units::counted(entries, "entry"))),
            Event::Note(text) => self.output.say(text),
        }
    }
}

/// Seconds with milliseconds, for JSON.
pub fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1000.0).round() / 1000.0
}

fn style(template: &str, verb: &str) -> ProgressStyle {
    // The templates are constant; a test draws them.
    ProgressStyle::with_template(&template.replace("{verb}", verb)).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for (_, template) in BARS.into_iter().chain(SPINNERS) {
            assert!(ProgressStyle::with_template(&template.replace("{verb}", "saved")).is_ok());
        }
        let at = |columns| (form(&BARS, columns).0, form(&SPINNERS, columns).0);
        assert_eq!([at(200), at(80), at(60), at(40), at(20)], [(88, 42), (67, 42), (51, 42), (36, 25), (0, 0)]);
    }
}
