//! The firewall of one configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use crate::filter::{Filter, FilterError, Filters, KnownValues};
use crate::loss::{Detectors, LossSettings};
use crate::model;
use crate::rules;
use crate::stream::{self, Stream};
use crate::verdict::{Channel, Judgement, Level, RuleHit, Verdict};
use crate::view::Readings;

/// What is done about a user's prompt that is an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prompts {
    /// It is refused where it is [`Level::Certain`], and marked where it is less.
    #[default]
    Deny,
    /// It is marked.
    Annotate,
    /// Nothing.
    Off,
}

/// What is done about content that carries an attack: results of tools, documents, words of other agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Results {
    /// It is withheld until a person releases it where it is [`Level::Certain`], and marked where it is less.
    #[default]
    Quarantine,
    /// It is marked.
    Annotate,
    /// Nothing.
    Off,
}

/// What a configuration says of the firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What this fleet's own filters name.
    pub filters: Vec<Filter>,
    /// What is done about data that must not leave.
    pub loss: LossSettings,
    /// What is done about prompts that are attacks.
    pub prompts: Prompts,
    /// What is done about content that carries an attack.
    pub results: Results,
}

/// Why there can be no such firewall.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A filter is not understood.
    #[error("filter {}: {error}", number + 1)]
    Filter {
        /// Which one, from 0.
        number: usize,
        /// What is wrong with it.
        error: FilterError,
    },
}

/// Judges texts. Immutable: a new configuration has a new one.
#[derive(Debug)]
pub struct Firewall {
    settings: Settings,
    pub(crate) filters: Filters,
    pub(crate) detectors: Detectors,
}

impl Firewall {
    /// The firewall of these settings.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Self::with_lists(settings, BTreeMap::new())
    }

    /// The same, with the lists of values that filters name by their files.
    ///
    /// # Errors
    /// A filter is not understood, or its list is missing.
    pub fn with_lists(settings: &Settings, lists: BTreeMap<PathBuf, KnownValues>) -> Result<Self, SettingsError> {
        let filters = Filters::new(&settings.filters, lists)?;
        Ok(Self { settings: settings.clone(), filters, detectors: Detectors::new(&settings.loss) })
    }

    /// The firewall where nothing is configured. There is one of it.
    pub fn unconfigured() -> Arc<Self> {
        static UNCONFIGURED: LazyLock<Arc<Firewall>> = LazyLock::new(|| {
            let settings = Settings::default();
            let (filters, detectors) = (Filters::default(), Detectors::new(&settings.loss));
            Arc::new(Firewall { settings, filters, detectors })
        });
        Arc::clone(&UNCONFIGURED)
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All that it judges by of its configuration, as one text. Firewalls with the same text judge the same.
    pub fn text(&self) -> String {
        let lists: Vec<String> = self.filters.fingerprints().collect();
        format!("{:?} {lists:?}", self.settings)
    }

    /// Judges a text that comes in pieces, for data that must not leave and this fleet's own filters. What is found in the
    /// pieces is what [`Firewall::judge`] finds in the whole with [`Channel::Output`], whatever the channel.
    pub fn stream(self: &Arc<Self>, channel: Channel) -> Stream {
        Stream::new(Arc::clone(self), channel)
    }

    /// Whether something that is found in a channel may change what goes on, or end it.
    pub fn acts_on(&self, channel: Channel) -> bool {
        self.detectors.acts_on(channel) || self.filters.acts_on(channel)
    }

    /// Judges a whole text.
    pub fn judge(&self, channel: Channel, text: &str) -> Judgement {
        if channel == Channel::Output {
            let mut judgement = stream::whole(self, channel, text);
            judgement.level = judgement.rules.iter().map(|hit| hit.level).max().unwrap_or_default();
            judgement.score = judgement.level.floor();
            judgement.verdict = self.verdict(channel, &judgement, &judgement.rules);
            return judgement;
        }
        let readings = Readings::of(text);
        let mut hits = self.filters.find(channel, &readings);
        hits.extend(rules::find(channel, &readings));
        let scores = model::score(channel, &readings);
        let mut judgement = Judgement {
            level: scores.level,
            score: scores.attack,
            instructs: scores.instructs,
            window: scores.window,
            complete: readings.complete,
            ..Judgement::default()
        };
        for hit in &hits {
            judgement.level = judgement.level.max(hit.level);
        }
        judgement.score = judgement.score.max(judgement.level.floor());
        judgement.losses = self.detectors.find(channel, &readings);
        judgement.verdict = self.verdict(channel, &judgement, &hits);
        hits.sort_by_key(|hit| hit.span);
        judgement.rules = hits;
        judgement
    }

    /// What is to be done with a text of which all this is known.
    fn verdict(&self, channel: Channel, judgement: &Judgement, hits: &[RuleHit]) -> Verdict {
        let of_level = match judgement.level {
            Level::Clean => Verdict::Allow,
            level => self.of_attack(channel, level == Level::Certain),
        };
        let of_size = if judgement.complete { Verdict::Allow } else { Verdict::Annotate };
        let of_hits = hits.iter().map(|hit| hit.verdict);
        let of_losses = judgement.losses.iter().map(|hit| hit.verdict);
        of_hits.chain(of_losses).fold(of_level.max(of_size), Ord::max)
    }

    /// What is done about an attack.
    fn of_attack(&self, channel: Channel, certain: bool) -> Verdict {
        let (off, marked, at_most) = match channel.is_content() {
            true => (self.settings.results == Results::Off, self.settings.results == Results::Annotate, Verdict::Ask),
            false => (self.settings.prompts == Prompts::Off, self.settings.prompts == Prompts::Annotate, Verdict::Deny),
        };
        match (off, marked || !certain) {
            (true, _) => Verdict::Allow,
            (false, true) => Verdict::Annotate,
            (false, false) => at_most,
        }
    }
}
