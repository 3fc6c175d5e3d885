//! Labels: how far sources are trusted and how confidential what comes from them is, what tools do, and the rule sets
//! that decide by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use nanoclaw_firewall::Level;

use crate::{HostPattern, IpNet};

/// Whether what a source says may steer an agent. The greater wins where two are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// It comes from those whom the agent works for.
    Trusted,
    /// Anybody may have written it.
    Untrusted,
}

impl Trust {
    /// All of them, in their order.
    pub const ALL: [Self; 2] = [Self::Trusted, Self::Untrusted];

    /// Its word in the file and in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How confidential data is. The greater wins where two are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataClass {
    /// Everybody may know it.
    Public,
    /// For those inside; harmless alone.
    Internal,
    /// Harm follows where it gets out.
    Confidential,
    /// Keys, patients, and what else must never get out.
    Secret,
}

impl DataClass {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Public, Self::Internal, Self::Confidential, Self::Secret];

    /// Its word in the file and in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Confidential => "confidential",
            Self::Secret => "secret",
        }
    }
}

impl fmt::Display for DataClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a source, or of all that a session has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// How far it is trusted.
    pub trust: Trust,
    /// How confidential it is.
    pub data: DataClass,
    /// How sure the prompt firewall is that some of it is an attack. No source is labelled so: it comes of what is read.
    #[serde(default)]
    pub suspicion: Level,
}

impl Label {
    /// Of what the firewall has nothing to say about.
    pub const fn new(trust: Trust, data: DataClass) -> Self {
        Self { trust, data, suspicion: Level::Clean }
    }

    /// Of a text that says so much for an attack. Whoever wrote that is nobody to trust.
    pub const fn suspect(suspicion: Level) -> Self {
        let trust = if matches!(suspicion, Level::Clean) { Trust::Trusted } else { Trust::Untrusted };
        Self { trust, data: DataClass::Public, suspicion }
    }

    /// The label of both together: as untrusted, as confidential and as suspicious as either.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self {
            trust: self.trust.max(other.trust),
            data: self.data.max(other.data),
            suspicion: self.suspicion.max(other.suspicion),
        }
    }
}

impl fmt::Display for Label {
    /// As `policy test` takes it: `untrusted,secret`, and how suspicious it is where it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.trust, self.data)?;
        match self.suspicion {
            Level::Clean => Ok(()),
            suspicion => write!(f, ",{}", suspicion.name()),
        }
    }
}

/// What a tool does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolClass {
    /// It brings something into the session.
    Reads,
    /// It changes something that is kept.
    Writes,
    /// It takes something out, to somebody else.
    Sends,
    /// It moves money.
    Pays,
    /// It runs programs.
    Executes,
}

impl ToolClass {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Reads, Self::Writes, Self::Sends, Self::Pays, Self::Executes];

    /// Its word in the file and in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Sends => "sends",
            Self::Pays => "pays",
            Self::Executes => "executes",
        }
    }
}

impl fmt::Display for ToolClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the file says about sources. In each list the first that fits counts; what it leaves open, and what no entry
/// fits, has the label of its kind's unknown sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Tools.
    pub tools: Vec<ToolLabel>,
    /// Hosts.
    pub hosts: Vec<HostLabel>,
    /// Places in the cell.
    pub paths: Vec<PathLabel>,
    /// Those who tell an agent what to do.
    pub users: UserLabels,
}

/// What the file says about some tools. `None` is left to the built-in table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolLabel {
    /// How decisions and messages name it: `labels.tools[0]`.
    pub id: String,
    /// The tools' name; `*` stands for any characters.
    pub name: String,
    /// How far its results are trusted.
    pub trust: Option<Trust>,
    /// How confidential its results are.
    pub data: Option<DataClass>,
    /// What it does; empty where it does none of these.
    pub does: Option<BTreeSet<ToolClass>>,
    /// Its arguments that say where something goes, each once; empty where it has none.
    pub destinations: Option<Vec<String>>,
    /// Values of destinations that need nobody's word: by argument, patterns in which `*` stands for any characters.
    /// Where `destinations` is given, every key is among them.
    pub allow: BTreeMap<String, Vec<String>>,
    /// Fields of its results whose values vouch for destinations though the result as a whole is not trusted, such as a
    /// bank's own columns beside free text.
    pub vouches: Vec<String>,
}

