//! A store that does not answer is one line: updated on a terminal, written once elsewhere.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;
use super::units;
use crate::storage::{OnWait, Waiting};

/// The line, while there is one.
#[derive(Default)]
struct Line {
    bar: Option<ProgressBar>,
    is_told: bool,
    /// Calls that wait.
    calls: usize,
}

/// Tells how `output` speaks of the store at `address` that does not answer.
pub fn on_wait(output: &Output, address: &str) -> OnWait {
    let (output, address, line) = (output.clone(), units::printable(address), Mutex::new(Line::default()));
    OnWait::new(move |waiting| {
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        // The first that is heard of a call is its second failure.
        line.calls += usize::from(waiting.is_some_and(|waiting| waiting.attempts == 2));
        match waiting {
            None => {
                line.calls = line.calls.saturating_sub(1);
                if line.calls > 0 {
                    return;
                }
                // The next outage is reported again.
                if let Some(bar) = line.bar.take() {
                    bar.finish_and_clear();
                }
                line.is_told = false;
            }
            Some(waiting) if output.draws() => {
                let bar = line.bar.get_or_insert_with(|| {
                    let bar = output.bars().add(ProgressBar::no_length());
                    // The template is constant.
                    bar.set_style(
                        ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    bar.enable_steady_tick(Duration::from_millis(200));
                    bar
                });
                bar.set_message(text(&address, waiting));
            }
            // What passes is not worth a mail: if it does not, the error says all of it.
            Some(_) if output.is_quiet() || line.is_told => {}
            Some(waiting) => {
                line.is_told = true;
                output.warn(&text(&address, waiting));
            }
        }
    })
}

fn text(address: &str, waiting: &Waiting<'_>) -> String {
    let (attempts, pause) = (waiting.attempts, units::duration(waiting.pause));
    format!("{address} does not answer ({}): attempt {} in {pause}", units::printable(&waiting.why.to_string()), attempts + 1)
}
