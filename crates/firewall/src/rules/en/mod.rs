//! English, by family.

mod agents;
mod authority;
mod exfiltration;
mod extraction;
mod jailbreak;
mod overriding;
mod personae;
mod secrecy;
mod tokens;

use super::Rule;

/// All families.
pub(super) const FAMILIES: &[&[Rule]] = &[
    overriding::RULES,
    authority::RULES,
    tokens::RULES,
    extraction::RULES,
    exfiltration::RULES,
    secrecy::RULES,
    personae::RULES,
    jailbreak::RULES,
    agents::RULES,
];
