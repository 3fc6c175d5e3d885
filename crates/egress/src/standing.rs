//! Whether what was allowed may go on. Policies change, the cell reads more, and time passes, while a connection is open; no
//! allow outlives what it was decided by. So after each change the same is asked once more, and where policies look at the time
//! at each minute, and no byte moves before it is answered.
//!
//! A person's agreement holds through changes of policies that still leave it to people, but not when the session holds
//! more than it did when they were asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_config::Label;
use nanoclaw_policy::{Engine, Generation, Permit, Would};
use nanoclaw_request::{Action, Refusal, RefusalCode, Stage};
use tokio::sync::watch;

/// One connection's, and that of the request on it.
#[derive(Debug)]
pub(crate) struct Standing {
    engine: Arc<Engine>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policies: watch::Receiver<Arc<Generation>>,
    labels: watch::Receiver<Label>,
    /// The minute in which it was asked last.
    minute: i64,
    allowed: Vec<Allowed>,
    lost: Option<Refusal>,
}

/// What a decision is about to be made by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    generation: u64,
    held: Label,
}

#[derive(Debug)]
struct Allowed {
    action: Action,
    /// What the session held when it was asked about.
    held: Label,
    /// The policies that permitted it, and those that asked people where people agreed.
    policies: Vec<String>,
}

impl Standing {
    /// Sees every change from now on. To be made before anything is decided.
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let (policies, labels) = (engine.policies().subscribe(), engine.session().watch());
        let (minute, allowed) = (minute_of(Timestamp::now()), Vec::new());
        Self { engine, state: Mutex::new(State { policies, labels, minute, allowed, lost: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be taken before a decision, for [`Standing::allow`].
    pub(crate) fn before(&self) -> Before {
        Before { generation: self.engine.policies().current().number(), held: self.engine.session().label() }
    }

    /// This was allowed, and what follows rests on it.
    pub(crate) fn allow(&self, before: Before, permit: &Permit) {
        let (action, policies) = (permit.proposal().action().clone(), permit.rules().to_vec());
        let now = self.before();
        let mut state = self.state();
        state.allowed.push(Allowed { action, held: before.held, policies });
        // What changed while it was decided may have been seen already, for what was allowed earlier.
        if now.generation != before.generation {
            state.policies.mark_changed();
        }
        if now.held != before.held {
            state.labels.mark_changed();
        }
    }

    /// What was allowed last is over.
    pub(crate) fn over(&self) {
        self.state().allowed.pop();
    }

    /// Whether all of it still stands. The error says why it does not, and stays.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        self.check_at(Timestamp::now())
    }

    fn check_at(&self, now: Timestamp) -> Result<(), Refusal> {
        let mut state = self.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        // Both senders live as long as the engine.
        let changed = [state.policies.has_changed(), state.labels.has_changed()].map(|changed| changed.unwrap_or(true));
        let [new_policies, new_labels] = changed;
        let minute = std::mem::replace(&mut state.minute, minute_of(now));
        let new_minute = state.minute != minute && self.engine.looks_at_time();
        if !new_policies && !new_labels && !new_minute {
            return Ok(());
        }
        // Seen first: what changes while this is asked is asked about again.
        let number = state.policies.borrow_and_update().number();
        let label = *state.labels.borrow_and_update();
        let Some((held, what)) =
            state.allowed.iter().find_map(|allowed| Some((allowed.held, self.objection(allowed, now)?)))
        else {
            return Ok(());
        };
        let since = if new_policies {
            format!("policy generation {number}")
        } else if !new_labels {
            format!("{} UTC", now.strftime("%H:%M"))
        } else if held.join(label) == label {
            format!("the session's labels rose to {}, {}", label.trust, label.data)
        } else {
            "the session's labels were reset".to_owned()
        };
        let lost = Refusal {
            stage: Stage::Authorise,
            code: RefusalCode::NoLongerAllowed,
            reason: format!("no longer allowed since {since}: {}", what.reason),
            help: what.help,
        };
        state.lost = Some(lost.clone());
        Err(lost)
    }

    /// Ends when it does not stand any more.
    pub(crate) async fn lost(&self) -> Refusal {
        loop {
            if let Err(lost) = self.check() {
                return lost;
            }
            let (mut policies, mut labels) = {
                let state = self.state();
                (state.policies.clone(), state.labels.clone())
            };
            tokio::select! {
                _ = policies.changed() => {}
                _ = labels.changed() => {}
                () = tokio::time::sleep(left_of_minute(Timestamp::now())), if self.engine.looks_at_time() => {}
            }
        }
    }

    /// What speaks against it now.
    fn objection(&self, allowed: &Allowed, now: Timestamp) -> Option<Objection> {
        let session = self.engine.session().label();
        let gives = match &allowed.action {
            Action::Connect(connect) => self.engine.label_of_connection(connect),
            _ => allowed.held,
        };
        // The label of the host has changed, or the session was made to forget.
        if session.join(gives) != session {
            let reason =
                format!("what comes is {}, {}, and the session is not known to hold that", gives.trust, gives.data);
            return Some(Objection { reason, help: "connect again".to_owned() });
        }
        match self.engine.would_at(&allowed.action, now) {
            Ok(Would { asking: None, .. }) => None,
            Ok(Would { asking: Some(asking), .. }) => {
                let agreed = asking.policies.iter().all(|id| allowed.policies.contains(id));
                let known = allowed.held.join(gives);
                let reason = format!("{}, and nobody has agreed to that", asking.why);
                let help = "connect again, and a person is asked".to_owned();
                (!agreed || known.join(session) != known).then_some(Objection { reason, help })
            }
            Err(refusal) => Some(Objection { reason: refusal.reason, help: refusal.help }),
        }
    }
}

/// Minutes from 1970 on: policies see no shorter time.
fn minute_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}

/// From `now` to the next minute.
fn left_of_minute(now: Timestamp) -> Duration {
    Duration::from_secs(60 - now.as_second().rem_euclid(60).unsigned_abs())
}

/// Why something does not stand, and what can be done about it.
struct Objection {
    reason: String,
    help: String,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nanoclaw_config::{DataClass, Trust};
    use nanoclaw_identity::CellSockets;
    use nanoclaw_policy::{CellRules, Policies, Verdict, Written};
    use nanoclaw_request::{Arrived, CellId, Destination, Door, HttpRequest, SessionId};

