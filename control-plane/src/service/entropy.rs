//! Where randomness enters; everything below takes it as an argument.

use ring::rand::{SecureRandom as _, SystemRandom};
use thiserror::Error;

/// The system's random numbers.
#[derive(Debug, Clone)]
pub struct Entropy(SystemRandom);

/// The system gave no random numbers.
#[derive(Debug, Error)]
#[error("the system gives no random numbers")]
pub struct NoEntropy;

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy {
    /// The system's.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }

    /// `N` random bytes.
    ///
    /// # Errors
    /// When the system has none to give.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoEntropy> {
        let mut out = [0; N];
        self.0.fill(&mut out).map_err(|_| NoEntropy)?;
        Ok(out)
    }
}