/// What the file says about some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLabel {
    /// How decisions and messages name it: `labels.hosts[0]`.
    pub id: String,
    /// Which hosts.
    pub target: HostSet,
    /// How far what they answer is trusted.
    pub trust: Option<Trust>,
    /// How confidential what they answer is.
    pub data: Option<DataClass>,
}

/// Some hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostSet {
    /// By name.
    Name(HostPattern),
    /// By address.
    Net(IpNet),
}

/// What the file says about a place in the cell and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathLabel {
    /// How decisions and messages name it: `labels.paths[0]`.
    pub id: String,
    /// The place: absolute, in its shortest form.
    pub path: PathBuf,
    /// How far what lies there is trusted.
    pub trust: Option<Trust>,
    /// How confidential what lies there is.
    pub data: Option<DataClass>,
}

/// The labels of those who tell an agent what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLabels {
    /// A person at the console, the command line or the API.
    pub operator: Label,
    /// The prompts of `schedule`.
    pub schedule: Label,
    /// The bodies of webhook calls.
    pub webhook: Label,
}

impl Default for UserLabels {
    /// Operators and schedules are trusted, callers of webhooks are not; what any of them says is internal.
    fn default() -> Self {
        let internal = |trust| Label::new(trust, DataClass::Internal);
        Self {
            operator: internal(Trust::Trusted),
            schedule: internal(Trust::Trusted),
            webhook: internal(Trust::Untrusted),
        }
    }
}

/// Policies that NanoClaw brings along, chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleSet {
    /// Untrusted input, confidential data and an effect outside never come together without a person.
    RuleOfTwo,
    /// What has an effect happens only while everything that the session has read is trusted.
    TrustedAction,
    /// Where something goes stands in the words of a trusted user or on an allow-list.
    ValueProvenance,
    /// What has an effect asks people once the session has read what the prompt firewall takes for an attack. Holds for every
    /// agent unless the configuration says otherwise.
    SuspiciousAsks,
}

impl RuleSet {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::RuleOfTwo, Self::TrustedAction, Self::ValueProvenance, Self::SuspiciousAsks];

    /// Its word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::RuleOfTwo => "rule-of-two",
            Self::TrustedAction => "trusted-action",
            Self::ValueProvenance => "value-provenance",
            Self::SuspiciousAsks => "suspicious-asks",
        }
    }
}

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Label> {
        let labels = |trust| DataClass::ALL.map(|data| Label::new(trust, data));
        Trust::ALL.into_iter().flat_map(labels).collect()
    }

    #[test]
    fn joined_labels_are_as_untrusted_and_as_confidential_as_either() {
        let low = Label::new(Trust::Trusted, DataClass::Secret);
        let high = Label::new(Trust::Untrusted, DataClass::Public);
        assert_eq!(low.join(high), Label::new(Trust::Untrusted, DataClass::Secret));
    }

    #[test]
    fn no_order_and_no_repetition_of_joins_changes_what_comes_out() {
        for a in all() {
            assert_eq!(a.join(a), a);
            for b in all() {
                let both = a.join(b);
                assert_eq!(both, b.join(a));
                assert!(both.trust >= a.trust && both.data >= a.data, "{a:?} {b:?}");
                for c in all() {
                    assert_eq!(both.join(c), a.join(b.join(c)));
                }
            }
        }
    }

    #[test]
    fn words_are_those_of_the_wire() {
        for label in all() {
            let before = serde_json::json!({ "trust": label.trust.name(), "data": label.data.name() });
            assert_eq!(
                serde_json::from_value::<Label>(before).unwrap(),
                label,
                "as versions without a firewall wrote it"
            );
            for suspicion in Level::ALL {
                let label = Label { suspicion, ..label };
                let json = serde_json::json!({ "trust": label.trust.name(), "data": label.data.name(), "suspicion": suspicion.name() });
                assert_eq!(serde_json::to_value(label).unwrap(), json);
                assert_eq!(serde_json::from_value::<Label>(json).unwrap(), label);
            }
        }
        for class in ToolClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
