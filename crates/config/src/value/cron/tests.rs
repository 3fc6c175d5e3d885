use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn next(schedule: &str, after: &str) -> String {
    cron(schedule).unwrap().next_after(at(after)).unwrap().to_string()
}

fn said(text: &str) -> String {
    cron(text).unwrap_err().to_string()
}

#[test]
fn fields_are_sets() {
    let all_minutes = (1_u64 << 60) - 1;
    let workdays = cron("*/15 9-17/4 1,15 jan,Jun-AUG 1-5").unwrap();
    assert_eq!(
        workdays,
        Cron {
            text: "*/15 9-17/4 1,15 jan,Jun-AUG 1-5".to_owned(),
            minutes: 1 | 1 << 15 | 1 << 30 | 1 << 45,
            hours: 1 << 9 | 1 << 13 | 1 << 17,
            days: 1 << 1 | 1 << 15,
            months: 1 << 1 | 1 << 6 | 1 << 7 | 1 << 8,
            weekdays: 0b011_1110,
            either_day: true,
        }
    );
    let always = cron("* * * * *").unwrap();
    assert_eq!((always.minutes, always.hours, always.days), (all_minutes, (1 << 24) - 1, u32::MAX - 1));
    assert_eq!((always.months, always.weekdays, always.either_day), (0x1ffe, 0x7f, false));
    assert_eq!(cron("05\t 09 * * *").unwrap().minutes, 1 << 5);
}

#[test]
fn sunday_is_0_and_7_and_sun() {
    for (text, weekdays) in [
        ("0", 0b000_0001),
        ("7", 0b000_0001),
        ("Sun", 0b000_0001),
        ("5-7", 0b110_0001),
        ("fri-sun", 0b110_0001),
        ("sun-tue", 0b000_0111),
        ("0-7", 0b111_1111),
        ("*", 0b111_1111),
    ] {
        assert_eq!(cron(&format!("0 0 * * {text}")).unwrap().weekdays, weekdays, "{text}");
    }
}

#[test]
fn words_stand_for_fields() {
    for (word, fields) in WORDS {
        let (word, fields) = (cron(word).unwrap(), cron(fields).unwrap());
        assert_eq!(Cron { text: fields.text.clone(), ..word }, fields);
    }
}

