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

/// The signals that end a run.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
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
        let watch = |kind| signal(kind).map_err(|source| CommandError::System { what: "cannot watch for signals", source });
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
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
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
