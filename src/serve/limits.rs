//! How often somebody may ask: a bucket of tokens each, refilled all the time, in a table that does
//! not grow beyond a size.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are told apart; beyond it newcomers share one bucket.
const MOST: usize = 4096;

/// Limits one kind of asker, known by `K`.
pub(super) struct Limit<K> {
    /// Requests a second, and how many at once after a silence; 0 is no limit.
    rate: f64,
    buckets: Mutex<HashMap<Option<K>, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Hash + Eq> Limit<K> {
    /// So many a second; after a silence as many at once.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate),
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from the asker's bucket; how long to wait if there is none.
    pub(super) fn take(&self, asker: K) -> Result<(), Duration> {
        self.take_at(asker, Instant::now())
    }

    fn take_at(&self, asker: K, now: Instant) -> Result<(), Duration> {
        if self.rate == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Some(asker);
        let known = buckets.contains_key(&key);
        if !known && buckets.len() >= MOST {
            // A full bucket is as good as none.
            buckets.retain(|_, bucket| bucket.fill(self.rate, now) < self.rate);
        }
        let key = if known || buckets.len() < MOST {
            key
        } else {
            None
        };
        let rate = self.rate;
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: rate,
            at: now,
        });
        if bucket.fill(rate, now) < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / rate));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

impl Bucket {
    fn fill(&mut self, rate: f64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate).min(rate);
        self.at = now;
        self.left
    }
}

/// Who counts as one asker: an IPv4 address, or an IPv6 network of 64 bits, which one host has whole.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_rate_somebody_waits_and_others_do_not() {
        let limit = Limit::new(2);
        let now = Instant::now();
        assert!(limit.take_at("a", now).is_ok());
        assert!(limit.take_at("a", now).is_ok());
        let wait = limit.take_at("a", now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert!(limit.take_at("b", now).is_ok());
        assert!(limit.take_at("a", now + wait).is_ok());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limit = Limit::new(0);
        assert!((0..10_000).all(|_| limit.take("a").is_ok()));
    }

    #[test]
    fn the_table_does_not_grow_beyond_its_size() {
        let limit = Limit::new(1);
        let now = Instant::now();
        for asker in 0..2 * MOST {
            limit.take_at(asker, now).ok();
        }
        assert!(limit.buckets.lock().unwrap().len() <= MOST + 1);
        // Known askers keep their own bucket; newcomers share one.
        assert!(limit.take_at(3 * MOST, now).is_err());
        let later = now + Duration::from_secs(2);
        assert!(limit.take_at(3 * MOST, later).is_ok());
        assert!(limit.buckets.lock().unwrap().len() <= 2);
    }

    #[test]
    fn one_network_is_one_asker() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
