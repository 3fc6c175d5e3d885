//! Budgets: what an agent, its group and the whole fleet may use together, reserved before a call and settled after it.
//!
//! A call is charged to every account that it concerns or to none. What it could use at most is reserved first, so that
//! calls at the same time cannot exceed a limit together; when it is known what it used, the difference is given back.
//! Every change is in the journal before the call is sent, so restarts lose nothing.

mod journal;
mod period;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use nanoclaw_config::{Budget, Group, NanoUsd};
use nanoclaw_request::CellId;

pub use journal::JournalError;

use journal::{Change, Journal};
use period::{Count, Period, Periods};

/// How far the journal may be ahead of the clock. What is dated later was written under a clock that was wrong, or the
/// clock is wrong now: nobody knows when it was, so it counts as used now. Otherwise the periods of a day that is far
/// away would never end.
const MOST_AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// The accounts of a fleet. Clones are the same accounts.
#[derive(Clone)]
pub struct Budgets {
    book: Arc<Mutex<Book>>,
    notice: Option<Arc<str>>,
}

struct Book {
    accounts: Vec<Account>,
    of_cell: HashMap<CellId, Vec<usize>>,
    journal: Journal,
    /// The latest moment that was ever seen. A clock that is put back stands still here, so that it gives nothing back.
    latest: Timestamp,
}

struct Account {
    /// How the journal names it: `fleet`, `group/NAME`, `agent/ID`.
    key: String,
    /// How people are told of it.
    owner: String,
    limits: Budget,
    used: Periods,
    running: u64,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Requests,
    Tokens,
    Money,
}

impl What {
    fn of(self, count: Count) -> u64 {
        match self {
            What::Requests => count.requests(),
            What::Tokens => count.tokens(),
            What::Money => count.money(),
        }
    }

    fn shown(self, n: u64) -> String {
        match self {
            What::Requests | What::Tokens => n.to_string(),
            What::Money => format!("{} USD", NanoUsd(n)),
        }
    }
}

/// A limit on what a period may use, and the period that is running.
struct Bound {
    key: &'static str,
    most: u64,
    period: Period,
    what: What,
}

/// Most that a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of the request and of the longest answer.
    pub tokens: u64,
    /// What they cost; `None` where there is no price.
    pub cost: Option<NanoUsd>,
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// A limit would be exceeded.
    #[error("{limit} of {owner} is used up: {used} of {most} are used or reserved, and this call needs {needs}")]
    Limit {
        /// The key of the limit, such as `tokens_per_day`.
        limit: &'static str,
        /// Whose limit.
        owner: String,
        /// What is used or reserved already.
        used: String,
        /// The limit.
        most: String,
        /// What this call needs.
        needs: String,
        /// When there is some again; `None` when another call ends.
        returns: Option<Timestamp>,
    },
    /// There is a limit on money, and no price.
    #[error("{owner} has a limit on money, and there is no price for {model}")]
    NoPrice {
        /// Whose limit.
        owner: String,
        /// The model.
        model: String,
    },
    /// It cannot be written down.
    #[error("what is used cannot be written down: {0}")]
    Journal(String),
}

/// What is reserved for one call. Dropping it gives everything back if the call was never made, and nothing if it was:
/// nobody knows then what it used.
pub struct Reservation {
    book: Arc<Mutex<Book>>,
    accounts: Vec<usize>,
    at: Timestamp,
    reserved: Count,
    sent: bool,
    settled: bool,
}

