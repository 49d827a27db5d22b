//! Customers who remember what they were told.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;

use super::{Customer, Verdict};

/// Any customers, and the numbers of those who got a right answer.
pub struct Remembering<C> {
    inner: C,
    right: Mutex<Vec<u64>>,
}

impl<C> Remembering<C> {
    /// `inner`, remembering.
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            right: Mutex::default(),
        }
    }

    /// The numbers of requests that were answered rightly, so far.
    pub fn right(&self) -> Vec<u64> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<C: Customer> Customer for Remembering<C> {
    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        self.inner.request(number)
    }

    fn judge(&self, number: u64, status: StatusCode, body: &[u8]) -> Verdict {
        let verdict = self.inner.judge(number, status, body);
        if matches!(verdict, Verdict::Right(_)) {
            self.right.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        }
        verdict
    }
}