#[test]
fn the_next_time_is_later_than_the_moment() {
    for (schedule, after, expected) in [
        ("* * * * *", "2026-03-21T20:15:00Z", "2026-03-21T20:16:00Z"),
        ("* * * * *", "2026-03-21T20:15:59.999999999Z", "2026-03-21T20:16:00Z"),
        ("15 20 * * *", "2026-03-21T20:14:59Z", "2026-03-21T20:15:00Z"),
        ("15 20 * * *", "2026-03-21T20:15:00Z", "2026-03-22T20:15:00Z"),
        ("0 9 * * 1-5", "2026-11-20T09:00:00Z", "2026-11-23T09:00:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
        ("0 0 1 * *", "2026-12-31T23:59:30Z", "2027-01-01T00:00:00Z"),
        ("30 8,20 * * *", "2026-05-01T08:30:00Z", "2026-05-01T20:30:00Z"),
        ("0 0 31 * *", "2026-03-31T12:00:00Z", "2026-05-31T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("@weekly", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("0 12 * * *", "1969-12-31T23:59:59.5Z", "1970-01-01T12:00:00Z"),
    ] {
        assert_eq!(next(schedule, after), expected, "{schedule} after {after}");
    }
}

#[test]
fn either_day_suffices_only_where_both_are_restricted() {
    // 13 November 2026 is a Friday.
    let both = ["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"];
    let mut now = at("2026-11-01T00:00:00Z");
    for expected in both {
        now = cron("0 0 13 * fri").unwrap().next_after(now).unwrap();
        assert_eq!(now.to_string(), expected);
    }
    assert_eq!(next("0 0 13 * fri", "2026-12-11T00:00:00Z"), "2026-12-13T00:00:00Z");
    // A field that begins with `*` restricts nothing alone, so both must fit: odd days that are Fridays.
    assert_eq!(next("0 0 */2 * fri", "2026-11-01T00:00:00Z"), "2026-11-13T00:00:00Z");
}

#[test]
fn a_leap_day_on_any_day_of_the_week_is_found_from_any_year() {
    for weekday in 0..7 {
        let schedule = Cron { weekdays: 1 << weekday, either_day: false, ..cron("0 0 29 2 *").unwrap() };
        for year in (1970..2400).step_by(7) {
            assert!(schedule.next_after(at(&format!("{year}-03-01T00:00:00Z"))).is_some(), "{weekday} {year}");
        }
    }
}

#[test]
fn what_never_comes_is_a_mistake() {
    for text in ["0 0 30 2 *", "0 0 31 feb,apr,jun,sep,nov *", "0 0 31 4 */1"] {
        assert_eq!(
            said(text),
            format!("`{text}` never comes; no year has such a day; mend the day of the month or the month")
        );
    }
    assert!(cron("0 0 30 2 mon").is_ok(), "either suffices, and Mondays come");
    let never = Cron { days: 0, ..cron("@daily").unwrap() };
    assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
}

#[test]
fn the_end_of_time_is_no_panic() {
    assert_eq!(cron("@yearly").unwrap().next_after(Timestamp::MAX), None);
    assert!(cron("@yearly").unwrap().next_after(Timestamp::MIN).is_some());
}

#[test]
fn other_forms_are_refused_with_the_one_to_write() {
    let minutes = "write `*`, or numbers from 0 to 59, such as `1,3-5` or `*/2`";
    for (text, expected) in [
        ("", format!("`` has 0 fields, not five; {FORM}")),
        ("0 9 * *", format!("`0 9 * *` has 4 fields, not five; {FORM}")),
        (
            "0 0 9 * * 1-5",
            "`0 0 9 * * 1-5` has 6 fields, not five; there are no seconds and no years; write five fields, such as `0 9 * * 1-5`"
                .to_owned(),
        ),
        ("60 * * * *", format!("`60` is not a minute; {minutes}")),
        ("-1 * * * *", format!("`-1` is not a minute; {minutes}")),
        ("1,,2 * * * *", format!("`` is not a minute; {minutes}")),
        ("１ * * * *", format!("`１` is not a minute; {minutes}")),
        ("+1 * * * *", format!("`+1` is not a minute; {minutes}")),
        ("* 17-9 * * *", "`17-9` is not an hour; begin with the smaller one; for two stretches write `17-23,0-9`".to_owned()),
        ("5/15 * * * *", "`5/15` is not a minute; a step needs a stretch; write `5-59/15`".to_owned()),
        ("*/0 * * * *", "`*/0` is not a minute; a step is a whole number from 1 to 59".to_owned()),
        ("* */24 * * *", "`*/24` is not an hour; a step is a whole number from 1 to 23".to_owned()),
        (
            "* * ? * *",
            "`?` is not a day of the month; write `*`, or numbers from 1 to 31, such as `1,3-5` or `*/2`".to_owned(),
        ),
        (
            "* * * juin *",
            "`juin` is not a month; write `*`, or numbers from 1 to 12 or names from `jan` to `dec`, such as `1,3-5` or `*/2`"
                .to_owned(),
        ),
        (
            "* * * * 5L",
            "`5L` is not a day of the week; write `*`, or numbers from 0 to 7 or names from `sun` to `sat`, such as `1,3-5` or `*/2`"
                .to_owned(),
        ),
        ("@every 5m", "`@every 5m` is not a schedule; write `every: 5m` in place of `cron`".to_owned()),
        (
            "@reboot",
            "`@reboot` is not a schedule; write `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, or five fields such as `0 9 * * 1-5`"
                .to_owned(),
        ),
    ] {
        assert_eq!(said(text), expected);
    }
    assert_eq!(said(&"*".repeat(257)), format!("`{}…` is longer than 256 bytes; {FORM}", "*".repeat(80)));
}