impl Budgets {
    /// Opens the accounts of the fleet, of its groups, and of its agents (with the group of each), with what the journal
    /// says was used.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn open(
        journal: PathBuf,
        fleet: Budget,
        groups: &[Group],
        agents: &[(CellId, Budget, Option<String>)],
    ) -> Result<Self, JournalError> {
        let mut changes = Vec::new();
        let path = journal.clone();
        let journal = Journal::open(journal, |change| changes.push(change))?;
        let notice = bring_back(&mut changes, Timestamp::now())
            .map(|notice| format!("`{}`, where the use of budgets is kept, {notice}", path.display()).into());
        let now = changes.iter().map(|change| change.at).fold(Timestamp::now(), Timestamp::max);
        let account =
            |key: String, owner: String, limits| Account { key, owner, limits, used: Periods::new(now), running: 0 };
        let mut accounts = vec![account("fleet".to_owned(), "the fleet".to_owned(), fleet)];
        let mut of_cell = HashMap::new();
        for group in groups {
            accounts.push(account(format!("group/{}", group.name), format!("group `{}`", group.name), group.budget));
        }
        for (id, budget, group) in agents {
            let own = accounts.len();
            accounts.push(account(format!("agent/{id}"), format!("agent `{id}`"), *budget));
            let shared = group.as_ref().and_then(|name| groups.iter().position(|group| group.name == *name));
            of_cell.insert(
                id.clone(),
                [Some(own), shared.map(|index| index + 1), Some(0)].into_iter().flatten().collect(),
            );
        }
        for Change { account: key, at, count } in changes {
            // Accounts that the configuration no longer has are forgotten with the next compaction.
            if let Some(account) = accounts.iter_mut().find(|account| account.key == key) {
                account.used.change(at, count);
            }
        }
        let mut book = Book { accounts, of_cell, journal, latest: now };
        book.compact()?;
        Ok(Self { book: Arc::new(Mutex::new(book)), notice })
    }

    /// What whoever runs the fleet should know of the journal.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Longest answer in tokens that the budgets of `cell` allow.
    pub fn max_output(&self, cell: &CellId) -> Option<u64> {
        let book = self.book();
        book.concerned(cell).into_iter().filter_map(|index| book.accounts.get(index)?.limits.max_output_tokens).min()
    }

    /// Whether some budget of `cell` bounds its tokens or its money.
    pub fn is_bounded(&self, cell: &CellId) -> bool {
        let book = self.book();
        let accounts = book.concerned(cell).into_iter().filter_map(|index| book.accounts.get(index));
        accounts.flat_map(Account::bounds).any(|bound| bound.what != What::Requests)
    }

    /// What is left of the budgets of `cell`, in percent of the scarcest of their limits on tokens and money, rounded down;
    /// what is reserved is used.
    pub fn left(&self, cell: &CellId) -> u8 {
        self.left_at(cell, Timestamp::now())
    }

    fn left_at(&self, cell: &CellId, now: Timestamp) -> u8 {
        let mut book = self.book();
        let (now, concerned) = (now.max(book.latest), book.concerned(cell));
        let left = book.accounts_mut(&concerned).map(|account| {
            account.used.advance(now);
            account.left()
        });
        left.min().unwrap_or(100)
    }

    /// Reserves what a call of `cell` may use at most. `model` is for the message.
    ///
    /// # Errors
    /// One of the accounts does not have it. Nothing is reserved then.
    pub fn reserve(&self, cell: &CellId, estimate: Estimate, model: &str) -> Result<Reservation, Exhausted> {
        self.reserve_at(cell, estimate, model, Timestamp::now())
    }

    fn reserve_at(
        &self,
        cell: &CellId,
        estimate: Estimate,
        model: &str,
        now: Timestamp,
    ) -> Result<Reservation, Exhausted> {
        let mut book = self.book();
        let now = now.max(book.latest);
        book.latest = now;
        let concerned = book.concerned(cell);
        let count = Count::call(estimate.tokens, estimate.cost.unwrap_or_default().0);
        for account in book.accounts_mut(&concerned) {
            account.used.advance(now);
            account.check(count, estimate.cost.is_some(), model)?;
        }
        for account in book.accounts_mut(&concerned) {
            account.used.change(now, count);
            account.running += 1;
        }
        let reservation = Reservation {
            book: Arc::clone(&self.book),
            accounts: concerned.clone(),
            at: now,
            reserved: count,
            sent: false,
            settled: false,
        };
        let written = book.write(&concerned, now, count);
        drop(book);
        // Given back where it cannot be written.
        written.map_err(|error| Exhausted::Journal(error.to_string()))?;
        Ok(reservation)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// The call is being made.
    pub fn send(&mut self) {
        self.sent = true;
    }

    /// Charges what the call used in the place of what was reserved for it.
    pub fn settle(mut self, tokens: u64, cost: NanoUsd) {
        self.close(Count::call(tokens, cost.0));
    }

    fn close(&mut self, used: Count) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let difference = used.less(self.reserved);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for account in book.accounts_mut(&self.accounts) {
            account.used.change(self.at, difference);
            account.running = account.running.saturating_sub(1);
        }
        // What cannot be written stays reserved after a restart, which is the safe side.
        let _unwritten = book.write(&self.accounts, self.at, difference).is_err();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(if self.sent { self.reserved } else { Count::default() });
    }
}

impl Book {
    fn concerned(&self, cell: &CellId) -> Vec<usize> {
        // An agent without an account of its own still counts for the fleet.
        self.of_cell.get(cell).cloned().unwrap_or_else(|| vec![0])
    }

    fn accounts_mut<'a>(&'a mut self, concerned: &'a [usize]) -> impl Iterator<Item = &'a mut Account> {
        self.accounts.iter_mut().enumerate().filter(|(index, _)| concerned.contains(index)).map(|(_, account)| account)
    }

