//! What a cell has read and been told, over all its runs: its disk remembers, so forgetting is for a person.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use nanoclaw_config::{DataClass, Label, Trust};
use tokio::sync::watch;
use tokio::time::Instant;

/// Most bytes of a trusted user's words that are remembered of one cell. What is forgotten vouches for nothing.
const MOST_WORDS_BYTES: usize = 256 * 1024;

/// Most bytes of them that a policy is told.
const MOST_SAID_BYTES: usize = 64 * 1024;

/// How long whoever asked an agent for something counts as having asked for what it does, when that is over: what they
/// have set going can go on without them.
const REQUESTED: Duration = Duration::from_secs(10 * 60);

/// The labels that a session begins with: it has read nothing.
pub const NOTHING_READ: Label = Label::new(Trust::Trusted, DataClass::Public);

/// The session of one cell. What it has read only adds up.
#[derive(Debug)]
pub struct Session {
    label: watch::Sender<Label>,
    state: Mutex<State>,
    purse: OnceLock<Purse>,
}

/// Who knows what is left of the cell's budgets.
struct Purse(Box<dyn Fn() -> u8 + Send + Sync>);

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Purse")
    }
}

#[derive(Debug, Default)]
struct State {
    words: VecDeque<Arc<str>>,
    bytes: usize,
    requesters: BTreeMap<String, Requester>,
}

/// Somebody who asks for what the agent does.
#[derive(Debug, Default)]
struct Requester {
    /// How many turns and programs of theirs are under way.
    under_way: usize,
    /// Until when they count without any.
    until: Option<Instant>,
}

impl Requester {
    fn counts(&self, now: Instant) -> bool {
        self.under_way > 0 || self.until.is_some_and(|until| now < until)
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::resumed(NOTHING_READ)
    }
}

impl Session {
    /// One that has read so much in earlier runs.
    pub fn resumed(label: Label) -> Self {
        Self { label: watch::Sender::new(label), state: Mutex::default(), purse: OnceLock::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has read, all together.
    pub fn label(&self) -> Label {
        *self.label.borrow()
    }

    /// Sees each change of it from now on.
    pub fn watch(&self) -> watch::Receiver<Label> {
        self.label.subscribe()
    }

    /// It has read something more. Gives the new labels where that changes them.
    pub fn read(&self, label: Label) -> Option<Label> {
        let mut risen = None;
        self.label.send_if_modified(|held| {
            let joined = held.join(label);
            risen = (joined != *held).then_some(joined);
            *held = joined;
            risen.is_some()
        });
        risen
    }

    /// Forgets all of it. A person decides that.
    pub fn reset(&self) {
        let mut state = self.state();
        state.words.clear();
        state.bytes = 0;
        self.label.send_replace(NOTHING_READ);
    }

    /// A user who is trusted says this. The oldest words go first; what is said again, as by a schedule, is kept once.
    pub fn told(&self, words: &str) {
        let mut state = self.state();
        let kept = words.get(..words.floor_char_boundary(MOST_WORDS_BYTES)).unwrap_or_default();
        if let Some(again) = state.words.iter().position(|words| **words == *kept) {
            let words = state.words.remove(again);
            state.words.extend(words);
            return;
        }
        state.bytes += kept.len();
        state.words.push_back(kept.into());
        while state.bytes > MOST_WORDS_BYTES {
            let gone = state.words.pop_front().map_or(0, |words| words.len());
            state.bytes -= gone;
        }
    }

    /// What trusted users said, as far as it is remembered.
    pub fn words(&self) -> Vec<Arc<str>> {
        self.state().words.iter().cloned().collect()
    }

    /// The newest of it, in lower case, for policies.
    pub(crate) fn said(&self) -> String {
        let words = self.words();
        let mut said = String::new();
        for words in words.iter().rev() {
            let words = words.to_lowercase();
            if said.len() + words.len() > MOST_SAID_BYTES {
                break;
            }
            said = if said.is_empty() { words } else { format!("{words}\n{said}") };
        }
        said
    }

    /// Says who knows how much is left of the budgets that the cell spends from, in percent of the scarcest. Only the first
    /// who says so is asked.
    pub fn spends(&self, left: impl Fn() -> u8 + Send + Sync + 'static) {
        self.purse.get_or_init(|| Purse(Box::new(left)));
    }

    /// How much is left, in percent of the scarcest; all of it where there is no budget.
    pub(crate) fn budget_left(&self) -> u8 {
        self.purse.get().map_or(100, |Purse(left)| left())
    }

    /// `who` has a turn or a program under way until what this gives is dropped.
    pub fn requested(self: &Arc<Self>, who: &str) -> Requested {
        self.state().requesters.entry(who.to_owned()).or_default().under_way += 1;
        Requested { session: Arc::clone(self), who: who.to_owned() }
    }

    /// Who asked for what the agent does: who has turns or programs under way, or had some a short while ago.
    pub fn requesters(&self) -> Vec<String> {
        let (mut state, now) = (self.state(), Instant::now());
        state.requesters.retain(|_, requester| requester.counts(now));
        state.requesters.keys().cloned().collect()
    }
}

/// A turn or program that somebody asked for, while it lasts.
#[derive(Debug)]
pub struct Requested {
    session: Arc<Session>,
    who: String,
}

impl Drop for Requested {
    fn drop(&mut self) {
        if let Some(requester) = self.session.state().requesters.get_mut(&self.who) {
            requester.under_way -= 1;
            requester.until = Some(Instant::now() + REQUESTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_pushes_nothing_out() {
        let session = Session::default();
        session.told("mail bob@x.com");
        for _ in 0..10 {
            session.told(&"look for new orders ".repeat(1000));
            session.told("");
        }
        assert_eq!(session.words().len(), 3);
        assert_eq!(&*session.words()[0], "mail bob@x.com");
        session.told("mail bob@x.com");
        assert_eq!(&*session.words()[2], "mail bob@x.com", "the newest go last");
    }

    #[test]
    fn words_are_forgotten_before_they_fill_the_memory() {
        let session = Session::default();
        for number in 0..100 {
            session.told(&format!("{number}{}", "ä".repeat(10_000)));
        }
        let words = session.words();
        assert!(words.iter().map(|words| words.len()).sum::<usize>() <= MOST_WORDS_BYTES);
        assert!(words.last().unwrap().starts_with("99"));
        session.told(&"ä".repeat(MOST_WORDS_BYTES));
        assert_eq!(session.words().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_turns_under_way_is_known_and_for_a_while_after() {
        let session = Arc::new(Session::default());
        let (one, two) = (session.requested("alice"), session.requested("alice"));
        drop(one);
        tokio::time::advance(2 * REQUESTED).await;
        assert_eq!(session.requesters(), ["alice"]);
        drop(two);
        tokio::time::advance(REQUESTED - Duration::from_secs(1)).await;
        assert_eq!(session.requesters(), ["alice"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(session.requesters().is_empty());
    }
}
