//! Chinese, by family: in simplified characters, which folding makes of all others, with the words of the mainland, of Taiwan
//! and of Hong Kong.

mod agents;
mod authority;
mod extraction;
mod jailbreak;
mod overriding;
mod secrecy;

use super::Rule;

/// All families.
pub(super) const FAMILIES: &[&[Rule]] =
    &[overriding::RULES, authority::RULES, extraction::RULES, secrecy::RULES, jailbreak::RULES, agents::RULES];
