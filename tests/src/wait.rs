//! Waiting for a value with a bound, never for a length of time.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `look` until it gives a value or fails, for at most `bound`. `what` names the value in the error.
pub fn until<T>(what: &str, bound: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if begun.elapsed() >= bound {
            bail!("waited {} s for {what} in vain", bound.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

/// The same for looks that are themselves asynchronous.
pub async fn until_async<T, F>(what: &str, bound: Duration, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(value) = look().await? {
            return Ok(value);
        }
        if begun.elapsed() >= bound {
            bail!("waited {} s for {what} in vain", bound.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
