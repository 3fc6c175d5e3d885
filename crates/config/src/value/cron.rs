//! Times of the calendar, written as in crontab(5): how they are read, and when they come.
//!
//! A schedule is five sets of numbers. Days count as that page says: where both the day of the month and the day of the week
//! are restricted, either suffices; a field that begins with `*` is no restriction, and then both must fit.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::ValueError;
use crate::Cron;
use crate::display::shown;

/// How far ahead a date is looked for, in months: the longest time between two 29ths of February that are the same day of
/// the week is 40 years (around 2100, which has none).
const MAX_MONTHS: usize = 41 * 12;
/// Longest schedule in bytes.
const MAX_TEXT: usize = 256;

/// One of the five fields.
struct Part {
    name: &'static str,
    range: RangeInclusive<u8>,
    /// Names of its values, from the first one on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE: Part = Part { name: "a minute", range: 0..=59, names: &[] };
const HOUR: Part = Part { name: "an hour", range: 0..=23, names: &[] };
const DAY: Part = Part { name: "a day of the month", range: 1..=31, names: &[] };
const MONTH: Part = Part { name: "a month", range: 1..=12, names: &MONTHS };
/// 7 is Sunday too.
const WEEKDAY: Part = Part { name: "a day of the week", range: 0..=7, names: &WEEKDAYS };

const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const FORM: &str =
    "write five fields, minute, hour, day of the month, month and day of the week, such as `0 9 * * 1-5`";

/// Reads a schedule: five fields or a word such as `@daily`. One that never comes is a mistake.
pub(crate) fn cron(text: &str) -> Result<Cron, ValueError> {
    if text.len() > MAX_TEXT {
        return Err(ValueError::new(format!("`{}` is longer than {MAX_TEXT} bytes", shown(text)), FORM));
    }
    let fields = match WORDS.iter().find(|(word, _)| *word == text) {
        Some((_, fields)) => fields,
        None if text.starts_with('@') => return Err(word(text)),
        None => text,
    };
    let parts: Vec<&str> = fields.split([' ', '\t']).filter(|part| !part.is_empty()).collect();
    let [minute, hour, day, month, weekday] = parts.as_slice() else {
        let help = match parts.len() {
            6 => "there are no seconds and no years; write five fields, such as `0 9 * * 1-5`",
            _ => FORM,
        };
        return Err(ValueError::new(format!("`{}` has {} fields, not five", shown(text), parts.len()), help));
    };
    let [days, months, weekdays] = [set(day, &DAY)?, set(month, &MONTH)?, set(weekday, &WEEKDAY)?];
    let sundays = weekdays | weekdays >> 7;
    let cron = Cron {
        text: text.to_owned(),
        minutes: set(minute, &MINUTE)?,
        hours: low(set(hour, &HOUR)?),
        days: low(days),
        months: low(months) as u16,
        weekdays: (sundays & 0x7f) as u8,
        either_day: !day.starts_with('*') && !weekday.starts_with('*'),
    };
    if cron.next_after(Timestamp::UNIX_EPOCH).is_none() {
        return Err(ValueError::new(
            format!("`{}` never comes", shown(text)),
            "no year has such a day; mend the day of the month or the month",
        ));
    }
    Ok(cron)
}

fn low(bits: u64) -> u32 {
    bits as u32
}

fn word(text: &str) -> ValueError {
    let help = match text.split_once(' ') {
        Some(("@every", pause)) => format!("write `every: {}` in place of `cron`", shown(pause.trim())),
        _ => "write `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or five fields such as `0 9 * * 1-5`"
            .to_owned(),
    };
    ValueError::new(format!("`{}` is not a schedule", shown(text)), help)
}

/// The values of one field as bits.
fn set(text: &str, part: &Part) -> Result<u64, ValueError> {
    let mut bits = 0;
    for item in text.split(',') {
        bits |= span(item, part)?;
    }
    Ok(bits)
}

/// `*`, `5`, `1-5`, `*/15` or `8-18/2`.
fn span(item: &str, part: &Part) -> Result<u64, ValueError> {
    let bad = |help: String| ValueError::new(format!("`{}` is not {}", shown(item), part.name), help);
    let (first, last) = (*part.range.start(), *part.range.end());
    let (values, step) = match item.split_once('/') {
        Some((values, step)) => (values, Some(step)),
        None => (item, None),
    };
    let (from, to) = if values == "*" {
        (first, last)
    } else if let Some((from, to)) = values.split_once('-') {
        let from = value(from, part).ok_or_else(|| bad(form(part)))?;
        // `fri-sun` ends with the Sunday behind Saturday.
        let sunday = to.eq_ignore_ascii_case("sun") && part.names == WEEKDAYS;
        let to = if sunday { 7 } else { value(to, part).ok_or_else(|| bad(form(part)))? };
        if from > to {
            return Err(bad(format!(
                "begin with the smaller one; for two stretches write `{from}-{last},{first}-{to}`"
            )));
        }
        (from, to)
    } else {
        let one = value(values, part).ok_or_else(|| bad(form(part)))?;
        if step.is_some() {
            return Err(bad(format!(
                "a step needs a stretch; write `{one}-{last}/{}`",
                shown(step.unwrap_or_default())
            )));
        }
        (one, one)
    };
    let step = match step {
        None => 1,
        Some(step) => number(step)
            .filter(|step| (1..=last - first).contains(step))
            .ok_or_else(|| bad(format!("a step is a whole number from 1 to {}", last - first)))?,
    };
    Ok((from..=to).step_by(usize::from(step)).fold(0, |bits, value| bits | 1 << value))
}

fn form(part: &Part) -> String {
    let (first, last) = (part.range.start(), part.range.end());
    match part.names {
        [name, .., other] => {
            format!(
                "write `*`, or numbers from {first} to {last} or names from `{name}` to `{other}`, such as `1,3-5` or `*/2`"
            )
        }
        _ => format!("write `*`, or numbers from {first} to {last}, such as `1,3-5` or `*/2`"),
    }
}

fn value(text: &str, part: &Part) -> Option<u8> {
    let named = part.names.iter().position(|name| text.eq_ignore_ascii_case(name));
    match named {
        Some(n) => u8::try_from(n).ok().map(|n| n + part.range.start()),
        None => number(text).filter(|n| part.range.contains(n)),
    }
}

/// At most two digits; leading zeros are usual here (`05 09 * * *`).
fn number(text: &str) -> Option<u8> {
    (text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl Cron {
    /// The next time, in UTC, that is later than `at`; nothing where there is none within 41 years.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let now = Offset::UTC.to_datetime(at);
        let minute = now.date().at(now.hour(), now.minute(), 0, 0);
        let start = minute.checked_add(1.minute()).ok()?;
        if self.day(start.date())
            && let Some(found) = self.time(start)
        {
            return Offset::UTC.to_timestamp(found).ok();
        }
        let mut day = start.date().tomorrow().ok()?;
        for _ in 0..=MAX_MONTHS {
            if self.months >> day.month() & 1 == 1 {
                let rest = std::iter::successors(Some(day), |day| day.tomorrow().ok());
                let found = rest.take_while(|next| next.month() == day.month()).find(|next| self.day(*next));
                if let Some(found) = found {
                    return Offset::UTC.to_timestamp(self.time(found.at(0, 0, 0, 0))?).ok();
                }
            }
            day = day.first_of_month().checked_add(1.month()).ok()?;
        }
        None
    }

    /// Whether it comes on this day.
    fn day(&self, date: Date) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().to_sunday_zero_offset() & 1 == 1;
        self.months >> date.month() & 1 == 1 && if self.either_day { day || weekday } else { day && weekday }
    }

    /// Its first time on the day of `from`, not before that.
    fn time(&self, from: DateTime) -> Option<DateTime> {
        (from.hour()..24).filter(|hour| self.hours >> hour & 1 == 1).find_map(|hour| {
            let first = if hour == from.hour() { from.minute() } else { 0 };
            let minute = (first..60).find(|minute| self.minutes >> minute & 1 == 1)?;
            Some(from.date().at(hour, minute, 0, 0))
        })
    }
}

#[cfg(test)]
mod tests;
