//! How well a model does, by source.

use std::collections::BTreeMap;

use nanoclaw_firewall::model::weights::HEADS;

use crate::corpus::Text;

/// The shares of benign texts that the levels are named for.
pub const SHARES: [f64; 3] = [0.01, 0.003, 0.001];
/// Levels are at least this far apart.
const APART: f32 = 0.05;
/// Of sources that were written to be hard, so many times as many texts may reach a level of each head. What users ask is to
/// be mistaken in one of a hundred such texts where it is in three of a thousand others.
const HARD: [f64; HEADS] = [4.0, 10.0, 10.0];

/// No source counts for more than so many times the share of a level.
const MOST_OF_ONE: f64 = 5.0;

/// Logits of the benign texts of each source, for one head.
type Sources<'a> = BTreeMap<&'a str, Vec<f32>>;

/// The levels of a head: each is met by no more than its share of benign texts, all sources together, and each source
/// counting alike. Sources that were written to be hard are looked at apart.
pub fn levels(texts: &[Text], logits: &[[f32; HEADS]], head: usize) -> [f32; 3] {
    let of_hard = HARD.get(head).copied().unwrap_or(1.0);
    let (mut easy, mut hard) = (Sources::new(), Sources::new());
    for (text, logits) in texts.iter().zip(logits) {
        if text.made || text.attack || !is_for(text, head) {
            continue;
        }
        if let Some(logit) = logits.get(head).filter(|logit| logit.is_finite()) {
            let sources = if text.is_hard() { &mut hard } else { &mut easy };
            sources.entry(&text.source).or_default().push(*logit);
        }
    }
    let mut least = f32::NEG_INFINITY;
    SHARES.map(|share| {
        let level = pooled(&easy, share).max(alike(&easy, share)).max(pooled(&hard, share * of_hard));
        least = if level.is_finite() { level.max(least) } else { least.max(0.0) };
        let level = least;
        least += APART;
        level
    })
}

/// Whether the head is to judge texts of this kind.
pub fn is_for(text: &Text, head: usize) -> bool {
    match head {
        0 => text.user,
        1 => !text.user,
        _ => text.wants.get(head).copied().flatten() == Some(false),
    }
}

/// What no more than this share of all texts reach.
fn pooled(sources: &Sources<'_>, share: f64) -> f32 {
    let all: Vec<(f32, f64)> = sources.values().flatten().map(|logit| (*logit, 1.0)).collect();
    let count = all.len() as f64;
    reached(all, share * count)
}

/// The same, where each source counts alike, and none for more than [`MOST_OF_ONE`] times the share: one that is like no
/// other would decide alone.
fn alike(sources: &Sources<'_>, share: f64) -> f32 {
    let mut all = Vec::new();
    for logits in sources.values() {
        let mut logits = logits.clone();
        logits.sort_by(|one, other| other.total_cmp(one));
        let most = share * MOST_OF_ONE * logits.len() as f64;
        let weight = |place: usize| (most - place as f64).clamp(0.0, 1.0) / logits.len() as f64;
        all.extend(logits.iter().enumerate().map(|(place, logit)| (*logit, weight(place))));
    }
    reached(all, share * sources.len() as f64)
}

/// What texts of no more than this weight reach.
fn reached(mut all: Vec<(f32, f64)>, most: f64) -> f32 {
    all.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut sum = 0.0;
    for (logit, weight) in all {
        sum += weight;
        if sum > most {
            return logit.next_up();
        }
    }
    f32::NEG_INFINITY
}

/// How many of a source's texts reach a level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// So many.
    pub hits: usize,
    /// Of so many.
    pub of: usize,
}

impl Rate {
    /// The share.
    pub fn share(self) -> f64 {
        self.hits as f64 / self.of.max(1) as f64
    }

    /// The interval that holds the true share in 95 of 100 cases (Wilson).
    pub fn interval(self) -> (f64, f64) {
        const Z: f64 = 1.96;
        let (n, p) = (self.of.max(1) as f64, self.share());
        let middle = p + Z * Z / (2.0 * n);
        let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let all = 1.0 + Z * Z / n;
        (((middle - reach) / all).max(0.0), ((middle + reach) / all).min(1.0))
    }
}

/// What reaches the levels of a head, of each source, in both languages.
pub fn rates<'t>(
    texts: &'t [Text],
    logits: &[[f32; HEADS]],
    head: usize,
    levels: [f32; 3],
    attacks: bool,
) -> BTreeMap<(&'t str, bool), [Rate; 3]> {
    let mut rates = BTreeMap::<_, [Rate; 3]>::new();
    for (text, logits) in texts.iter().zip(logits) {
        let wanted = if attacks {
            text.wants.get(head).copied().flatten() == Some(true)
        } else {
            !text.attack && is_for(text, head) && !text.made
        };
        let Some(logit) = logits.get(head).filter(|_| wanted) else { continue };
        for (rate, level) in rates.entry((text.source.as_str(), text.chinese)).or_default().iter_mut().zip(levels) {
            rate.of += 1;
            rate.hits += usize::from(*logit >= level);
        }
    }
    rates
}

/// The mean of the shares of sources, each counting alike; sources of fewer than 30 texts do not.
pub fn mean<'a>(rates: impl Iterator<Item = &'a [Rate; 3]>) -> ([f64; 3], usize) {
    let (mut sums, mut count) = ([0.0; 3], 0);
    for rates in rates.filter(|rates| rates.iter().all(|rate| rate.of >= 30)) {
        count += 1;
        for (sum, rate) in sums.iter_mut().zip(rates) {
            *sum += rate.share();
        }
    }
    (sums.map(|sum| sum / f64::from(count.max(1))), count as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_reached_by_no_more_than_its_share() {
        let sources = Sources::from([("a", (0..1000).map(|number| number as f32).collect()), ("b", vec![5.0; 10])]);
        let over = |level: f32| sources.values().flatten().filter(|logit| **logit >= level).count();
        assert!(over(pooled(&sources, 0.01)) <= 10);
        assert!(over(pooled(&sources, 0.01)) >= 9);
    }

    #[test]
    fn a_small_source_counts_as_much_as_a_large_one() {
        let sources = Sources::from([("large", vec![0.0; 1000]), ("small", vec![9.0, 0.0])]);
        assert!(alike(&sources, 0.01) > 9.0);
        assert!(pooled(&sources, 0.01) < 9.0);
    }

    #[test]
    fn an_interval_holds_its_share_and_stays_within_bounds() {
        for (hits, of) in [(0, 10), (10, 10), (3, 1000)] {
            let rate = Rate { hits, of };
            let (low, high) = rate.interval();
            assert!(low <= rate.share() && rate.share() <= high && low >= 0.0 && high <= 1.0);
        }
    }
}
