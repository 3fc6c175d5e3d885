//! What an identified caller may do. One function decides, for every door and for the launcher.
//!
//! The decision is Cedar's: the configuration's rules are policies ([`compile`]), those of [`BASE`] hold always, and files
//! with further ones may be added ([`Written`]). What no policy permits is refused, and a policy that forbids wins; one that forbids with `@ask`
//! leaves the decision to people ([`Asked`]). All of it together is a [`Generation`], and [`Policies`] has the one in force.
#![forbid(unsafe_code)]

mod address;
mod ask;
mod asked;
mod case;
mod compare;
mod compile;
mod depth;
mod engine;
mod explain;
mod generation;
mod hosts;
mod language;
mod made;
mod readings;
mod remembered;
mod rule_sets;
mod session;
mod slice;
mod tools;
mod written;

pub use address::{AddressClass, classify};
pub use asked::Asked;
pub use case::{Case, CaseError, words};
pub use compare::{Answered, Became, ChangedPolicy, Comparison, Side, Turned, compare, line};
pub use compile::{Compiled, compile};
pub use depth::too_deep;
pub use engine::{Asking, Engine, Inspection, Permit, Verdict, Would};
pub use generation::{CellRules, Generation, Policies};
pub use language::{BASE, SCHEMA, base_texts};
pub use rule_sets::texts as rule_set_texts;
pub use session::{NOTHING_READ, Requested, Session};
pub use slice::AGENT_ACTIONS;
pub use tools::{ToolFacts, same_argument};
pub use written::{Written, WrittenError};

use nanoclaw_request::{Refusal, RefusalCode, Stage};

fn refuse(code: RefusalCode, reason: String, help: String) -> Refusal {
    Refusal { stage: Stage::Authorise, code, reason, help }
}

#[cfg(test)]
mod tests;
