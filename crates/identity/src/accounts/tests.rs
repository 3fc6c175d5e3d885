//! Signing in, and what an attacker tries. Few iterations, so that a hundred attempts take no time.

use std::path::PathBuf;

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;

const FEW: NonZeroU32 = NonZeroU32::new(10).unwrap();
const RIGHT: &str = "correct horse battery";
const WRONG: &str = "incorrect horse battery";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// The source of the `n`th of many attackers.
fn from(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

struct Place {
    folder: TempDir,
    accounts: Accounts,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts::with_iterations(&folder.path().join("accounts.json"), FEW).unwrap();
        accounts.add(&name("ana"), &BTreeSet::from([Role::Approver]), Some(RIGHT), at(0)).unwrap();
        Self { folder, accounts }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("accounts.json")
    }

    fn again(self) -> Self {
        let accounts = Accounts::with_iterations(&self.path(), FEW).unwrap();
        Self { accounts, ..self }
    }

    fn locked(&self, name: &str, password: &str, source: u8, seconds: i64) -> Option<i64> {
        match self.accounts.verify(name, password, from(source), at(seconds)) {
            Err(SignInError::Locked { until }) => Some(until.as_second() - at(0).as_second()),
            _ => None,
        }
    }

    fn is_in(&self, name: &str, password: &str, source: u8, seconds: i64) -> bool {
        self.accounts.verify(name, password, from(source), at(seconds)).is_ok()
    }
}

