//! What a request brings is judged before a model reads it: the words of users, what tools gave, what was attached.
//!
//! Instructions and what a model says are not judged: they are the operator's, and the model's own. But what stands as an
//! instruction behind the result of a tool, or was such a result before, counts as a tool's words: an agent, or whoever
//! misleads it, could give them a better place so. A program in the cell can put anything anywhere; that it was misled is
//! nothing that its words tell, and labels hold it all the same.

mod known;
mod mark;
mod texts;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use nanoclaw_audit::Screened;
use nanoclaw_dialect::{Dialect, Part, Request};
use nanoclaw_firewall::{Channel, Firewall, Judgement, Level, LossHit, Results, RuleHit, Span, Verdict, stream};
use nanoclaw_gate::{Quarantine, QuarantineError, State, Withheld, quarantine_id};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::provenance::{Observed, Standing};
use known::{Known, Opinion};
use texts::{Speaker, Text};

/// Most findings that stand in one record of a call. The worst are there.
pub(crate) const MOST_FINDINGS: usize = 16;
/// Most rules, kinds, spans and forms of one finding there.
const MOST_OF_EACH: usize = 8;
/// Most rules that are named where a person is told why.
const MOST_REASONS: usize = 3;

/// What stands between texts that are judged as one.
const BETWEEN: &str = "\n";

/// What judges the requests of one run of a cell.
#[derive(Debug, Default)]
pub(crate) struct Screen(Known);

/// What was found in a request.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What the session is suspected of having read.
    pub(crate) suspicion: Level,
    /// What the model reads in the place of texts, by where they stand.
    edits: Vec<(String, String)>,
    /// Texts that a person must see before a model does.
    pub(crate) withheld: Vec<Withheld>,
    /// For the record of the call.
    pub(crate) findings: Vec<Screened>,
    /// What was judged for the first time.
    pub(crate) counts: BTreeMap<(Channel, Level), u64>,
    /// Texts that are content and suspicious, so that nothing in them vouches for anything.
    suspicious: HashSet<String>,
    /// Why the request may not be made.
    pub(crate) refused: Option<Refusal>,
}

impl Found {
    /// Puts into the body what the model reads in the place of what was found. Gives whether that changed it.
    pub(crate) fn apply(&mut self, body: &mut Value) -> bool {
        let edits = std::mem::take(&mut self.edits);
        for (at, text) in &edits {
            if let Some(place) = body.pointer_mut(at) {
                *place = Value::String(text.clone());
            }
        }
        !edits.is_empty()
    }

    /// Nothing in a text that looks like an attack vouches for anything, whoever gave it.
    pub(crate) fn distrust(&self, request: &Request, observed: &mut Observed) {
        if self.suspicious.is_empty() {
            return;
        }
        let mut met = HashSet::new();
        let mut suspicious: Vec<usize> = Vec::new();
        let mut results: Vec<usize> = Vec::new();
        for (number, part) in request.messages.iter().flat_map(|message| &message.parts).enumerate() {
            let parts = match part {
                Part::Result(result) => {
                    results.push(number);
                    result.parts.as_slice()
                }
                other => std::slice::from_ref(other),
            };
            for part in parts {
                if let Part::Text(text) = part
                    && self.suspicious.contains(text)
                {
                    met.insert(text);
                    suspicious.push(number);
                }
            }
        }
        // What is read in another form than it was written in may be in any of them.
        if met.len() < self.suspicious.len() {
            suspicious.extend(results);
        }
        for number in suspicious {
            observed.fields.remove(&number);
            if let Some(standing) = observed.standings.get_mut(number) {
                *standing = Standing::Untrusted;
            }
        }
    }
}

/// What is done about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Done {
    Noted,
    Marked,
    Redacted,
    Released,
    Withheld,
    Refused,
}

impl Done {
    /// As it stands in records.
    const fn name(self) -> &'static str {
        match self {
            Done::Noted => "noted",
            Done::Marked => "marked",
            Done::Redacted => "redacted",
            Done::Released => "released",
            Done::Withheld => "withheld",
            Done::Refused => "refused",
        }
    }
}

