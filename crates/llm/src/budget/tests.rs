use std::path::Path;

use jiff::Timestamp;
use nanoclaw_config::{Budget, Group, NanoUsd};
use nanoclaw_request::CellId;

use super::{Budgets, Estimate, Exhausted, JournalError};

fn cell(name: &str) -> CellId {
    CellId::parse(name).unwrap()
}

fn open(directory: &Path, fleet: Budget, group: Budget, own: Budget) -> Budgets {
    let groups = [Group { name: "g".to_owned(), budget: group }];
    let agents =
        [(cell("a"), own, Some("g".to_owned())), (cell("b"), own, Some("g".to_owned())), (cell("c"), own, None)];
    Budgets::open(directory.join("budgets"), fleet, &groups, &agents).unwrap()
}

fn tokens(tokens: u64) -> Estimate {
    Estimate { tokens, cost: Some(NanoUsd(tokens)) }
}

const NOON: &str = "2126-05-05T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn limit(result: Result<super::Reservation, Exhausted>) -> (&'static str, String, Option<Timestamp>) {
    match result.map(|_| ()) {
        Err(Exhausted::Limit { limit, owner, returns, .. }) => (limit, owner, returns),
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_at_the_same_time_do_not_exceed_a_limit_together() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget { tokens_per_day: Some(100), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let made = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                if let Ok(reservation) = budgets.reserve(&cell("a"), tokens(30), "m") {
                    made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    reservation.settle(30, NanoUsd(0));
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 3);
}

#[test]
fn what_was_not_used_is_given_back_and_what_was_used_stays() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget { tokens_per_hour: Some(100), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let first = budgets.reserve_at(&cell("a"), tokens(90), "m", at(NOON)).unwrap();
    assert!(budgets.reserve_at(&cell("a"), tokens(20), "m", at(NOON)).is_err());
    first.settle(70, NanoUsd(0));
    let second = budgets.reserve_at(&cell("a"), tokens(30), "m", at(NOON)).unwrap();
    drop(second);
    drop(budgets.reserve_at(&cell("a"), tokens(30), "m", at(NOON)).unwrap());
    let refused = budgets.reserve_at(&cell("a"), tokens(31), "m", at(NOON));
    assert_eq!(limit(refused), ("tokens_per_hour", "agent `a`".to_owned(), Some(at("2126-05-05T13:00:00Z"))));
    assert!(budgets.reserve_at(&cell("a"), tokens(31), "m", at("2126-05-05T13:00:00Z")).is_ok());
}

#[test]
fn what_is_left_is_that_of_the_scarcest_limit() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Budget { usd_per_month: Some(NanoUsd(1000)), ..Budget::default() };
    let own = Budget { tokens_per_hour: Some(300), requests_per_minute: Some(1), ..Budget::default() };
    let budgets = open(directory.path(), fleet, Budget::default(), own);
    let left = |cell_id: &str, at_time: &str| budgets.left_at(&cell(cell_id), at(at_time));
    assert_eq!((left("a", NOON), left("nobody", NOON)), (100, 100));
    let estimate = Estimate { tokens: 100, cost: Some(NanoUsd(100)) };
    budgets.reserve_at(&cell("a"), estimate, "m", at(NOON)).unwrap().settle(101, NanoUsd(250));
    assert_eq!((left("a", NOON), left("nobody", NOON)), (66, 75));
    assert_eq!(left("a", "2126-05-05T13:00:00Z"), 75, "another hour, the same month");
    budgets.reserve_at(&cell("a"), estimate, "m", at("2126-05-05T13:00:00Z")).unwrap().settle(900, NanoUsd(250));
    assert_eq!(left("a", "2126-05-05T13:00:00Z"), 0);
}

#[test]
fn a_clock_that_is_put_back_gives_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget { tokens_per_minute: Some(10), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    budgets.reserve_at(&cell("a"), tokens(6), "m", later).unwrap().settle(6, NanoUsd(0));
    assert!(budgets.reserve_at(&cell("a"), tokens(6), "m", Timestamp::now()).is_err());
    budgets.reserve_at(&cell("a"), tokens(4), "m", Timestamp::now()).unwrap().settle(4, NanoUsd(0));
    drop(budgets);
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    assert!(budgets.reserve(&cell("a"), tokens(1), "m").is_err());
}

#[test]
fn groups_and_the_fleet_are_charged_too() {
    let directory = tempfile::tempdir().unwrap();
    let fleet = Budget { requests_per_minute: Some(3), ..Budget::default() };
    let group = Budget { usd_per_month: Some(NanoUsd(100)), ..Budget::default() };
    let budgets = open(directory.path(), fleet, group, Budget::default());
    let spend = |name, n| {
        budgets.reserve_at(&cell(name), tokens(n), "m", at(NOON))?.settle(n, NanoUsd(n));
        Ok::<_, Exhausted>(())
    };
    spend("a", 60).unwrap();
    let refused = budgets.reserve_at(&cell("b"), tokens(41), "m", at(NOON));
    assert_eq!(limit(refused), ("usd_per_month", "group `g`".to_owned(), Some(at("2126-06-01T00:00:00Z"))));
    spend("b", 40).unwrap();
    spend("c", 1000).unwrap();
    let refused = budgets.reserve_at(&cell("c"), tokens(1), "m", at(NOON));
    assert_eq!(limit(refused), ("requests_per_minute", "the fleet".to_owned(), Some(at("2126-05-05T12:01:00Z"))));
    let later = budgets.reserve_at(&cell("c"), tokens(1), "m", at("2126-05-05T12:01:00Z"));
    assert!(later.is_ok());
}