#[test]
fn names_are_never_those_of_somebody_else() {
    for good in ["a", "ana", "a.b_c-9", &"a".repeat(64)] {
        assert!(OperatorName::parse(good).is_some(), "{good}");
    }
    for bad in ["", "9a", ".a", "-a", "uid:1000", "oidc:x", "Ana", "a b", "a/b", "аna", "a\0", "a\n", &"a".repeat(65)]
    {
        assert!(OperatorName::parse(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn the_right_password_lets_in_with_the_roles_of_the_account() {
    let place = Place::new();
    let operator = place.accounts.verify("ana", RIGHT, from(1), at(0)).unwrap();
    assert_eq!(operator, Operator { name: "ana".into(), roles: BTreeSet::from([Role::Approver]) });
    let place = place.again();
    assert!(place.is_in("ana", RIGHT, 1, 1));
    let kept = std::fs::read_to_string(place.path()).unwrap();
    assert!(!kept.contains("horse") && kept.contains("pbkdf2-sha512$10$"), "{kept}");
}

#[test]
fn everybody_else_gets_the_same_answer() {
    let place = Place::new();
    let accounts = &place.accounts;
    accounts.add(&name("without"), &BTreeSet::from([Role::Viewer]), None, at(0)).unwrap();
    accounts.add(&name("gone"), &BTreeSet::from([Role::Viewer]), Some(RIGHT), at(0)).unwrap();
    accounts.set_disabled(&name("gone"), true).unwrap();
    let long = RIGHT.repeat(100);
    for (n, (who, password)) in [
        ("ana", WRONG),
        ("ana", ""),
        ("ana", &long),
        ("nobody", RIGHT),
        ("without", RIGHT),
        ("without", ""),
        ("gone", RIGHT),
        ("ANA", RIGHT),
        ("", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let error = accounts.verify(who, password, from(u8::try_from(n).unwrap()), at(0)).unwrap_err();
        assert_eq!(error.to_string(), "name or password are wrong", "{who}");
    }
    accounts.set_disabled(&name("gone"), false).unwrap();
    assert!(place.is_in("gone", RIGHT, 99, 0));
}

#[test]
fn an_account_and_a_name_that_nobody_has_are_locked_alike() {
    let place = Place::new();
    for who in ["ana", "nobody"] {
        let mut seen = Vec::new();
        // Another source each time, so that only the name can be what is locked.
        for attempt in 0..8 {
            seen.push(place.locked(who, WRONG, attempt, 0));
        }
        assert_eq!(seen, [None, None, None, None, None, Some(10), Some(10), Some(10)], "{who}");
        assert_eq!(place.locked(who, WRONG, 20, 10), None, "{who}: one more when the time is over");
        assert_eq!(place.locked(who, WRONG, 21, 10), Some(30), "{who}: and twice the time");
    }
    assert_eq!(place.locked("ana", RIGHT, 22, 11), Some(30), "the right password is not looked at");
    assert!(place.is_in("ana", RIGHT, 22, 30));
    assert_eq!(place.accounts.get(&name("ana"), at(30)).unwrap().locked_until, None);
    assert_eq!(place.locked("ana", WRONG, 23, 30), None, "counted from the beginning");
}

#[test]
fn a_restart_does_not_unlock() {
    let place = Place::new();
    for attempt in 0..5 {
        assert!(!place.is_in("ana", WRONG, attempt, 0));
    }
    let place = place.again();
    assert_eq!(place.locked("ana", RIGHT, 9, 5), Some(10));
    assert_eq!(place.accounts.get(&name("ana"), at(5)).unwrap().locked_until, Some(at(10)));
}

#[test]
fn a_source_that_guesses_at_many_names_is_locked() {
    let place = Place::new();
    for n in 0..5 {
        assert_eq!(place.locked(&format!("user{n}"), WRONG, 1, 0), None);
    }
    assert_eq!(place.locked("ana", RIGHT, 1, 0), Some(10));
    assert!(place.is_in("ana", RIGHT, 2, 0), "others are not");
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    for n in 0..5 {
        let source = v6(&format!("2001:db8:0:1::{n}"));
        assert!(matches!(place.accounts.verify(&format!("name{n}"), WRONG, source, at(0)), Err(SignInError::Wrong)));
    }
    let verify = |source| place.accounts.verify("ana", RIGHT, v6(source), at(0));
    assert!(matches!(verify("2001:db8:0:1:ffff::9"), Err(SignInError::Locked { .. })));
    assert!(verify("2001:db8:0:2::1").is_ok());
    assert!(matches!(verify("::ffff:192.0.2.1"), Err(SignInError::Locked { .. })), "192.0.2.1 in other words");
}

#[test]
fn ones_own_account_does_not_clear_what_guesses_add_up_to() {
    let place = Place::new();
    for n in 0..5 {
        assert_eq!(place.locked(&format!("user{n}"), WRONG, 1, 0), None);
        if n < 4 {
            assert!(place.is_in("ana", RIGHT, 1, 0));
        }
    }
    assert_eq!(place.locked("user9", WRONG, 1, 0), Some(10));
}

#[test]
fn many_attempts_at_once_gain_nothing() {
    let place = Place::new();
    let looked_at = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..40 {
            let (accounts, looked_at) = (&place.accounts, &looked_at);
            scope.spawn(move || {
                if matches!(accounts.verify("ana", WRONG, from(n), at(0)), Err(SignInError::Wrong)) {
                    looked_at.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(looked_at.into_inner() <= 5);
    assert_eq!(place.accounts.comparisons.load(Ordering::Relaxed), 0);
}

#[test]
fn only_a_few_are_compared_at_a_time() {
    let count = AtomicUsize::new(0);
    let held: Vec<_> = (0..MAX_COMPARISONS).map(|_| Comparison::begin(&count).unwrap()).collect();
    assert!(Comparison::begin(&count).is_none());
    drop(held);
    assert!(Comparison::begin(&count).is_some());
}

#[test]
fn an_attempt_that_cannot_be_counted_is_not_looked_at() {
    let place = Place::new();
    std::fs::remove_dir_all(&place.folder).unwrap();
    for who in ["ana", "nobody"] {
        let answer = place.accounts.verify(who, RIGHT, from(1), at(0));
        assert!(matches!(answer, Err(SignInError::Store(_))), "{who}");
    }
}

#[test]
fn a_password_that_was_changed_meanwhile_no_longer_lets_in() {
    let place = Place::new();
    let old = place.accounts.attempt(&Some(name("ana")), from(1), at(0)).unwrap().unwrap();
    place.accounts.set_password(&name("ana"), Some("another horse battery")).unwrap();
    assert!(matches!(place.accounts.succeed(name("ana"), &old, from(1)), Err(SignInError::Wrong)));
    assert!(!place.is_in("ana", RIGHT, 2, 0));
    assert!(place.is_in("ana", "another horse battery", 3, 0));
    place.accounts.set_password(&name("ana"), None).unwrap();
    assert!(!place.is_in("ana", "another horse battery", 4, 0));
}

#[test]
fn accounts_are_added_changed_and_removed() {
    let place = Place::new();
    let accounts = &place.accounts;
    let viewer = BTreeSet::from([Role::Viewer]);
    assert!(matches!(accounts.add(&name("ana"), &viewer, None, at(1)), Err(AccountError::Taken(_))));
    assert!(matches!(accounts.add(&name("bo"), &BTreeSet::new(), None, at(1)), Err(AccountError::NoRoles)));
    for password in ["", "fourteen bytes", &"x".repeat(1025)] {
        assert!(matches!(accounts.add(&name("bo"), &viewer, Some(password), at(1)), Err(AccountError::Password)));
    }
    accounts.add(&name("bo"), &viewer, Some(&"x".repeat(15)), at(1)).unwrap();
    accounts.set_roles(&name("bo"), &BTreeSet::from([Role::Auditor])).unwrap();
    let bo = accounts.get(&name("bo"), at(1)).unwrap();
    let expected = Account {
        name: name("bo"),
        roles: BTreeSet::from([Role::Auditor]),
        has_password: true,
        disabled: false,
        created: at(1),
        locked_until: None,
    };
    assert_eq!(bo, expected);
    let place = place.again();
    assert_eq!(place.accounts.list(at(1))[1], expected);
    place.accounts.remove(&name("bo")).unwrap();
    let missing = place.accounts.set_roles(&name("bo"), &viewer).unwrap_err();
    assert_eq!(missing.to_string(), "there is no account `bo`");
    assert!(matches!(place.accounts.remove(&name("bo")), Err(AccountError::Missing(_))));
    assert_eq!(place.accounts.list(at(1)).len(), 1);
}

#[test]
fn a_file_with_something_else_in_it_is_not_read() {
    let place = Place::new();
    let good = std::fs::read_to_string(place.path()).unwrap();
    for (from, to) in
        [("approver", "god"), ("\"ana\"", "\"uid:0\""), ("$10$", "$0$"), ("disabled", "enabled"), ("}", "")]
    {
        nanoclaw_vault::private::replace(&place.path(), good.replacen(from, to, 1).as_bytes()).unwrap();
        let read = Accounts::with_iterations(&place.path(), FEW);
        assert!(matches!(read, Err(StoreError::Content { .. })), "{from}");
    }
}

#[test]
fn shipped_hashes_take_at_least_600_000_iterations() {
    assert!(ITERATIONS.get() >= 600_000);
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::open(&folder.path().join("a.json")).unwrap();
    assert_eq!((accounts.iterations, accounts.nobody.iterations()), (ITERATIONS, ITERATIONS));
}

#[test]
fn the_longest_wait_is_a_quarter_of_an_hour() {
    let place = Place::new();
    let mut seconds = 0;
    for _ in 0..30 {
        if let Some(until) = place.locked("ana", WRONG, 1, seconds) {
            assert!(until - seconds <= SignedDuration::from_mins(15).as_secs());
            seconds = until;
        }
    }
    assert!(seconds > 3 * 900);
}
