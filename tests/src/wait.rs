//! Waiting for what must happen: how long, how often one looks, and what an error means meanwhile.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long a test waits for something that must happen. Only a failing test waits so long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What is waited for where nothing else is said: a look costs little.
const PATIENCE: Patience = Patience::new(TIMEOUT, Duration::from_millis(10));

/// How something is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    timeout: Duration,
    interval: Duration,
    retries_errors: bool,
}

impl Patience {
    /// Waits for this time at most, and looks so often. An error ends the wait.
    pub const fn new(timeout: Duration, interval: Duration) -> Patience {
        Patience { timeout, interval, retries_errors: false }
    }

    /// The same, but an error is tried again, and is the last word only when the time is up.
    #[must_use]
    pub const fn retrying_errors(self) -> Patience {
        Patience { retries_errors: true, ..self }
    }

    /// Tries until a condition holds.
    pub async fn until(
        self,
        what: &str,
        condition: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let error = match condition().await {
                Ok(true) => return Ok(()),
                Ok(false) => None,
                Err(error) => Some(error),
            };
            self.pause(start, what, error).await?;
        }
    }

    /// Tries until there is an answer.
    pub async fn until_some<T>(
        self,
        what: &str,
        attempt: impl AsyncFn() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let start = Instant::now();
        loop {
            let error = match attempt().await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            self.pause(start, what, error).await?;
        }
    }

    /// Waits until the next look, unless there is none.
    async fn pause(self, start: Instant, what: &str, error: Option<anyhow::Error>) -> anyhow::Result<()> {
        let is_late = start.elapsed() > self.timeout;
        match error {
            Some(error) if !self.retries_errors => return Err(error),
            Some(error) if is_late => return Err(error.context(format!("it never came to this: {what}"))),
            None if is_late => bail!("it never came to this: {what}"),
            _ => {}
        }
        tokio::time::sleep(self.interval).await;
        Ok(())
    }
}

/// Tries until a condition holds, for [`TIMEOUT`] at most.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    PATIENCE.until(what, condition).await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SHORT: Patience = Patience::new(Duration::ZERO, Duration::from_millis(2));

    #[tokio::test]
    async fn an_error_ends_a_wait_unless_it_is_tried_again_until_the_time_is_up() {
        let tried = Cell::new(0);
        let attempt = async || {
            tried.set(tried.get() + 1);
            Err::<Option<()>, _>(anyhow::anyhow!("no answer"))
        };
        let error = SHORT.until_some("an answer", &attempt).await.expect_err("there is none");
        assert_eq!((format!("{error:#}").as_str(), tried.take()), ("no answer", 1));
        let error = SHORT.retrying_errors().until_some("an answer", &attempt).await.expect_err("none");
        assert_eq!(format!("{error:#}"), "it never came to this: an answer: no answer");
        assert!(tried.get() >= 1);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_condition_or_with_the_time() -> anyhow::Result<()> {
        let looks = Cell::new(0);
        let third = async || {
            looks.set(looks.get() + 1);
            anyhow::Ok(looks.get() == 3)
        };
        eventually("the third look", third).await?;
        let error = SHORT.until("nothing", async || Ok(false)).await.expect_err("it never holds");
        assert_eq!(error.to_string(), "it never came to this: nothing");
        Ok(())
    }
}
