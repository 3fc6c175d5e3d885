//! What attacks look like: structural rules, by channel and language.
//!
//! A [`Rule`] is a pattern over folded text and the words ([`Rule::anchors`]) of which at least one stands in all that it
//! finds. The anchors of all rules are looked for at once (see `anchors.rs`); only around them is a pattern tried, so that ordinary text
//! costs one pass. Where an anchor stands often the stretches run together and are searched once: the work stays linear in the
//! text. Who only quotes or discusses an attack makes less sure than who mounts one (see `context.rs`), and what had to be
//! decoded or was hidden makes surer.

mod anchors;
mod context;
mod en;
mod engine;
mod pattern;
mod signs;
#[cfg(test)]
mod tests;
mod zh;

use crate::verdict::{Channel, Level, RuleHit};
use crate::view::Readings;

/// Most hits of one rule in one text: the first ones, and the surest.
pub const MAX_HITS_OF_A_RULE: usize = 4;
/// Most hits of all rules in one text: the surest.
pub const MAX_HITS: usize = 64;

/// One kind of attack, as it is written.
#[derive(Debug)]
pub struct Rule {
    /// Which: stable, in kebab case.
    pub id: &'static str,
    /// Why it is suspicious, for people: one sentence without a full stop.
    pub reason: &'static str,
    /// How sure it makes, by channel.
    pub levels: Levels,
    /// Folded texts of which one is in each match. None for signs, which are not looked for in words.
    pub(crate) anchors: &'static [&'static str],
    /// See `pattern.rs` for its language.
    pub(crate) pattern: &'static str,
}

/// How sure a rule makes, by channel; [`Level::Clean`] where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    user: Level,
    tool: Level,
    document: Level,
    agent: Level,
}

impl Levels {
    /// In every channel but outputs.
    const fn all(level: Level) -> Self {
        Self { user: level, tool: level, document: level, agent: level }
    }

    /// In what people ask.
    const fn user(level: Level) -> Self {
        Self { user: level, tool: Level::Clean, document: Level::Clean, agent: Level::Clean }
    }

    /// In content: what tools give, documents, what other agents say.
    const fn content(level: Level) -> Self {
        Self { user: Level::Clean, tool: level, document: level, agent: level }
    }

    /// The one in what people ask, the other in content.
    const fn split(user: Level, content: Level) -> Self {
        Self { user, tool: content, document: content, agent: content }
    }

    /// As these, and so in what other agents say, who may give each other work.
    const fn agent(self, agent: Level) -> Self {
        Self { agent, ..self }
    }

    /// In a channel.
    pub const fn of(self, channel: Channel) -> Level {
        match channel {
            Channel::User => self.user,
            Channel::Tool => self.tool,
            Channel::Document => self.document,
            Channel::Agent => self.agent,
            Channel::Output => Level::Clean,
        }
    }

    /// The channels in which the rule says something.
    pub fn channels(self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(move |channel| self.of(*channel) > Level::Clean)
    }
}

/// All rules, by language and family.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    en::FAMILIES.iter().chain(zh::FAMILIES).chain([&signs::RULES]).flat_map(|family| family.iter())
}

/// The rules that a text meets, at most [`MAX_HITS`], the surest first. Outputs meet none.
pub fn find(channel: Channel, readings: &Readings) -> Vec<RuleHit> {
    if channel == Channel::Output {
        return Vec::new();
    }
    let mut hits = engine::Hits::new(channel);
    signs::find(readings, &mut hits);
    for reading in &readings.all {
        engine::search(reading, &mut hits);
    }
    hits.into_hits()
}
