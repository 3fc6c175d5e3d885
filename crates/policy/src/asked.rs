//! What policy leaves to people.

use nanoclaw_config::Label;
use nanoclaw_identity::Proposal;
use nanoclaw_request::{Refusal, RefusalCode};

use crate::engine::Verdict;
use crate::refuse;

/// A proposal that is permitted if people agree. Only [`Engine::judge`](crate::Engine::judge) makes one; it cannot be
/// copied, so one agreement is good for one act.
#[derive(Debug)]
pub struct Asked {
    pub(crate) proposal: Proposal,
    /// The policies that ask.
    pub(crate) policies: Vec<String>,
    /// Why they do.
    pub(crate) why: String,
    /// What the session had read.
    pub(crate) held: Label,
}

impl Asked {
    /// What is proposed, by whom.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The ids of the policies that ask.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// Why they do, for people.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What the session had read when they asked.
    pub fn held(&self) -> Label {
        self.held
    }

    /// Nobody agrees: `how` says in what way.
    pub fn refuse(self, how: &str) -> Verdict {
        let reason = format!("{}; {how}", self.why);
        self.decline(refuse(RefusalCode::NotApproved, reason, String::new()))
    }

    /// Nobody agrees, for this reason.
    pub fn decline(self, refusal: Refusal) -> Verdict {
        Verdict::Refused(self.proposal.decline(refusal).forbidden_by(self.policies))
    }
}
