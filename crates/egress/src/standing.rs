//! Whether what was allowed may go on. Policies change, and the cell reads more, while a connection is open; no allow outlives
//! what it was decided by. So after each change the same is asked once more, and no byte moves before it is answered.
//!
//! A person's agreement holds through changes of policies that still leave it to people, but not when the session holds
//! more than it did when they were asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    allowed: Vec<Allowed>,
    lost: Option<Refusal>,
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
        Self { engine, state: Mutex::new(State { policies, labels, allowed: Vec::new(), lost: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the session holds. To be remembered before a decision, for [`Standing::allow`].
    pub(crate) fn held(&self) -> Label {
        self.engine.session().label()
    }

    /// This was allowed, and what follows rests on it.
    pub(crate) fn allow(&self, held: Label, permit: &Permit) {
        let (action, policies) = (permit.proposal().action().clone(), permit.rules().to_vec());
        self.state().allowed.push(Allowed { action, held, policies });
    }

    /// What was allowed last is over.
    pub(crate) fn over(&self) {
        self.state().allowed.pop();
    }

    /// Whether all of it still stands. The error says why it does not, and stays.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let mut state = self.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        // Both senders live as long as the engine.
        let changed = [state.policies.has_changed(), state.labels.has_changed()].map(|changed| changed.unwrap_or(true));
        let [new_policies, new_labels] = changed;
        if !new_policies && !new_labels {
            return Ok(());
        }
        // Seen first: what changes while this is asked is asked about again.
        let number = state.policies.borrow_and_update().number();
        let label = *state.labels.borrow_and_update();
        let Some((held, what)) =
            state.allowed.iter().find_map(|allowed| Some((allowed.held, self.objection(allowed)?)))
        else {
            return Ok(());
        };
        let since = match (new_policies, held.join(label) == label) {
            (true, _) => format!("policy generation {number}"),
            (false, true) => format!("the session's labels rose to {}, {}", label.trust, label.data),
            (false, false) => "the session's labels were reset".to_owned(),
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
            }
        }
    }

    /// What speaks against it now.
    fn objection(&self, allowed: &Allowed) -> Option<Objection> {
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
        match self.engine.would(&allowed.action) {
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

/// Why something does not stand, and what can be done about it.
struct Objection {
    reason: String,
    help: String,
}
