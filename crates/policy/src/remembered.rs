//! Answers that were given before. A program opens the same file and asks the same host again and again, and Cedar always
//! says the same about the same; so what it said is remembered, for one generation and as long as the session has read
//! nothing more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nanoclaw_config::Label;
use nanoclaw_request::Action;

/// Most answers that are remembered for one cell.
const CAPACITY: usize = 512;
/// Longest text in bytes in an action that is remembered.
const LONGEST: usize = 512;

/// What was answered to one cell.
#[derive(Debug)]
pub(crate) struct Remembered<T>(Mutex<HashMap<Action, (Label, T)>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Remembered<T> {
    fn all(&self) -> MutexGuard<'_, HashMap<Action, (Label, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was answered to this action when the session had read the same; otherwise what `ask` says.
    pub(crate) fn or_ask(&self, label: Label, action: &Action, ask: impl FnOnce() -> T) -> T {
        if !comes_again(action) {
            return ask();
        }
        if let Some((then, answer)) = self.all().get(action)
            && *then == label
        {
            return answer.clone();
        }
        let answer = ask();
        let mut all = self.all();
        if all.len() >= CAPACITY {
            all.clear();
        }
        all.insert(action.clone(), (label, answer.clone()));
        answer
    }
}

/// Whether an action is of a kind that comes again, word for word, and not too long to keep.
fn comes_again(action: &Action) -> bool {
    match action {
        Action::Resolve(_) => true,
        Action::Connect(connect) => connect.addresses.len() <= 16,
        Action::Http(http) => {
            http.method.len() + http.path.len() + http.query.as_ref().map_or(0, String::len) <= LONGEST
        }
        Action::FileWrite(write) => write.path.len() <= LONGEST,
        Action::Exec(exec) => {
            exec.path.len() + exec.command.iter().map(|word| word.len() + 8).sum::<usize>() <= LONGEST
        }
        Action::Syscall(call) => call.detail.len() <= LONGEST,
        Action::Datagram(_)
        | Action::CallModel(_)
        | Action::ToolCall(_)
        | Action::Launch(_)
        | Action::Manage(_)
        | Action::Approve(_)
        | Action::AuditRead(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use nanoclaw_config::{DataClass, Trust};
    use nanoclaw_request::FileWrite;

    use super::*;

    fn write(path: String) -> Action {
        Action::FileWrite(FileWrite { operation: "open", path, obstacle: None })
    }

    #[test]
    fn an_answer_is_good_for_the_same_question_and_labels() {
        let (remembered, mut asked) = (Remembered::default(), 0);
        let public = Label::new(Trust::Trusted, DataClass::Public);
        let tainted = Label { trust: Trust::Untrusted, ..public };
        for (label, path, expected) in
            [(public, "/a", 1), (public, "/a", 1), (public, "/b", 2), (tainted, "/a", 3), (public, "/a", 4)]
        {
            remembered.or_ask(label, &write(path.to_owned()), || asked += 1);
            assert_eq!(asked, expected, "{path} {label:?}");
        }
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let remembered = Remembered::default();
        let public = Label::new(Trust::Trusted, DataClass::Public);
        for number in 0..3 * CAPACITY {
            remembered.or_ask(public, &write(number.to_string()), || ());
            remembered.or_ask(public, &write("x".repeat(LONGEST + 1)), || ());
        }
        let all = remembered.all();
        assert!(all.len() <= CAPACITY);
        assert!(!all.contains_key(&write("x".repeat(LONGEST + 1))));
    }
}
