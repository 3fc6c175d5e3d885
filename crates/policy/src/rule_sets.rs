//! The built-in rule sets, in Cedar.

use std::sync::LazyLock;

use cedar_policy::PolicySet;
use nanoclaw_config::RuleSet;

const fn text(set: RuleSet) -> &'static str {
    match set {
        RuleSet::RuleOfTwo => include_str!("rules/rule-of-two.cedar"),
        RuleSet::TrustedAction => include_str!("rules/trusted-action.cedar"),
        RuleSet::ValueProvenance => include_str!("rules/value-provenance.cedar"),
        RuleSet::SuspiciousAsks => include_str!("rules/suspicious-asks.cedar"),
    }
}

/// The policies of a rule set, known by their `@id`. The error is a defect of this program; whoever has it refuses
/// everything.
pub(crate) fn policies(set: RuleSet) -> Result<&'static PolicySet, String> {
    static READ: LazyLock<[Result<PolicySet, String>; 4]> = LazyLock::new(|| RuleSet::ALL.map(read));
    let [rule_of_two, trusted_action, value_provenance, suspicious_asks] = &*READ;
    let read = match set {
        RuleSet::RuleOfTwo => rule_of_two,
        RuleSet::TrustedAction => trusted_action,
        RuleSet::ValueProvenance => value_provenance,
        RuleSet::SuspiciousAsks => suspicious_asks,
    };
    read.as_ref().map_err(String::clone)
}

/// The policies of a rule set, one by one.
pub fn texts(set: RuleSet) -> Vec<String> {
    policies(set).map(|set| set.policies().map(ToString::to_string).collect()).unwrap_or_default()
}

fn read(set: RuleSet) -> Result<PolicySet, String> {
    crate::language::by_id(text(set))
}
