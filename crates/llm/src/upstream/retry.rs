//! When to try again.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// Wait before the first further attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait that is chosen here.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Longest wait that a provider may ask for. Where it asks for more there is no further attempt: an earlier one would
/// fail as well.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long to wait after attempt number `attempt`, from 1; `asked` is what the provider asks for. `jitter`, from 0 to 255, spreads
/// those apart who failed at the same moment: it leaves between half and all of the wait. `None`: do not try again.
pub(super) fn wait(attempt: u32, asked: Option<Duration>, jitter: u8) -> Option<Duration> {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let half = doubled.min(LONGEST_WAIT) / 2;
    let chosen = half + half * u32::from(jitter) / 255;
    match asked {
        Some(asked) if asked > LONGEST_RETRY_AFTER => None,
        Some(asked) => Some(asked.max(chosen)),
        None => Some(chosen),
    }
}

/// A random number for [`wait`].
pub(super) fn jitter() -> u8 {
    let mut byte = [128];
    // Without randomness the wait is still a good one.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    let [byte] = byte;
    byte
}

/// What the provider asks for: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, section 10.2.3).
pub(super) fn asked(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(millis));
    }
    let text = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        for (attempt, least, most) in [(1, 125, 250), (2, 250, 500), (5, 2000, 4000), (6, 4000, 8000), (99, 4000, 8000)]
        {
            assert_eq!(wait(attempt, None, 0), Some(millis(least)), "{attempt}");
            assert_eq!(wait(attempt, None, 255), Some(millis(most)), "{attempt}");
        }
    }

    #[test]
    fn what_the_provider_asks_for_is_honoured() {
        assert_eq!(wait(1, Some(millis(3000)), 0), Some(millis(3000)));
        assert_eq!(wait(1, Some(millis(0)), 0), Some(millis(125)));
        assert_eq!(wait(1, Some(millis(30_000)), 0), Some(millis(30_000)));
        assert_eq!(wait(1, Some(millis(30_001)), 0), None);
    }

    #[test]
    fn every_form_of_the_header_is_read() {
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        for (name, value, expected) in [
            ("retry-after", "7", Some(millis(7000))),
            ("retry-after", "Mon, 23 Nov 2026 08:00:09 GMT", Some(millis(9000))),
            ("retry-after", "Mon, 23 Nov 2026 07:59:00 GMT", Some(millis(0))),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("retry-after", "18446744073709551616", None),
            ("retry-after-ms", "1500", Some(millis(1500))),
            ("date", "7", None),
        ] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(asked(&headers, now), expected, "{name}: {value}");
        }
    }
}
