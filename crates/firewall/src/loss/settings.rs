//! What is done about data that must not leave.

use std::collections::BTreeMap;

use crate::verdict::{Channel, Verdict};

/// What a kind of data is, as far as configurations tell kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Cards and accounts.
    Payment,
    /// What says who a person or a company is.
    Identity,
    /// How to reach a person.
    Contact,
    /// What opens something: keys, tokens, passwords.
    Secret,
    /// Addresses of machines.
    Network,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Payment, Self::Identity, Self::Contact, Self::Secret, Self::Network];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Identity => "identity",
            Self::Contact => "contact",
            Self::Secret => "secret",
            Self::Network => "network",
        }
    }
}

/// What is done about data that must not leave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LossSettings {
    /// What is done about what is found in a channel, where nothing else is said of its kind. What is not named is listed,
    /// and goes on.
    pub actions: BTreeMap<(Channel, Group), Verdict>,
    /// Kinds about which something else is done, in channels for which `actions` names their group.
    pub kinds: BTreeMap<String, Verdict>,
}

impl LossSettings {
    /// What is done about a kind of this group that is found in a channel.
    pub fn verdict(&self, channel: Channel, group: Group, kind: &str) -> Verdict {
        match self.actions.get(&(channel, group)) {
            None => Verdict::Allow,
            Some(usual) => self.kinds.get(kind).copied().unwrap_or(*usual),
        }
    }

    /// Whether anything may be done about what is found in a channel.
    pub fn acts_on(&self, channel: Channel) -> bool {
        let here = self.actions.iter().filter(|((named, _), _)| *named == channel);
        here.map(|(_, action)| action).chain(self.kinds.values()).any(|action| *action > Verdict::Allow)
            && Group::ALL.iter().any(|group| self.actions.contains_key(&(channel, *group)))
    }
}
