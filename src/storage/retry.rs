//! Trying again: exponential pauses with jitter, within a budget.

use std::time::Duration;

use tokio::time::Instant;

use super::error::{Result, StorageError};
use super::options::{OnWait, StorageOptions, Waiting};

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    started: Instant,
    made: u32,
    budget: Duration,
    next_delay: Duration,
    max_delay: Duration,
    on_wait: Option<OnWait>,
}

impl Attempts {
    pub(crate) fn new(options: &StorageOptions) -> Self {
        Self {
            started: Instant::now(),
            made: 0,
            budget: options.retry_budget,
            next_delay: options.retry_first_delay,
            max_delay: options.retry_max_delay,
            on_wait: options.on_wait.clone(),
        }
    }

    /// Takes the error of an attempt and waits before the next.
    ///
    /// # Errors
    /// The error itself if it is not one that passes, or if the budget does not last for another pause.
    pub(crate) async fn pause_after(&mut self, error: StorageError) -> Result<()> {
        self.made += 1;
        let StorageError::Unavailable { operation, name, retry_after, source, .. } = error else {
            return Err(error);
        };
        let elapsed = self.started.elapsed();
        let delay = retry_after.unwrap_or_default().max(jittered(self.next_delay));
        self.next_delay = (self.next_delay * 2).min(self.max_delay);
        if elapsed + delay > self.budget {
            return Err(StorageError::Unavailable { operation, name, attempts: self.made, elapsed, retry_after, source });
        }
        // A single failure is everyday; who waits longer should learn why.
        tracing::debug!(operation, name, attempt = self.made, ?delay, error = %source, "the store is not available, trying again");
        if self.made > 1
            && let Some(on_wait) = &self.on_wait
        {
            on_wait.tell(Some(&Waiting { attempts: self.made, pause: delay, why: source.as_ref() }));
        }
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

impl Drop for Attempts {
    fn drop(&mut self) {
        if self.made > 1
            && let Some(on_wait) = &self.on_wait
        {
            on_wait.tell(None);
        }
    }
}

/// Between half of the pause and all of it: clients that failed together do not come back together.
fn jittered(delay: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    delay.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// Runs `attempt` until it succeeds, fails for good, or the budget is spent.
pub(crate) async fn retry<T, F: Future<Output = Result<T>>>(options: &StorageOptions, mut attempt: impl FnMut() -> F) -> Result<T> {
    let mut attempts = Attempts::new(options);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => attempts.pause_after(error).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    fn busy(retry_after: Option<Duration>) -> StorageError {
        let mut error = StorageError::transient("read", "x", "busy");
        if let StorageError::Unavailable { retry_after: slot, .. } = &mut error {
            *slot = retry_after;
        }
        error
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_the_budget_ends_them() {
        let options = StorageOptions { retry_budget: Duration::from_secs(60), ..StorageOptions::default() };
        let started = Instant::now();
        let mut made = 0;
        let error = retry::<(), _>(&options, || {
            made += 1;
            ready(Err(busy(None)))
        })
        .await
        .unwrap_err();
        assert!(started.elapsed() <= options.retry_budget);
        // 0.25 + 0.5 + … + 16 + 20 s, each cut to between half and all.
        assert!((7..=12).contains(&made), "{made}");
        assert!(matches!(error, StorageError::Unavailable { attempts, .. } if attempts == made));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_asks_for_is_waited() {
        let started = Instant::now();
        let mut made = 0;
        retry(&StorageOptions::default(), || {
            made += 1;
            ready(if made < 2 { Err(busy(Some(Duration::from_secs(77)))) } else { Ok(()) })
        })
        .await
        .unwrap();
        assert!(started.elapsed() >= Duration::from_secs(77));
    }

    #[tokio::test]
    async fn other_errors_end_it_at_once() {
        let mut made = 0;
        let error = retry::<(), _>(&StorageOptions::default(), || {
            made += 1;
            ready(Err(StorageError::NotFound { name: "x".into() }))
        })
        .await
        .unwrap_err();
        assert!(matches!(error, StorageError::NotFound { .. }));
        assert_eq!(made, 1);
    }
}