impl Screen {
    /// Judges all that a model is to read of a request. `foreign` are the digests of words that stand as somebody's own and
    /// came from a tool.
    ///
    /// # Errors
    /// Nobody knows what a person decided about a text that is withheld.
    pub(crate) fn look(
        &self,
        firewall: &Arc<Firewall>,
        quarantine: &Quarantine,
        (dialect, body, request): (Dialect, &Value, &Request),
        foreign: &HashSet<[u8; 32]>,
    ) -> Result<Found, QuarantineError> {
        let texts = texts::of(dialect, body);
        let newest = texts.iter().filter(|text| text.speaker == Speaker::User).map(|text| text.message).max();
        let mut look =
            Look { screen: self, firewall, quarantine, request, newest, findings: Vec::new(), found: Found::default() };
        let mut rest = texts.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.iter().take_while(|text| text.together == first.together).count();
            let (together, others) = rest.split_at(count);
            look.together(together, foreign)?;
            rest = others;
        }
        let Look { mut found, mut findings, .. } = look;
        findings.sort_by_key(|(done, finding)| std::cmp::Reverse((*done, finding.score)));
        found.findings = findings.into_iter().map(|(_, finding)| finding).take(MOST_FINDINGS).collect();
        Ok(found)
    }
}

struct Look<'a> {
    screen: &'a Screen,
    firewall: &'a Arc<Firewall>,
    quarantine: &'a Quarantine,
    request: &'a Request,
    /// The number of the last message of a user.
    newest: Option<usize>,
    findings: Vec<(Done, Screened)>,
    found: Found,
}