    fn write(&mut self, concerned: &[usize], at: Timestamp, count: Count) -> Result<(), JournalError> {
        let keys: Vec<String> =
            concerned.iter().filter_map(|index| Some(self.accounts.get(*index)?.key.clone())).collect();
        self.journal.append(keys.into_iter().map(|account| Change { account, at, count }))?;
        if self.journal.is_long() { self.compact() } else { Ok(()) }
    }

    fn compact(&mut self) -> Result<(), JournalError> {
        let mut totals = Vec::new();
        for account in &mut self.accounts {
            account.used.advance(self.latest);
            let changes = account.used.totals().into_iter().filter(|(_, count)| *count != Count::default());
            totals.extend(changes.map(|(at, count)| Change { account: account.key.clone(), at, count }));
        }
        self.journal.replace(totals)
    }
}

/// Dates changes `now` that are dated too far ahead; says so, where there are any.
fn bring_back(changes: &mut [Change], now: Timestamp) -> Option<String> {
    let ahead: Vec<&mut Change> =
        changes.iter_mut().filter(|change| change.at.duration_since(now) > MOST_AHEAD).collect();
    let latest = ahead.iter().map(|change| change.at).max()?;
    ahead.into_iter().for_each(|change| change.at = now);
    Some(format!(
        "goes up to {latest:.0}, and the clock says {now:.0}: what is dated ahead counts as used now, until the minute, hour, day and month end; set the clock right, and to begin with nothing used, end NanoClaw and move the file away"
    ))
}

impl Account {
    /// The limits that there are on what a period may use.
    fn bounds(&self) -> impl Iterator<Item = Bound> + use<> {
        let (limits, used) = (self.limits, self.used);
        let usd = |limit: Option<NanoUsd>| limit.map(|limit| limit.0);
        let (minute, hour, day, month) = (used.minute(), used.hour(), used.day(), used.month());
        let bounds = [
            ("requests_per_minute", limits.requests_per_minute, minute, What::Requests),
            ("tokens_per_minute", limits.tokens_per_minute, minute, What::Tokens),
            ("tokens_per_hour", limits.tokens_per_hour, hour, What::Tokens),
            ("tokens_per_day", limits.tokens_per_day, day, What::Tokens),
            ("tokens_per_month", limits.tokens_per_month, month, What::Tokens),
            ("usd_per_hour", usd(limits.usd_per_hour), hour, What::Money),
            ("usd_per_day", usd(limits.usd_per_day), day, What::Money),
            ("usd_per_month", usd(limits.usd_per_month), month, What::Money),
        ];
        let bound = |(key, most, period, what)| Some(Bound { key, most: most?, period, what });
        bounds.into_iter().filter_map(bound)
    }

    /// In percent of the scarcest limit on tokens and money.
    fn left(&self) -> u8 {
        let percent = |most: u64, used: u64| u128::from(most.saturating_sub(used)) * 100 / u128::from(most.max(1));
        let bounds = self.bounds().filter(|bound| bound.what != What::Requests);
        let left = bounds.map(|bound| percent(bound.most, bound.what.of(bound.period.count)));
        left.min().and_then(|left| u8::try_from(left).ok()).unwrap_or(100)
    }

    fn check(&self, needs: Count, priced: bool, model: &str) -> Result<(), Exhausted> {
        if !priced && self.bounds().any(|bound| bound.what == What::Money) {
            return Err(Exhausted::NoPrice { owner: self.owner.clone(), model: model.to_owned() });
        }
        // What needs no tokens asks no model, and is none of the calls at the same time.
        if let Some(most) = self.limits.concurrent_calls
            && needs.tokens() > 0
            && self.running >= most
        {
            return Err(self.exhausted("concurrent_calls", self.running, most, 1, None, |n| n.to_string()));
        }
        for Bound { key, most, period, what } in self.bounds() {
            let (used, needs) = (what.of(period.count), what.of(needs));
            if needs > 0 && used.saturating_add(needs) > most {
                return Err(self.exhausted(key, used, most, needs, Some(period.end), |n| what.shown(n)));
            }
        }
        Ok(())
    }

    fn exhausted(
        &self,
        limit: &'static str,
        used: u64,
        most: u64,
        needs: u64,
        returns: Option<Timestamp>,
        shown: impl Fn(u64) -> String,
    ) -> Exhausted {
        Exhausted::Limit {
            limit,
            owner: self.owner.clone(),
            used: shown(used),
            most: shown(most),
            needs: shown(needs),
            returns,
        }
    }
}

#[cfg(test)]
mod tests;
