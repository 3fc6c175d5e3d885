//! Sizes, durations, shares of a processor, and counts.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::ValueError;
use crate::Limits;
use crate::display::shown;

const SIZES: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZE_HELP: &str = "write a whole number and `Ki`, `Mi`, `Gi` or `Ti`, such as `512Mi`";
const TIME_HELP: &str = "write whole numbers with `d`, `h`, `m`, `s` or `ms`, such as `90s` or `1h30m`";

/// Reads a size in bytes: a whole number alone (bytes) or with `Ki`, `Mi`, `Gi` or `Ti` (powers of 1024).
///
/// `M` and `m` are refused: they mean 1000² here, 1024² there and thousandths elsewhere.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    let (digits, unit) = leading_digits(text);
    let factor = match unit {
        "" => Some(1),
        unit => SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
    };
    let (Some(factor), false) = (factor, digits.is_empty()) else {
        return Err(ValueError::new(format!("`{}` is not a size", shown(text)), size_help(digits, unit)));
    };
    check_zeros(text, digits, unit)?;
    digits
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| ValueError::new(format!("`{}` is larger than any machine", shown(text)), SIZE_HELP))
}

/// Looks for what was meant by `512 Mb`, `512m` or `1.5Gi`.
fn size_help(digits: &str, unit: &str) -> String {
    if digits.is_empty() {
        return SIZE_HELP.to_owned();
    }
    let near = |unit: &str| {
        let mut letters = unit.trim().trim_end_matches(['b', 'B']).trim_end_matches(['i', 'I']).chars();
        let letter = letters.next().map(|c| c.to_ascii_uppercase());
        let found = SIZES.iter().find(|(name, _)| letter.is_some_and(|l| name.starts_with(l)));
        found.filter(|_| letters.next().is_none()).copied()
    };
    if let Some((name, _)) = near(unit) {
        return format!("write `{digits}{name}`");
    }
    if let Some((decimals, unit)) = unit.strip_prefix('.').map(leading_digits)
        && let Some((_, factor)) = near(unit)
        && let Some(bytes) = fraction(digits, decimals, factor)
        && bytes >= 1024
    {
        return format!("write a whole number: `{}`", size_text(bytes - bytes % 1024));
    }
    SIZE_HELP.to_owned()
}

/// `digits.decimals × factor`, rounded down.
fn fraction(digits: &str, decimals: &str, factor: u64) -> Option<u64> {
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let number = format!("{digits}{decimals}").parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    u64::try_from(number / scale).ok()
}

/// The shortest exact form of a size.
pub(crate) fn size_text(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(name, factor)| format!("{}{name}", bytes / factor))
}

/// Reads a duration: whole numbers with `d`, `h`, `m`, `s` or `ms`, the larger before the smaller, as in `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    let bad = |help: String| ValueError::new(format!("`{}` is not a duration", shown(text)), help);
    let mut units = TIMES.iter();
    let mut rest = text;
    let mut millis = 0_u64;
    loop {
        let (digits, after) = leading_digits(rest);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters).unwrap_or((after, ""));
        let factor = units.find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, digits.is_empty()) else {
            return Err(bad(duration_help(text)));
        };
        check_zeros(text, digits, unit)?;
        millis = digits
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor))
            .and_then(|n| n.checked_add(millis))
            .ok_or_else(|| ValueError::new(format!("`{}` is longer than any machine runs", shown(text)), TIME_HELP))?;
        if after.is_empty() {
            return Ok(Duration::from_millis(millis));
        }
        rest = after;
    }
}

fn duration_help(text: &str) -> String {
    let (digits, unit) = leading_digits(text.trim());
    if !digits.is_empty() && unit.is_empty() {
        return format!("say the unit: `{0}s` for seconds, `{0}m` for minutes", shown(digits));
    }
    let near = match unit.trim().to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" | "s" => "s",
        "min" | "mins" | "minute" | "minutes" | "m" => "m",
        "hr" | "hrs" | "hour" | "hours" | "h" => "h",
        "day" | "days" | "d" => "d",
        _ => return TIME_HELP.to_owned(),
    };
    if digits.is_empty() { TIME_HELP.to_owned() } else { format!("write `{}{near}`", shown(digits)) }
}