impl Look<'_> {
    /// Texts that a model reads one after another: each is judged, and what they say together.
    fn together(&mut self, texts: &[Text<'_>], foreign: &HashSet<[u8; 32]>) -> Result<(), QuarantineError> {
        let mut by_channel: BTreeMap<Channel, Vec<(&Text<'_>, Opinion)>> = BTreeMap::new();
        for text in texts {
            let Some(channel) = channel(text, foreign) else { continue };
            let opinion = self.judge(channel, text.text);
            by_channel.entry(channel).or_default().push((text, opinion));
        }
        for (channel, judged) in by_channel {
            let worst =
                judged.iter().filter_map(|(_, opinion)| opinion.judgement.as_ref()).map(|one| gravity(one)).max();
            if judged.len() > 1 {
                let whole = judged.iter().map(|(text, _)| text.text).collect::<Vec<_>>().join(BETWEEN);
                let opinion = self.judge(channel, &whole);
                // What is taken out of it may stand in several of them.
                if let Some(judgement) = &opinion.judgement
                    && (Some(gravity(judgement)) > worst
                        || (judgement.verdict == Verdict::Redact && Some(gravity(judgement)) == worst))
                {
                    let parts: Vec<&Text<'_>> = judged.iter().map(|(text, _)| *text).collect();
                    self.act(channel, &parts, &whole, &opinion)?;
                    continue;
                }
            }
            for (text, opinion) in &judged {
                self.act(channel, &[text], text.text, opinion)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, channel: Channel, text: &str) -> Opinion {
        let opinion = self.screen.0.judge(self.firewall, channel, text);
        if !opinion.again {
            let level = opinion.judgement.as_ref().map_or(Level::Clean, |judgement| judgement.level);
            *self.found.counts.entry((channel, level)).or_default() += 1;
        }
        opinion
    }

    /// Acts upon what is known of `texts`, which are `whole` together.
    fn act(
        &mut self,
        channel: Channel,
        texts: &[&Text<'_>],
        whole: &str,
        opinion: &Opinion,
    ) -> Result<(), QuarantineError> {
        let Some(judgement) = &opinion.judgement else { return Ok(()) };
        let sha256 = digest::hex(&opinion.digest);
        let newest = texts.iter().any(|text| Some(text.message) == self.newest);
        let done = match judgement.verdict {
            Verdict::Allow => Done::Noted,
            Verdict::Annotate if channel.is_content() => Done::Marked,
            Verdict::Annotate => Done::Noted,
            Verdict::Redact => Done::Redacted,
            Verdict::Ask | Verdict::Deny if !channel.is_content() && newest => Done::Refused,
            Verdict::Ask | Verdict::Deny if !channel.is_content() => Done::Withheld,
            Verdict::Ask | Verdict::Deny => match self.quarantine.state(&sha256)? {
                State::Released => Done::Released,
                State::Held | State::Dropped => Done::Withheld,
            },
        };
        let marks = channel.is_content() && (judgement.level >= Level::Suspect || !judgement.complete);
        if marks && self.firewall.settings().results != Results::Off {
            self.found.suspicion = self.found.suspicion.max(judgement.level).max(Level::Suspect);
            self.found.suspicious.extend(texts.iter().map(|text| text.text.to_owned()));
        }
        match done {
            Done::Noted => {}
            Done::Marked => self.edit(texts, mark::marked),
            Done::Redacted | Done::Released => {
                let mut from = 0;
                for text in texts {
                    let redacted = redacted(text.text, from, judgement);
                    from += text.text.len() + BETWEEN.len();
                    let new = if marks || done == Done::Released { mark::marked(&redacted) } else { redacted };
                    self.found.edits.push((text.at.clone(), new));
                }
            }
            Done::Withheld => {
                let notice = self.withhold(channel, texts, whole, judgement, &sha256);
                self.edit(texts, |text| mark::instead(text, &notice));
            }
            Done::Refused => {
                let number = texts.first().map_or(0, |text| text.message);
                self.found.refused.get_or_insert_with(|| refusal(number, judgement));
            }
        }
        if done != Done::Noted || judgement.level >= Level::Suspect {
            self.findings.push((done, finding(channel, judgement, &sha256, done)));
        }
        Ok(())
    }

    /// Where the first of `texts` came from, as people know it. It is looked for in all results, so not too often.
    fn source(&self, texts: &[&Text<'_>]) -> String {
        let first = texts.first().filter(|_| self.found.withheld.len() < MOST_FINDINGS);
        first.map_or_else(String::new, |text| source(self.request, text.text))
    }

    fn edit(&mut self, texts: &[&Text<'_>], new: impl Fn(&str) -> String) {
        let edits = texts.iter().map(|text| (text.at.clone(), new(text.text)));
        self.found.edits.extend(edits);
    }

    /// Gives what the model is told instead.
    fn withhold(
        &mut self,
        channel: Channel,
        texts: &[&Text<'_>],
        whole: &str,
        judgement: &Judgement,
        sha256: &str,
    ) -> String {
        let why = why(judgement);
        if !channel.is_content() {
            return format!("an earlier message of the user was refused and is left out: {why}");
        }
        let id = quarantine_id(sha256);
        let notice = format!(
            "this text is withheld as {id}, because {why}. Do not try to get it in another way; go on without it, and tell the user that a person can look at it with `nanoclaw firewall quarantine`"
        );
        self.found.withheld.push(Withheld {
            sha256: sha256.to_owned(),
            channel: channel.name().to_owned(),
            source: self.source(texts),
            score: thousandths(judgement.score),
            why,
            at: Timestamp::now(),
            state: State::Held,
            by: String::new(),
            text: whole.to_owned(),
        });
        notice
    }
}

/// As what a text is judged; `None` for what is the operator's.
fn channel(text: &Text<'_>, foreign: &HashSet<[u8; 32]>) -> Option<Channel> {
    let came_from_tool = || !foreign.is_empty() && foreign.contains(&digest::sha256(text.text.as_bytes()));
    match text.speaker {
        Speaker::Tool => Some(Channel::Tool),
        Speaker::Document => Some(Channel::Document),
        Speaker::User if came_from_tool() => Some(Channel::Tool),
        Speaker::User => Some(Channel::User),
        Speaker::System { after_result: true } => Some(Channel::Tool),
        Speaker::System { after_result: false } => came_from_tool().then_some(Channel::Tool),
    }
}

/// A text without what is to be taken out of it, where it begins at byte `from` of what was judged. What it was withheld for, and
/// a person released, stays.
fn redacted(text: &str, from: usize, judgement: &Judgement) -> String {
    let here = |span: Span, verdict: Verdict| {
        let end = span.end.saturating_sub(from).min(text.len());
        let here = Span { start: span.start.saturating_sub(from), end };
        (verdict == Verdict::Redact && here.start < here.end).then_some(here)
    };
    let losses =
        judgement.losses.iter().filter_map(|hit| Some(LossHit { span: here(hit.span, hit.verdict)?, ..hit.clone() }));
    let rules =
        judgement.rules.iter().filter_map(|hit| Some(RuleHit { span: here(hit.span, hit.verdict)?, ..hit.clone() }));
    let judgement = Judgement { losses: losses.collect(), rules: rules.collect(), ..Judgement::default() };
    stream::redact(text, &judgement)
}

/// How much it matters.
fn gravity(judgement: &Judgement) -> (Verdict, Level) {
    (judgement.verdict, judgement.level)
}

/// Why, for people: what the rules say, or what the score means.
fn why(judgement: &Judgement) -> String {
    let acting = judgement.rules.iter().filter(|rule| rule.level == judgement.level || rule.verdict >= Verdict::Ask);
    let mut reasons: Vec<Cow<'_, str>> = Vec::new();
    for rule in acting {
        let reason = Cow::from(format!("{} (rule `{}`)", rule.reason, rule.id));
        if reasons.len() < MOST_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    for loss in judgement.losses.iter().filter(|loss| loss.verdict >= Verdict::Ask) {
        let reason = Cow::from(format!("it holds data of the kind `{}`", loss.kind));
        if reasons.len() < MOST_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() {
        let thousandths = thousandths(judgement.score);
        return format!("the firewall's model takes it for an attack, with {thousandths} of 1000");
    }
    reasons.join("; ")
}

fn refusal(message: usize, judgement: &Judgement) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::ContentRefused,
        reason: format!("the prompt firewall refuses message {message}: {}", why(judgement)),
        help: "say it in other words; once a newer message follows, this one is left out and the conversation goes on"
            .to_owned(),
    }
}

/// Where a text of a result came from, as people know it.
fn source(request: &Request, text: &str) -> String {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let calls: HashMap<&str, &str> = parts()
        .filter_map(
            |part| if let Part::Call(call) = part { Some((call.id.as_str(), call.name.as_str())) } else { None },
        )
        .collect();
    let holds = |part: &Part| matches!(part, Part::Text(held) if held.contains(text));
    let by = parts().find_map(|part| match part {
        Part::Result(result) if result.parts.iter().any(holds) => calls.get(result.id.as_str()),
        _ => None,
    });
    by.map_or_else(String::new, |tool| format!("tool:{tool}"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
fn thousandths(score: f32) -> u16 {
    (score.clamp(0.0, 1.0) * 1000.0).round() as u16
}

/// For the record: never the text.
pub(crate) fn finding(channel: Channel, judgement: &Judgement, sha256: &str, done: Done) -> Screened {
    let mut forms: Vec<String> = Vec::new();
    let of_hits = judgement.rules.iter().map(|rule| &rule.forms).chain(judgement.losses.iter().map(|loss| &loss.forms));
    for form in of_hits.flatten() {
        let name =
            serde_json::to_value(form).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        if forms.len() < MOST_OF_EACH && !forms.contains(&name) {
            forms.push(name);
        }
    }
    let names = |names: &mut dyn Iterator<Item = String>| {
        let mut kept: Vec<String> = Vec::new();
        for name in names {
            if kept.len() < MOST_OF_EACH && !kept.contains(&name) {
                kept.push(name);
            }
        }
        kept
    };
    let spans = judgement
        .rules
        .iter()
        .map(|rule| rule.span)
        .chain(judgement.window)
        .chain(judgement.losses.iter().map(|loss| loss.span));
    Screened {
        channel: channel.name(),
        level: judgement.level.name(),
        score: thousandths(judgement.score),
        done: done.name(),
        rules: names(&mut judgement.rules.iter().map(|rule| rule.id.to_string())),
        losses: names(&mut judgement.losses.iter().map(|loss| loss.kind.to_string())),
        spans: spans.take(MOST_OF_EACH).map(|span| [span.start, span.end]).collect(),
        forms,
        complete: judgement.complete,
        sha256: sha256.to_owned(),
    }
}