    use super::*;

    fn generation(policies: &str) -> Generation {
        let permit = "permit(principal, action == Action::\"http_request\", resource);";
        let written = Written::read([(Path::new("p.cedar"), format!("{permit}\n{policies}").as_str())]).unwrap();
        let cell = CellId::parse("a").unwrap();
        Generation::new(Arc::new(written), Default::default(), Vec::new()).with_cell(cell, CellRules::default())
    }

    /// A request that this engine allows.
    fn allowed(engine: &Engine) -> Permit {
        let host = Destination::parse_authority("api.bank.com:80", None).unwrap();
        let request =
            HttpRequest { connection: host.clone(), host, method: "GET".into(), path: "/".into(), query: None };
        let sockets = CellSockets::of(CellId::parse("a").unwrap(), SessionId::from_random([7; 16]));
        let proposed =
            sockets.identify(Arrived::now(Door::Egress, request)).propose(|request| Ok(Action::Http(request)));
        match engine.judge(proposed) {
            Ok(Verdict::Allowed(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn standing_under(policies: &str) -> (Arc<Engine>, Standing) {
        let engine = Engine::of(Policies::new(generation(policies)), CellId::parse("a").unwrap(), Arc::default());
        let engine = Arc::new(engine);
        (Arc::clone(&engine), Standing::new(engine))
    }

    const NO: &str = "@id(\"no\") forbid(principal, action == Action::\"http_request\", resource)";

    #[test]
    fn what_changed_while_it_was_decided_is_asked_about() {
        let (engine, standing) = standing_under("");
        let before = standing.before();
        let permit = allowed(&engine);
        engine.policies().replace(generation(&format!("{NO};")));
        standing.check().unwrap();
        standing.allow(before, &permit);
        assert!(standing.check().is_err());

        let (engine, standing) = standing_under(&format!("{NO} when {{ context.session.data >= 3 }};"));
        let before = standing.before();
        let permit = allowed(&engine);
        engine.session().read(Label::new(Trust::Trusted, DataClass::Secret));
        standing.check().unwrap();
        standing.allow(before, &permit);
        assert!(standing.check().is_err());
    }

    #[test]
    fn what_is_open_ends_when_the_time_comes_for_which_it_is_not_allowed() {
        let now = Timestamp::now();
        let later = now + Duration::from_secs(30 * 60);
        let minute = later.to_zoned(jiff::tz::TimeZone::UTC).minute();
        let (engine, standing) = standing_under(&format!("{NO} when {{ context.now.minute == {minute} }};"));
        standing.allow(standing.before(), &allowed(&engine));
        standing.check_at(now + Duration::from_secs(60)).unwrap();
        let lost = standing.check_at(later).unwrap_err();
        let since = format!("no longer allowed since {} UTC: ", later.strftime("%H:%M"));
        assert!(lost.reason.starts_with(&since), "{lost:?}");
    }
}