/// The shortest exact form of a duration.
pub(crate) fn duration_text(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut out = String::new();
    for (name, factor) in TIMES {
        if millis >= factor {
            out.push_str(&format!("{}{name}", millis / factor));
            millis %= factor;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Reads a share of processor time, in thousandths of a core: `2`, `0.5` (at most three decimals) or `500m`.
/// Within [`Limits::CPU_MILLIS`].
pub fn parse_cpus(text: &str) -> Result<u32, ValueError> {
    let help = "write cores such as `1`, `0.5` or `500m`";
    let bad = || ValueError::new(format!("`{}` is not a number of cores", shown(text)), help);
    let (digits, rest) = leading_digits(text);
    if digits.is_empty() {
        return Err(bad());
    }
    check_zeros(text, digits, rest)?;
    let millis = match rest {
        "m" => digits.parse().ok(),
        "" => fraction(digits, "", 1000),
        rest => {
            let decimals = rest.strip_prefix('.').ok_or_else(bad)?;
            let plain = !decimals.is_empty() && decimals.bytes().all(|b| b.is_ascii_digit());
            if !plain || decimals.len() > 3 {
                return Err(bad());
            }
            fraction(digits, decimals, 1000)
        }
    };
    let range = Limits::CPU_MILLIS;
    millis.and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n)).ok_or_else(|| {
        ValueError::new(
            format!("`cpu` must be from {}m to {} cores, not `{}`", range.start(), range.end() / 1000, shown(text)),
            help,
        )
    })
}

/// Reads a memory limit in bytes, within [`Limits::MEMORY`].
pub fn parse_memory(text: &str) -> Result<u64, ValueError> {
    size("memory", text, &Limits::MEMORY)
}

/// Reads a wall-time limit, within [`Limits::TIMEOUT_MILLIS`].
pub fn parse_timeout(text: &str) -> Result<Duration, ValueError> {
    duration("timeout", text, &Limits::TIMEOUT_MILLIS)
}

/// Reads a limit of processes and threads, within [`Limits::PIDS`].
pub fn parse_pids(text: &str) -> Result<u32, ValueError> {
    count("pids", text, &Limits::PIDS)
}

/// Reads a limit of bytes in each writable place, within [`Limits::DISK`].
pub fn parse_disk(text: &str) -> Result<u64, ValueError> {
    size("disk", text, &Limits::DISK)
}

/// Reads a limit of open files, within [`Limits::FILES`].
pub fn parse_files(text: &str) -> Result<u32, ValueError> {
    count("files", text, &Limits::FILES)
}

/// Reads the size `name` within `range`.
pub(crate) fn size(name: &str, text: &str, range: &RangeInclusive<u64>) -> Result<u64, ValueError> {
    let bytes = parse_size(text)?;
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    let help = if bytes != 0 && bytes < *range.start() && text.bytes().all(|b| b.is_ascii_digit()) {
        format!("a number without a unit is in bytes; write `{text}Mi` for mebibytes")
    } else {
        format!("write a size in that range, such as `{}`", size_text((*range.start()).max(512 << 20)))
    };
    Err(ValueError::new(
        format!(
            "`{name}` must be from {} to {}, not `{}`",
            size_text(*range.start()),
            size_text(*range.end()),
            shown(text)
        ),
        help,
    ))
}

/// Reads the duration `name` within `range`, in milliseconds.
pub(crate) fn duration(name: &str, text: &str, range: &RangeInclusive<u64>) -> Result<Duration, ValueError> {
    let value = parse_duration(text)?;
    if u64::try_from(value.as_millis()).is_ok_and(|millis| range.contains(&millis)) {
        return Ok(value);
    }
    let ends = [range.start(), range.end()].map(|end| duration_text(Duration::from_millis(*end)));
    Err(ValueError::new(
        format!("`{name}` must be from {} to {}, not `{}`", ends[0], ends[1], shown(text)),
        "write a duration in that range, such as `30s`",
    ))
}

/// Reads the whole number `name` within `range`.
pub(crate) fn count<N: Copy + Display + FromStr + PartialOrd>(
    name: &str,
    text: &str,
    range: &RangeInclusive<N>,
) -> Result<N, ValueError> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !plain {
        return Err(ValueError::new(
            format!("`{}` is not a whole number", shown(text)),
            format!("write plain decimal digits, from {} to {}", range.start(), range.end()),
        ));
    }
    check_zeros(text, text, "")?;
    text.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
        ValueError::new(
            format!("`{name}` must be from {} to {}, not `{}`", range.start(), range.end(), shown(text)),
            "write a number in that range",
        )
    })
}

