//! How many requests one address may make on port 8112.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DashMapStateStore,
};
use plugmend_shared::protocol::problem::codes;

use super::ApiError;
use crate::domain::network::{Network, subscriber};

/// After so many requests, addresses that nothing was heard of lately are forgotten.
const TIDY_EVERY: u32 = 4096;
/// More hops than this are not looked through.
const MOST_HOPS: usize = 16;

/// Counts requests by address.
pub struct AddressRates {
    limiter: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock>,
    trusted: Vec<Network>,
    counted: AtomicU32,
}

impl AddressRates {
    /// `per_second` on average and `burst` at once, for each address. Proxies in `trusted` are believed when they say
    /// whom they speak for (`X-Forwarded-For`); without that, all who come through one proxy share its turn.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32, trusted: Vec<Network>) -> Self {
        Self {
            limiter: RateLimiter::dashmap(Quota::per_second(per_second).allow_burst(burst)),
            trusted,
            counted: AtomicU32::new(0),
        }
    }

    fn count(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), Duration> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let sender = subscriber(self.sender(peer, headers));
        let counted = self.limiter.check_key(&sender);
        counted.map_err(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }

    /// The last address that is not one of our proxies: what stands before it in the header may be made up.
    fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let told = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut hops: Vec<&str> = told.map(str::trim).collect();
        let mut sender = peer;
        for _ in 0..MOST_HOPS {
            if !self.trusted.iter().any(|proxy| proxy.contains(sender)) {
                break;
            }
            match hops.pop().and_then(|hop| hop.parse().ok()) {
                Some(hop) => sender = hop,
                None => break,
            }
        }
        sender
    }
}

/// 429, with the seconds to wait.
pub fn too_many(wait: Duration) -> Response {
    let mut response = ApiError::problem(StatusCode::TOO_MANY_REQUESTS, codes::RATE_LIMITED, "Too many requests")
        .detail("slow down; nothing was taken")
        .into_response();
    let seconds = HeaderValue::from(wait.as_secs().saturating_add(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

/// Counts every request to the router but those of health checks, before anything else is done.
pub fn limited(router: Router, rates: Arc<AddressRates>) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let rates = Arc::clone(&rates);
        async move {
            let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
            let exempt = matches!(request.uri().path(), "/healthz" | "/readyz");
            if let (Some(ConnectInfo(peer)), false) = (peer, exempt)
                && let Err(wait) = rates.count(peer.ip(), request.headers())
            {
                return too_many(wait);
            }
            next.run(request).await
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_their_own_word() {
        let one = NonZeroU32::MIN;
        let rates = AddressRates::new(one, one, vec!["10.0.0.0/8".parse().unwrap()]);
        let sender = |peer: &str, told: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", told.parse().unwrap());
            rates.sender(peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(sender("192.0.2.1", "198.51.100.1"), "192.0.2.1");
        assert_eq!(sender("10.0.0.1", "203.0.113.9, 198.51.100.1"), "198.51.100.1");
        assert_eq!(sender("10.0.0.1", "198.51.100.1, 10.9.9.9"), "198.51.100.1");
        assert_eq!(sender("10.0.0.1", "rubbish"), "10.0.0.1");
    }
}
