//! How likely a text is an attack, as learned: a linear model over hashed features, with a head for each question.
//!
//! `nanoclaw-firewall-train` makes the weights; docs/MODEL-CARD.md says of what, and how well they do on sources that they
//! have not seen.

mod concepts;
pub mod features;
mod hash;
#[cfg(test)]
mod tests;
pub mod weights;
pub mod window;

use std::sync::LazyLock;

use crate::verdict::{Channel, Level};
use crate::view::{Readings, Span, View};

pub use concepts::Concepts;
use weights::{Calibration, HEADS, Weights};

static FILE: &[u8] = include_bytes!("weights.bin");
static SHIPPED: LazyLock<Model> =
    LazyLock::new(|| Model { concepts: Concepts::new(), weights: Weights::parse(FILE).ok() });

/// What the model says of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// See [`crate::Judgement::score`].
    pub attack: f32,
    /// The level of that.
    pub level: Level,
    /// See [`crate::Judgement::instructs`].
    pub instructs: f32,
    /// Where the score is highest, if that is [`Level::Suspect`] or more.
    pub window: Option<Span>,
}

/// Scores a text.
pub fn score(channel: Channel, readings: &Readings) -> Scores {
    SHIPPED.score(channel, readings)
}

/// The model that is shipped: version of its features, and digest of its weights.
pub fn version() -> String {
    let digest = SHIPPED.weights.as_ref().map_or(0, |weights| weights.digest);
    format!("{}-{digest:016x}", features::VERSION)
}

/// A model.
#[derive(Debug)]
pub struct Model<'a> {
    concepts: Concepts,
    /// Without any, nothing can be vouched for; the tests of this crate see to it that the shipped ones are sound.
    weights: Option<Weights<'a>>,
}

/// The worst stretch of a text for each head.
#[derive(Clone, Copy, Debug)]
pub struct Worst<'t> {
    /// What the sum of weights comes to.
    pub logit: f32,
    found: Option<(&'t View, usize, usize)>,
}

impl<'a> Model<'a> {
    /// The model of these weights.
    pub fn new(weights: Weights<'a>) -> Self {
        Self { concepts: Concepts::new(), weights: Some(weights) }
    }

    /// Scores a text.
    pub fn score(&self, channel: Channel, readings: &Readings) -> Scores {
        let Some(weights) = &self.weights else {
            return Scores { attack: Level::Suspect.floor(), level: Level::Suspect, ..Scores::default() };
        };
        let [user, tool, instructs] = self.worst(readings);
        let [for_user, for_tool, for_instructs] = &weights.heads;
        let (worst, calibration) = if channel.is_content() { (tool, for_tool) } else { (user, for_user) };
        let level = calibration.level(worst.logit);
        Scores {
            attack: calibration.score(worst.logit),
            level,
            instructs: for_instructs.score(instructs.logit),
            window: worst.found.filter(|_| level > Level::Clean).map(|(view, start, end)| view.source(start..end)),
        }
    }

    /// The worst stretch of a text for each head, in the order of [`weights::Head::ALL`].
    pub fn worst<'t>(&self, readings: &'t Readings) -> [Worst<'t>; HEADS] {
        let mut worst = [Worst { logit: f32::NEG_INFINITY, found: None }; HEADS];
        let Some(weights) = &self.weights else { return worst };
        // What was summed over all cells up to each; sums of wrapped numbers differ by what they should.
        let mut sums: Vec<([i32; HEADS], u32)> = Vec::new();
        // The features of a cell are summed together, so that their weights, which lie far apart, are fetched at once.
        let mut cell: Vec<u32> = Vec::with_capacity(4 * window::CELL);
        for reading in &readings.all {
            let text = reading.folded.text();
            sums.clear();
            let mut sum = [0; HEADS];
            let mut count = 0;
            sums.push((sum, count));
            features::features(&self.concepts, text, |at, feature| {
                while at > sums.len() * window::CELL {
                    weights.add(&cell, &mut sum);
                    count += cell.len() as u32;
                    cell.clear();
                    sums.push((sum, count));
                }
                cell.push(feature);
            });
            weights.add(&cell, &mut sum);
            count += cell.len() as u32;
            cell.clear();
            sums.push((sum, count));
            for cells in window::windows(sums.len() - 1) {
                let (Some(from), Some(to)) = (sums.get(cells.start), sums.get(cells.end)) else { continue };
                let count = to.1 - from.1;
                let each = worst.iter_mut().zip(&weights.heads).zip(from.0.iter().zip(to.0));
                for ((worst, head), (from, to)) in each {
                    let logit = window::logit(to.wrapping_sub(*from) as f32 * head.scale, count, head.bias);
                    if logit > worst.logit {
                        let (start, end) = (cells.start * window::CELL, cells.end * window::CELL);
                        let start = text.floor_char_boundary(start);
                        *worst = Worst { logit, found: Some((&reading.folded, start, text.floor_char_boundary(end))) };
                    }
                }
            }
        }
        worst
    }
}

impl Calibration {
    /// How sure a logit makes.
    pub fn level(&self, logit: f32) -> Level {
        let [suspect, likely, certain] = self.levels;
        match logit {
            _ if logit >= certain => Level::Certain,
            _ if logit >= likely => Level::Likely,
            _ if logit >= suspect => Level::Suspect,
            _ => Level::Clean,
        }
    }

    /// A logit on the scale of [`crate::Judgement::score`], on which it rises as the logit does.
    pub fn score(&self, logit: f32) -> f32 {
        let [suspect, likely, certain] = self.levels;
        let (low, middle, high) = (Level::Suspect.floor(), Level::Likely.floor(), Level::Certain.floor());
        let between = |from: f32, to: f32, low: f32, high: f32| low + (logit - from) / (to - from) * (high - low);
        match self.level(logit) {
            Level::Clean => low * (logit - suspect).exp(),
            Level::Suspect => between(suspect, likely, low, middle).clamp(low, middle),
            Level::Likely => between(likely, certain, middle, high).clamp(middle, high),
            Level::Certain => 1.0 - (1.0 - high) * (certain - logit).exp(),
        }
    }
}