pub(super) fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A leading zero means octal to some readers.
pub(super) fn check_zeros(text: &str, digits: &str, unit: &str) -> Result<(), ValueError> {
    let short = digits.trim_start_matches('0');
    if digits.len() > 1 && short.len() < digits.len() {
        let short = if short.is_empty() { "0" } else { short };
        return Err(ValueError::new(
            format!("`{}` begins with a zero, which some readers take as octal", shown(text)),
            format!("write `{}{}`", shown(short), shown(unit)),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T, ValueError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("512Mi"), Ok(512 << 20));
        assert_eq!(parse_size("1Gi"), Ok(1 << 30));
        assert_eq!(parse_size("2Ti"), Ok(2 << 40));
        assert_eq!(parse_size("8Ki"), Ok(8192));
        assert_eq!(parse_size("1000"), Ok(1000));
        for bytes in [1, 1023, 1024, 1025, 512 << 20, 3 << 29, 1 << 40] {
            assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn sizes_that_need_guessing_are_refused_with_the_likely_form() {
        for (text, expected) in [
            ("512 Mb", "`512 Mb` is not a size; write `512Mi`"),
            ("512m", "`512m` is not a size; write `512Mi`"),
            ("512MiB", "`512MiB` is not a size; write `512Mi`"),
            ("2GB", "`2GB` is not a size; write `2Gi`"),
            ("1.5Gi", "`1.5Gi` is not a size; write a whole number: `1536Mi`"),
            ("", "`` is not a size; write a whole number and `Ki`, `Mi`, `Gi` or `Ti`, such as `512Mi`"),
            ("-1Mi", "`-1Mi` is not a size; write a whole number and `Ki`, `Mi`, `Gi` or `Ti`, such as `512Mi`"),
            ("1e9", "`1e9` is not a size; write a whole number and `Ki`, `Mi`, `Gi` or `Ti`, such as `512Mi`"),
            ("0512Mi", "`0512Mi` begins with a zero, which some readers take as octal; write `512Mi`"),
            (
                "17179869184Gi",
                "`17179869184Gi` is larger than any machine; write a whole number and `Ki`, `Mi`, `Gi` or `Ti`, such as `512Mi`",
            ),
        ] {
            assert_eq!(said(parse_size(text)), expected);
        }
    }

    #[test]
    fn memory_has_bounds() {
        assert_eq!(parse_memory("4Mi"), Ok(4 << 20));
        assert_eq!(
            said(parse_memory("512")),
            "`memory` must be from 4Mi to 16Ti, not `512`; a number without a unit is in bytes; write `512Mi` for mebibytes"
        );
        assert_eq!(
            said(parse_memory("0")),
            "`memory` must be from 4Mi to 16Ti, not `0`; write a size in that range, such as `512Mi`"
        );
        assert!(parse_memory("4095Ki").is_err());
        assert!(parse_memory("17Ti").is_err());
    }

    #[test]
    fn durations_name_their_units() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1d2h3m4s5ms"), Ok(Duration::from_millis(93_784_005)));
        for text in ["1d", "1h30m", "1m", "250ms", "1s5ms", "0s"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
        for (text, expected) in [
            ("3600", "`3600` is not a duration; say the unit: `3600s` for seconds, `3600m` for minutes"),
            ("10 sec", "`10 sec` is not a duration; write `10s`"),
            (
                "30m1h",
                "`30m1h` is not a duration; write whole numbers with `d`, `h`, `m`, `s` or `ms`, such as `90s` or `1h30m`",
            ),
            ("1H", "`1H` is not a duration; write `1h`"),
            (
                "99999999999999999999d",
                "`99999999999999999999d` is longer than any machine runs; write whole numbers with `d`, `h`, `m`, `s` or `ms`, such as `90s` or `1h30m`",
            ),
            ("08s", "`08s` begins with a zero, which some readers take as octal; write `8s`"),
        ] {
            assert_eq!(said(parse_duration(text)), expected);
        }
        for text in ["", "s", "1.5h", "-1s", "1h1h", "1h 30m", "1s\0", "１s"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert_eq!(
            said(parse_timeout("0s")),
            "`timeout` must be from 1ms to 365d, not `0s`; write a duration in that range, such as `30s`"
        );
    }

    #[test]
    fn cpus_are_decimal_cores() {
        for (text, millis) in
            [("1", 1000), ("0.5", 500), ("1.25", 1250), ("250m", 250), ("0.01", 10), ("1024", 1_024_000)]
        {
            assert_eq!(parse_cpus(text), Ok(millis), "{text}");
        }
        for (text, expected) in [
            ("two", "`two` is not a number of cores; write cores such as `1`, `0.5` or `500m`"),
            ("0", "`cpu` must be from 10m to 1024 cores, not `0`; write cores such as `1`, `0.5` or `500m`"),
            ("1025", "`cpu` must be from 10m to 1024 cores, not `1025`; write cores such as `1`, `0.5` or `500m`"),
            ("01", "`01` begins with a zero, which some readers take as octal; write `1`"),
        ] {
            assert_eq!(said(parse_cpus(text)), expected);
        }
        for text in ["", "1.", ".5", "+1", "-1", "1e3", "0.0001", "1,5", "50%", "99999999999999999999", "NaN"] {
            assert!(parse_cpus(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn pids_are_plain_numbers() {
        assert_eq!(parse_pids("128"), Ok(128));
        assert_eq!(said(parse_pids("3")), "`pids` must be from 4 to 4194304, not `3`; write a number in that range");
        assert_eq!(
            said(parse_pids("0x80")),
            "`0x80` is not a whole number; write plain decimal digits, from 4 to 4194304"
        );
        assert!(parse_pids("99999999999").is_err());
    }
}
