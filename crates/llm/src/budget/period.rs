//! What was used in the minute, hour, day and month that are running, by the UTC calendar.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// An amount of use. Signed, as a settlement mostly gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    requests: i64,
    tokens: i64,
    nano_usd: i64,
}

impl Count {
    /// One call.
    pub(super) fn call(tokens: u64, nano_usd: u64) -> Self {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Self { requests: 1, tokens: signed(tokens), nano_usd: signed(nano_usd) }
    }

    pub(super) fn requests(self) -> u64 {
        self.requests.max(0).unsigned_abs()
    }

    pub(super) fn tokens(self) -> u64 {
        self.tokens.max(0).unsigned_abs()
    }

    /// In thousand-millionths of a dollar.
    pub(super) fn money(self) -> u64 {
        self.nano_usd.max(0).unsigned_abs()
    }

    pub(super) fn less(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
            nano_usd: self.nano_usd.saturating_sub(other.nano_usd),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
            nano_usd: self.nano_usd.saturating_add(other.nano_usd),
        }
    }
}

/// One running period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) count: Count,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Minute,
    Hour,
    Day,
    Month,
}

/// The periods that are running, from the shortest to the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods([Period; 4]);

impl Periods {
    const LENGTHS: [Length; 4] = [Length::Minute, Length::Hour, Length::Day, Length::Month];

    pub(super) fn new(now: Timestamp) -> Self {
        Self(Self::LENGTHS.map(|length| period(length, now)))
    }

    /// Begins new periods where the old ones are over.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for (length, running) in Self::LENGTHS.into_iter().zip(&mut self.0) {
            if now >= running.end {
                *running = period(length, now);
            }
        }
    }

    /// Adds to the periods in which `at` lies; those that are over keep what they had.
    pub(super) fn change(&mut self, at: Timestamp, count: Count) {
        for running in &mut self.0 {
            if (running.start..running.end).contains(&at) {
                running.count = running.count.plus(count);
            }
        }
    }

    /// Moments and amounts which, added to new periods, give these. A shorter period is part of every longer one, so
    /// each longer one adds what it had before the shorter one began.
    pub(super) fn totals(&self) -> Vec<(Timestamp, Count)> {
        let mut within = Count::default();
        let mut totals = Vec::new();
        for running in &self.0 {
            totals.push((running.start, running.count.less(within)));
            within = running.count;
        }
        totals
    }

    pub(super) fn minute(&self) -> Period {
        self.0[0]
    }

    pub(super) fn hour(&self) -> Period {
        self.0[1]
    }

    pub(super) fn day(&self) -> Period {
        self.0[2]
    }

    pub(super) fn month(&self) -> Period {
        self.0[3]
    }
}

fn period(length: Length, now: Timestamp) -> Period {
    let seconds = now.as_second();
    let bounds = |width: i64| (seconds.div_euclid(width) * width, (seconds.div_euclid(width) + 1) * width);
    let at = |second: i64| Timestamp::from_second(second).unwrap_or(now);
    let (start, end) = match length {
        Length::Minute => bounds(60),
        Length::Hour => bounds(3600),
        Length::Day => bounds(86_400),
        Length::Month => {
            let today = TimeZone::UTC.to_datetime(now).date();
            let first = today.first_of_month();
            let next = first.checked_add(1.month()).unwrap_or(Date::MAX);
            let second =
                |date: Date| date.to_zoned(TimeZone::UTC).map_or(seconds, |midnight| midnight.timestamp().as_second());
            (second(first), second(next))
        }
    };
    Period { start: at(start), end: at(end), count: Count::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        let periods = Periods::new(at("2026-02-28T23:59:30Z"));
        assert_eq!(periods.minute().end, at("2026-03-01T00:00:00Z"));
        assert_eq!(
            (periods.day().start, periods.month().start),
            (at("2026-02-28T00:00:00Z"), at("2026-02-01T00:00:00Z"))
        );
        assert_eq!(periods.month().end, at("2026-03-01T00:00:00Z"));
    }

    #[test]
    fn periods_that_are_over_begin_anew() {
        let mut periods = Periods::new(at("2026-02-28T12:00:00Z"));
        periods.change(at("2026-02-28T12:00:01Z"), Count::call(5, 0));
        periods.advance(at("2026-02-28T23:59:59Z"));
        assert_eq!((periods.hour().count.tokens(), periods.day().count.tokens()), (0, 5));
        periods.advance(at("2026-03-01T00:00:00Z"));
        assert_eq!(periods.month().count, Count::default());
    }

    #[test]
    fn totals_give_the_same_periods_again() {
        for now in ["2026-02-28T12:34:56Z", "2026-02-01T00:00:30Z", "2026-02-28T12:00:10Z"] {
            let mut periods = Periods::new(at(now));
            for (then, tokens) in
                [("2026-02-01T00:00:00Z", 1), ("2026-02-28T00:10:00Z", 2), ("2026-02-28T12:00:00Z", 4)]
            {
                if at(then) <= at(now) {
                    periods.change(at(then), Count::call(tokens, tokens));
                }
            }
            periods.change(at(now), Count::call(8, 8));
            let mut again = Periods::new(at(now));
            for (then, count) in periods.totals() {
                again.change(then, count);
            }
            assert_eq!(again.0, periods.0, "{now}");
        }
    }
}
