//! What a command says: results on standard output, everything else on standard error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::arguments::Global;
use super::error::CommandError;
use super::exit::Exit;
use super::units::printable;

/// How this run speaks. Clones share the place where bars are drawn.
#[derive(Clone)]
pub struct Output {
    json: bool,
    quiet: bool,
    bars: Arc<MultiProgress>,
    draws: bool,
    /// Standard output carries a file's content: nothing else may go there.
    data_only: bool,
}

/// A line of JSON for something that the user should know.
#[derive(Serialize)]
struct Note<'a> {
    message_type: &'static str,
    text: &'a str,
}

impl Output {
    /// Speaks as the options say. Bars are drawn on a terminal only.
    pub fn new(global: &Global) -> Self {
        let draws = io::stderr().is_terminal() && !global.json && !global.quiet && !global.no_progress;
        let target = if draws { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        Self { json: global.json, quiet: global.quiet, bars: Arc::new(MultiProgress::with_draw_target(target)), draws, data_only: false }
    }

    /// The same for a command that writes a file's content to standard output.
    pub fn data_only(&self) -> Self {
        Self { data_only: true, draws: false, ..self.clone() }
    }

    /// Whether results are JSON lines.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether only results, problems and errors are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard output is for content alone.
    pub fn is_data_only(&self) -> bool {
        self.data_only
    }

    /// Whether bars are drawn.
    pub fn draws(&self) -> bool {
        self.draws
    }

    /// Where bars are drawn.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Prints one line of a result for people. The caller has made names printable.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn line(&self, text: &str) -> Result<(), CommandError> {
        self.print(&format!("{text}\n"))
    }

    /// Prints one line of what a run did, for people: nothing when quiet, since a program that mails what is printed should mail
    /// nothing when all is well.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn summary(&self, text: &str) -> Result<(), CommandError> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Prints text of several lines as it is.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn text(&self, text: &str) -> Result<(), CommandError> {
        self.print(text)
    }

    /// Prints one line of JSON.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn json(&self, message: &impl Serialize) -> Result<(), CommandError> {
        let mut text = serde_json::to_string(message).map_err(|error| CommandError::Output(error.into()))?;
        text.push('\n');
        self.print(&text)
    }

    /// Begins a result of many lines.
    pub fn lines(&self) -> Lines {
        Lines { json: self.json, stdout: BufWriter::with_capacity(256 * 1024, io::stdout()) }
    }

    fn print(&self, text: &str) -> Result<(), CommandError> {
        self.bars.suspend(|| {
            let written = if self.data_only {
                io::stderr().lock().write_all(text.as_bytes())
            } else {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            };
            written.map_err(CommandError::Output)
        })
    }

    /// Says something in passing: on standard error unless quiet, or as a `note`.
    pub fn say(&self, text: &str) {
        if self.json {
            self.note("note", text);
        } else if !self.quiet {
            self.tell(&format!("{}\n", printable(text)));
        }
    }

    /// Warns, also when quiet.
    pub fn warn(&self, text: &str) {
        if self.json {
            self.note("warning", text);
        } else {
            self.tell(&format!("warning: {}\n", printable(text)));
        }
    }

    /// Tells why the run ends without its result: on standard error, for people or as one JSON line.
    pub fn fail(&self, error: &CommandError) {
        // Who closed the pipe has seen enough, and a code of 0 needs no words.
        if error.exit() != Exit::Done {
            self.tell(&if self.json { error.json_line() } else { error.text() });
        }
    }

    /// Writes to standard error as it is, past any bar.
    pub(super) fn tell(&self, text: &str) {
        // There is nowhere left to say that standard error is closed.
        self.bars.suspend(|| drop(io::stderr().lock().write_all(text.as_bytes())));
    }

    /// A run must not fail because nobody reads its messages any more.
    pub(super) fn note(&self, message_type: &'static str, text: &str) {
        let _ = self.json(&Note { message_type, text });
    }
}

/// A result of many lines on standard output, written when there is enough of it.
pub struct Lines {
    json: bool,
    stdout: BufWriter<Stdout>,
}

impl Lines {
    /// Whether the lines are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Adds one line for people. The caller has made names printable.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}")
    }

    /// Adds lines that are written already, as they are.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn bytes(&mut self, lines: &[u8]) -> io::Result<()> {
        self.stdout.write_all(lines)
    }

    /// Adds one line of JSON.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn json(&mut self, message: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, message)?;
        self.stdout.write_all(b"\n")
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn finish(mut self) -> Result<(), CommandError> {
        self.stdout.flush().map_err(CommandError::Output)
    }
}
