//! What an account's work looks like while it runs: chats, messages, media, and what it waits for.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::commands::output::Output;
use crate::commands::units;
use crate::source::telegram::{ConnectionEvent, Event, Observer};

/// How often a plain line says how far the run is.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a JSON line does.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// While nothing comes because of a wait: how often its rest is told.
const WAIT_EVERY: Duration = Duration::from_secs(1);

/// The same in plain lines, which nobody reads one by one.
const WAIT_LINE_EVERY: Duration = Duration::from_secs(30);

/// Tells what an account's work does.
pub struct Teller {
    board: Arc<Board>,
    /// Whoever keeps waits up to date ends when this is dropped.
    ticking: Mutex<Option<Sender<()>>>,
}

/// What is told, and where.
struct Board {
    output: Output,
    bar: Option<ProgressBar>,
    /// Whether anything but waits and notes is told.
    counts: bool,
    figures: Mutex<Figures>,
}

struct Figures {
    section: &'static str,
    chats: Option<u64>,
    chats_done: u64,
    messages: u64,
    files: u64,
    media_bytes: u64,
    media_found: u64,
    waiting: Option<(Instant, &'static str)>,
    /// The data centre that does not answer, and why.
    trouble: Option<Trouble>,
    last: Instant,
}

struct Trouble {
    dc: i32,
    why: String,
    until: Instant,
}

#[derive(Serialize)]
struct Status {
    message_type: &'static str,
    section: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    chats_total: Option<u64>,
    chats_done: u64,
    messages: u64,
    files: u64,
    media_bytes: u64,
    media_bytes_found: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unanswered: Option<Unanswered>,
}

#[derive(Serialize)]
struct Waiting {
    method: &'static str,
    seconds: u64,
}

#[derive(Serialize)]
struct Unanswered {
    dc: i32,
    why: String,
    /// Until the next attempt, or until this one is given up.
    seconds: u64,
}

impl Teller {
    /// Begins to tell of a backup.
    pub fn new(output: &Output) -> Self {
        Self::telling(output, true)
    }

    /// Tells only what has to wait, beside a command that speaks for itself.
    pub fn of_waits(output: &Output) -> Self {
        Self::telling(output, false)
    }

