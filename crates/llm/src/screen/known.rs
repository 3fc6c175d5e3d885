//! Judgements that were made before. A conversation comes again with every request, so each text is judged once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanoclaw_firewall::{Channel, Firewall, Judgement};
use nanoclaw_vault::digest::sha256;

/// Most judgements that one run of a cell remembers. With one more all are forgotten, and made again.
const CAPACITY: usize = 16_384;
/// Most hits of a judgement that is remembered; one with more is made again each time.
const MOST_HITS: usize = 256;

/// The judgements of one run of a cell.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Whose judgements these are.
    firewall: Option<Arc<Firewall>>,
    /// By the channel and the digest of the text. Most texts are clean, and take no more.
    judged: HashMap<(Channel, [u8; 32]), Option<Arc<Judgement>>>,
}

/// What the firewall says of a text, where it has something to say.
pub(super) struct Opinion {
    pub(super) digest: [u8; 32],
    /// `None` where it is clean.
    pub(super) judgement: Option<Arc<Judgement>>,
    /// Whether it was judged before.
    pub(super) again: bool,
}

impl Known {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges a text, if that was not done.
    pub(super) fn judge(&self, firewall: &Arc<Firewall>, channel: Channel, text: &str) -> Opinion {
        let digest = sha256(text.as_bytes());
        {
            let mut memory = self.memory();
            if !memory.firewall.as_ref().is_some_and(|known| Arc::ptr_eq(known, firewall)) {
                *memory = Memory { firewall: Some(Arc::clone(firewall)), judged: HashMap::new() };
            }
            if let Some(judgement) = memory.judged.get(&(channel, digest)) {
                return Opinion { digest, judgement: judgement.clone(), again: true };
            }
        }
        let judgement = firewall.judge(channel, text);
        let judgement = (!is_clean(&judgement)).then(|| Arc::new(judgement));
        let hits = judgement.as_ref().map_or(0, |judgement| judgement.rules.len() + judgement.losses.len());
        if hits <= MOST_HITS {
            let mut memory = self.memory();
            // Another generation may have come meanwhile.
            if memory.firewall.as_ref().is_some_and(|known| Arc::ptr_eq(known, firewall)) {
                if memory.judged.len() >= CAPACITY {
                    memory.judged.clear();
                }
                memory.judged.insert((channel, digest), judgement.clone());
            }
        }
        Opinion { digest, judgement, again: false }
    }
}

fn is_clean(judgement: &Judgement) -> bool {
    let Judgement { verdict, level, rules, losses, complete, .. } = judgement;
    *verdict == nanoclaw_firewall::Verdict::Allow
        && *level == nanoclaw_firewall::Level::Clean
        && rules.is_empty()
        && losses.is_empty()
        && *complete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_judged_once_by_each_firewall_and_in_each_channel() {
        let known = Known::default();
        let [one, two] = [(), ()].map(|()| Arc::new(Firewall::new(&nanoclaw_firewall::Settings::default()).unwrap()));
        for (firewall, channel, text, again) in [
            (&one, Channel::Tool, "a", false),
            (&one, Channel::Tool, "a", true),
            (&one, Channel::User, "a", false),
            (&one, Channel::Tool, "b", false),
            (&two, Channel::Tool, "a", false),
            (&two, Channel::Tool, "a", true),
        ] {
            assert_eq!(known.judge(firewall, channel, text).again, again, "{channel:?} {text}");
        }
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let known = Known::default();
        let firewall = Firewall::unconfigured();
        known.judge(&firewall, Channel::Tool, "a");
        let many = (0..CAPACITY).map(|number| ((Channel::Tool, sha256(&number.to_le_bytes())), None));
        known.memory().judged.extend(many);
        known.judge(&firewall, Channel::Tool, "b");
        assert_eq!(known.memory().judged.len(), 1);
    }
}
