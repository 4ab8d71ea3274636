//! Ctrl-C and the system's wish to end: the first lets an operation come to a good end, the second does not wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CommandError;
use super::output::Output;
use crate::operations::Stop;

/// How long an operation that leaves nothing half done may take to end.
const GRACE: Duration = Duration::from_millis(1500);

/// `SIGXFSZ`, which has the same number wherever this program runs.
const FILE_SIZE: i32 = 25;

/// The signals that end a run.
pub struct Interrupts {
    /// Ctrl-C; the system's wish; the terminal that went away. `None` for one that the caller ignores.
    signals: [Option<Signal>; 3],
    /// A file that grew past what the user may write is an error like a full disk, and no end of the program.
    _file_size: Option<Signal>,
    heeded: Heeded,
    output: Output,
}

/// Lets an operation say that it comes to an end by itself when it is asked to.
#[derive(Clone, Default)]
pub struct Heeded {
    stop: Stop,
    is_heeded: Arc<AtomicBool>,
    /// Whether the operation leaves nothing half done: then it need not be waited for.
    is_harmless: Arc<AtomicBool>,
}

impl Heeded {
    /// The wish to end, for an operation that heeds it.
    pub fn stop(&self) -> Stop {
        self.is_heeded.store(true, Ordering::Relaxed);
        self.stop.clone()
    }

    /// The same for an operation that only reads, or whose files get their names when they are whole: where it hangs in a call,
    /// the program ends all the same.
    pub fn stop_soon(&self) -> Stop {
        self.is_harmless.store(true, Ordering::Relaxed);
        self.stop()
    }
}

impl Interrupts {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn watch(output: &Output) -> Result<Self, CommandError> {
        let ignored = ignored();
        let watch = |kind: SignalKind| -> Result<Option<Signal>, CommandError> {
            // What is run in the background of a shell, or by nohup, goes on.
            if u32::try_from(kind.as_raw_value()).is_ok_and(|number| ignored >> number.saturating_sub(1) & 1 == 1) {
                return Ok(None);
            }
            signal(kind).map(Some).map_err(|source| CommandError::System { what: "cannot watch for signals", source })
        };
        Ok(Self {
            signals: [watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?, watch(SignalKind::hangup())?],
            _file_size: signal(SignalKind::from_raw(FILE_SIZE)).ok(),
            heeded: Heeded::default(),
            output: output.clone(),
        })
    }

    /// What operations take the wish from.
    pub fn heeded(&self) -> Heeded {
        self.heeded.clone()
    }

    /// Waits for a signal that nobody heeds: any while no operation runs that could, and the second one otherwise.
    pub async fn unheeded(&mut self) {
        self.next().await;
        if self.heeded.is_heeded.load(Ordering::Relaxed) {
            self.heeded.stop.now();
            self.output.say("stopping; press Ctrl-C again to quit at once");
            if self.heeded.is_harmless.load(Ordering::Relaxed) {
                let _ = tokio::time::timeout(GRACE, self.next()).await;
            } else {
                self.next().await;
            }
        }
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
            () = received(hangup) => {}
        }
    }
}

/// Waits for a signal; for ever for one that is ignored.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// The signals that whoever started this program had ignored, one bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