    fn telling(output: &Output, counts: bool) -> Self {
        let bar = (counts && output.draws()).then(|| {
            let bar = output.bars().add(ProgressBar::no_length());
            // The template is constant.
            bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let figures = Figures {
            section: "",
            chats: None,
            chats_done: 0,
            messages: 0,
            files: 0,
            media_bytes: 0,
            media_found: 0,
            waiting: None,
            trouble: None,
            last: Instant::now(),
        };
        let board = Arc::new(Board { output: output.clone(), bar, counts, figures: Mutex::new(figures) });
        let ticking = Mutex::new(if counts { board.clone().tick() } else { None });
        Self { board, ticking }
    }

    /// Says how it ended, and takes the bar away for what comes after.
    pub fn finish(&self) {
        let ticking = self.ticking.lock().unwrap_or_else(PoisonError::into_inner).take();
        let board = &self.board;
        if ticking.is_some() && board.output.is_json() {
            board.show(&mut board.figures(), true);
        }
        if let Some(bar) = &board.bar {
            bar.finish_and_clear();
        }
    }
}

impl Board {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is told of a wait up to date, since nothing happens meanwhile; ends when the sender is dropped. Without a thread waits
    /// are told once.
    fn tick(self: Arc<Self>) -> Option<Sender<()>> {
        let (sender, end) = channel();
        let every = if self.output.is_json() || self.bar.is_some() { WAIT_EVERY } else { WAIT_LINE_EVERY };
        let mut waited = false;
        let keep = move || {
            while end.recv_timeout(WAIT_EVERY) == Err(RecvTimeoutError::Timeout) {
                let mut figures = self.figures();
                let waits = figures.waits();
                // Once more when it is over.
                if (waits && figures.last.elapsed() >= every) || (waited && !waits) {
                    self.show(&mut figures, waits);
                }
                waited = waits;
            }
        };
        thread::Builder::new().name("waits".into()).spawn(keep).ok().map(|_| sender)
    }

    fn show(&self, figures: &mut Figures, at_once: bool) {
        if !self.counts {
            if at_once {
                let trouble = figures.trouble.as_ref().map(unanswered);
                if let Some(told) = figures.wait().map(|(seconds, method)| waiting(seconds, method)).or(trouble) {
                    self.output.say(&told);
                }
            }
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_message(figures.text());
            return;
        }
        let every = if self.output.is_json() { JSON_EVERY } else { LINE_EVERY };
        if !at_once && figures.last.elapsed() < every {
            return;
        }
        figures.last = Instant::now();
        if self.output.is_json() {
            // A run must not fail because nobody reads its messages any more.
            let _ = self.output.json(&figures.status());
        } else {
            self.output.say(&figures.text());
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.finish();
    }
}

fn waiting(seconds: u64, method: &str) -> String {
    format!("waiting {} for Telegram's rate limit ({method})", units::duration(Duration::from_secs(seconds)))
}

fn seconds_until(moment: Instant) -> u64 {
    moment.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as u64
}

fn unanswered(trouble: &Trouble) -> String {
    let next = match seconds_until(trouble.until) {
        0 => "trying again".to_owned(),
        seconds => format!("next attempt in {}", units::duration(Duration::from_secs(seconds))),
    };
    format!("waiting for data centre {} ({}): {next}", trouble.dc, units::printable(&trouble.why))
}

impl Figures {
    /// Whether something has to be waited for.
    fn waits(&self) -> bool {
        self.wait().is_some() || self.trouble.is_some()
    }

    fn wait(&self) -> Option<(u64, &'static str)> {
        let (until, method) = self.waiting?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| (left.as_secs() + 1, method))
    }

    fn text(&self) -> String {
        let chats = match self.chats {
            Some(total) => format!("{} of {}", units::count(self.chats_done), units::counted(total, "chat")),
            None => format!("reading {}", self.section),
        };
        let mut text = format!("Telegram: {chats}, {}", units::counted(self.messages, "message"));
        if self.files > 0 {
            text += &format!(
                ", {} with {} of {}",
                units::counted(self.files, "file"),
                units::bytes(self.media_bytes),
                units::bytes(self.media_found.max(self.media_bytes))
            );
        }
        if let Some((seconds, method)) = self.wait() {
            text += &format!("; {}", waiting(seconds, method));
        }
        if let Some(trouble) = &self.trouble {
            text += &format!("; {}", unanswered(trouble));
        }
        text
    }

    fn status(&self) -> Status {
        Status {
            message_type: "telegram_status",
            section: self.section,
            chats_total: self.chats,
            chats_done: self.chats_done,
            messages: self.messages,
            files: self.files,
            media_bytes: self.media_bytes,
            media_bytes_found: self.media_found,
            waiting: self.wait().map(|(seconds, method)| Waiting { method, seconds }),
            unanswered: self.trouble.as_ref().map(|trouble| Unanswered {
                dc: trouble.dc,
                why: trouble.why.clone(),
                seconds: seconds_until(trouble.until),
            }),
        }
    }
}

impl Observer for Teller {
    fn event(&self, event: Event) {
        /// Shorter waits are not worth a line.
        const WORTH_A_LINE: u64 = 3;
        let board = &self.board;
        let mut figures = board.figures();
        let mut at_once = false;
        match event {
            Event::Section(section) => figures.section = section,
            Event::Chats { total } => (figures.section, figures.chats) = ("chats", Some(total)),
            Event::ChatFound => figures.chats = figures.chats.map(|total| total + 1),
            Event::ChatDone => figures.chats_done += 1,
            Event::Messages { count } => figures.messages += count,
            Event::MediaFound { bytes } => {
                figures.files += 1;
                figures.media_found += bytes;
            }
            Event::MediaBytes { count } => figures.media_bytes += count,
            Event::Connection(ConnectionEvent::Waiting { method, seconds }) => {
                figures.waiting = Some((Instant::now() + Duration::from_secs(seconds), method));
                at_once = seconds >= WORTH_A_LINE;
            }
            Event::Connection(ConnectionEvent::Disconnected { dc, why, seconds }) => {
                // Many requests find out together; one line says it for all, and again when the wait grows.
                let news = figures.trouble.as_ref().is_none_or(|known| known.dc != dc || known.why != why || known.until <= Instant::now());
                let until = Instant::now() + Duration::from_secs(seconds);
                at_once = news && seconds >= WORTH_A_LINE.min(2);
                figures.trouble = Some(Trouble { dc, why, until });
            }
            Event::Connection(ConnectionEvent::Connected { dc }) => {
                if figures.trouble.as_ref().is_some_and(|known| known.dc == dc) {
                    figures.trouble = None;
                }
            }
            // What later versions of the connections tell is not shown.
            Event::Connection(_) => {}
            Event::Note(text) => {
                drop(figures);
                board.output.say(&text);
                return;
            }
        }
        board.show(&mut figures, at_once);
    }
}
