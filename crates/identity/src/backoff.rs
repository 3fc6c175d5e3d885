//! Counting failures, and how long to wait after them.

use std::collections::HashMap;
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Failures in a row after which one has to wait.
const FREE_FAILURES: u32 = 5;
/// The first wait; each failure after it doubles it.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);
/// After this time without a failure, those before it no longer count.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Most names and sources whose failures are counted at a time.
const CAPACITY: usize = 10_000;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    /// Until when one has to wait, if `now` is before it.
    pub(crate) fn locked_until(self, now: Timestamp) -> Option<Timestamp> {
        let beyond = self.count.checked_sub(FREE_FAILURES)?;
        let wait = FIRST_WAIT.as_secs().saturating_mul(1_i64.checked_shl(beyond).unwrap_or(i64::MAX));
        let until = self.last.saturating_add(SignedDuration::from_secs(wait).min(LONGEST_WAIT)).ok()?;
        (now < until).then_some(until)
    }

    /// One more.
    pub(crate) fn add(&mut self, now: Timestamp) {
        let count = if self.forgotten(now) { 0 } else { self.count };
        *self = Self { count: count.saturating_add(1), last: now };
    }

    /// One less: what was counted as a failure was none.
    pub(crate) fn take_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    fn forgotten(self, now: Timestamp) -> bool {
        now.duration_since(self.last) > FORGOTTEN_AFTER
    }
}

/// Failures of many, in memory. Where there is no room, those that failed longest ago are forgotten.
pub(crate) struct Table<K>(HashMap<K, Failures>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    pub(crate) fn locked_until(&self, key: &K, now: Timestamp) -> Option<Timestamp> {
        self.0.get(key)?.locked_until(now)
    }

    pub(crate) fn add(&mut self, key: K, now: Timestamp) {
        if self.0.len() >= CAPACITY && !self.0.contains_key(&key) {
            self.0.retain(|_, failures| !failures.forgotten(now));
            if self.0.len() >= CAPACITY
                && let Some(oldest) =
                    self.0.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone())
            {
                self.0.remove(&oldest);
            }
        }
        self.0.entry(key).or_default().add(now);
    }

    pub(crate) fn take_back(&mut self, key: &K) {
        if let Some(failures) = self.0.get_mut(key) {
            failures.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let mut failures = Failures::default();
        let mut waits = Vec::new();
        for _ in 0..40 {
            failures.add(at(0));
            waits.push(failures.locked_until(at(0)).map_or(0, |until| until.as_second() - at(0).as_second()));
        }
        assert_eq!(waits[..14], [0, 0, 0, 0, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
        assert_eq!(waits[39], 900);
        failures = Failures { count: u32::MAX, last: at(0) };
        assert_eq!(failures.locked_until(at(0)), Some(at(900)));
    }

    #[test]
    fn a_wait_ends_and_failures_are_forgotten() {
        let mut failures = Failures { count: 5, last: at(0) };
        assert_eq!(failures.locked_until(at(9)), Some(at(10)));
        assert_eq!(failures.locked_until(at(10)), None);
        failures.add(at(3599));
        assert_eq!(failures.count, 6);
        failures.add(at(3599 + 3601));
        assert_eq!(failures.count, 1);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_unlock() {
        let failures = Failures { count: 12, last: at(0) };
        assert_eq!(failures.locked_until(at(-4000)), Some(at(900)));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let mut table = Table::default();
        for key in 0..CAPACITY + 10 {
            table.add(key, at(i64::try_from(key).unwrap() / 1000));
            table.add(key, at(i64::try_from(key).unwrap() / 1000));
        }
        assert_eq!(table.0.len(), CAPACITY);
        assert!(table.0.contains_key(&(CAPACITY + 9)));
    }
}