#[test]
fn a_limit_on_money_needs_a_price() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget { usd_per_day: Some(NanoUsd(5)), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let refused = budgets.reserve(&cell("a"), Estimate { tokens: 1, cost: None }, "main/x").map(|_| ());
    assert_eq!(refused, Err(Exhausted::NoPrice { owner: "agent `a`".to_owned(), model: "main/x".to_owned() }));
}

#[test]
fn calls_at_once_are_counted_until_they_end() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget { concurrent_calls: Some(1), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let running = budgets.reserve(&cell("a"), tokens(1), "m").unwrap();
    assert_eq!(limit(budgets.reserve(&cell("a"), tokens(1), "m")), ("concurrent_calls", "agent `a`".to_owned(), None));
    running.settle(1, NanoUsd(0));
    assert!(budgets.reserve(&cell("a"), tokens(1), "m").is_ok());
}

#[test]
fn restarts_give_nothing_back_even_of_calls_that_never_ended() {
    let own = Budget { tokens_per_month: Some(100), ..Budget::default() };
    let mut directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
        budgets.reserve(&cell("a"), tokens(30), "m").unwrap().settle(20, NanoUsd(0));
        let _under_way = budgets.reserve(&cell("a"), tokens(30), "m").unwrap();
        // The process is killed with this call under way: what is on disk now is all that there is.
        let next = tempfile::tempdir().unwrap();
        std::fs::copy(directory.path().join("budgets"), next.path().join("budgets")).unwrap();
        directory = next;
    }
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    assert!(budgets.reserve(&cell("a"), tokens(1), "m").is_err());
}

#[test]
fn a_torn_last_line_is_ignored_and_a_damaged_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("budgets");
    let now = Timestamp::now();
    let line = format!(r#"{{"account":"agent/a","at":"{now}","count":{{"requests":1,"tokens":7,"nano_usd":0}}}}"#);
    std::fs::write(&path, format!("{line}\n{line}\n{{\"acc")).unwrap();
    let own = Budget { tokens_per_month: Some(15), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    assert!(budgets.reserve(&cell("a"), tokens(2), "m").is_err());
    assert!(budgets.reserve(&cell("a"), tokens(1), "m").is_ok());
    drop(budgets);
    std::fs::write(&path, format!("{line}\nnonsense\n")).unwrap();
    let damaged = Budgets::open(path, Budget::default(), &[], &[]);
    assert!(matches!(damaged.err(), Some(JournalError::Damaged { line: 2, .. })));
}

#[test]
fn a_journal_of_a_year_ahead_locks_nothing_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("budgets");
    let line = |at: Timestamp, tokens: i64| {
        format!(r#"{{"account":"agent/a","at":"{at}","count":{{"requests":1,"tokens":{tokens},"nano_usd":0}}}}"#)
    };
    let ahead = Timestamp::now() + jiff::SignedDuration::from_hours(365 * 24);
    std::fs::write(&path, format!("{}\n{}\n", line(ahead, 30), line(ahead, -10))).unwrap();
    let own = Budget { tokens_per_month: Some(21), ..Budget::default() };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let notice = budgets.notice().unwrap();
    assert!(notice.starts_with(&format!("`{}`, where the use of budgets is kept, goes up to ", path.display())));
    assert!(notice.ends_with("end NanoClaw and move the file away"), "{notice}");
    let refused = budgets.reserve(&cell("a"), tokens(2), "m");
    let (name, _, returns) = limit(refused);
    assert!(name == "tokens_per_month" && returns.unwrap() < ahead, "it counts as used now, and no longer");
    assert!(budgets.reserve(&cell("a"), tokens(1), "m").is_ok());
    drop(budgets);
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    assert_eq!(budgets.notice(), None, "it is told once");
    assert!(budgets.reserve(&cell("a"), tokens(2), "m").is_err());
}

#[test]
fn a_journal_of_a_moment_ahead_is_as_it_says() {
    let now = at(NOON);
    let ahead = |seconds| now + jiff::SignedDuration::from_secs(seconds);
    for (seconds, is_ahead) in [(-1, false), (60, false), (61, true)] {
        let count = super::Count::default();
        let mut changes = [super::Change { account: "fleet".to_owned(), at: ahead(seconds), count }];
        assert_eq!(super::bring_back(&mut changes, now).is_some(), is_ahead);
        assert_eq!(changes[0].at, if is_ahead { now } else { ahead(seconds) });
    }
}

#[test]
fn what_asks_no_model_is_one_of_the_requests_and_of_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let own = Budget {
        requests_per_minute: Some(3),
        tokens_per_day: Some(10),
        concurrent_calls: Some(1),
        ..Budget::default()
    };
    let budgets = open(directory.path(), Budget::default(), Budget::default(), own);
    let _running = budgets.reserve_at(&cell("a"), tokens(10), "m", at(NOON)).unwrap();
    for _ in 0..2 {
        budgets.reserve_at(&cell("a"), tokens(0), "", at(NOON)).unwrap().settle(0, NanoUsd(0));
    }
    let refused = budgets.reserve_at(&cell("a"), tokens(0), "", at(NOON));
    assert_eq!(limit(refused).0, "requests_per_minute");
}

#[test]
fn two_control_planes_do_not_count_in_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path(), Budget::default(), Budget::default(), Budget::default());
    let second = Budgets::open(directory.path().join("budgets"), Budget::default(), &[], &[]);
    assert!(matches!(second.err(), Some(JournalError::InUse { .. })));
}
