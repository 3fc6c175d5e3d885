//! What people agreed to, for the next step of the same try.

use nanoclaw_config::Label;
use nanoclaw_policy::{Asked, Permit};

/// People's agreement to one step, which holds for the next one as far as the same policies ask, and the session has read
/// nothing more.
#[derive(Clone, Debug)]
pub struct Agreement {
    policies: Vec<String>,
    people: Vec<String>,
    held: Label,
}

impl Agreement {
    /// That to what this permits; `None` where nobody was asked. `held` is what the session had read before.
    pub fn of(permit: &Permit, held: Label) -> Option<Self> {
        let (policies, people) = (permit.rules().to_vec(), permit.approved().to_vec());
        (!people.is_empty()).then_some(Self { policies, people, held })
    }

    pub(crate) fn people(&self) -> &[String] {
        &self.people
    }

    pub(crate) fn covers(&self, asked: &Asked) -> bool {
        asked.held() == self.held && asked.policies().iter().all(|id| self.policies.contains(id))
    }
}
