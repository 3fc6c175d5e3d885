//! What is said of the prompt firewall: `prompt_filters` and `firewall`.

use nanoclaw_firewall::filter::{Filter, FilterError, Finds, Intent, LEAST_CANARY, Meaning};
use nanoclaw_firewall::loss::{self, Group};
use nanoclaw_firewall::{Channel, Prompts, Results, Settings, Verdict};

use super::Wants;
use super::keys::{FIREWALL, PROMPT_FILTER};
use super::labels::words;
use super::reader::{Field, Fields, Reader};
use crate::display::shown;
use crate::source::Place;
use crate::tree::Kind;

/// Most prompt filters in one file.
pub(crate) const MAX_FILTERS: usize = 256;
/// Longest name of a filter, in bytes.
const MAX_NAME: usize = 63;
/// Longest sentence that is compared with known ones, in characters.
const MAX_SENTENCE: usize = 128;

/// The channels in which data leaves.
const LEAVING: [Channel; 2] = [Channel::Output, Channel::Agent];
/// What `losses` is about where it does not say: not addresses of machines, of which harmless texts are full.
const SENSITIVE: [Group; 4] = [Group::Payment, Group::Identity, Group::Contact, Group::Secret];

const FILTER: &str =
    "write a sentence that NanoClaw knows such as `no-sensitive-output`, or a mapping such as `{ keywords: [\"…\"] }`";
/// The keys of which a filter has exactly one.
const FINDS: [&str; 5] = ["regex", "keywords", "exact", "topic", "canary"];

/// What the sentences among the filters switched on.
#[derive(Debug, Default)]
struct Said {
    intents: Vec<Intent>,
}

/// Reads all of it.
pub(super) fn settings(r: &mut Reader<'_>, filters: Option<Field<'_>>, firewall: Option<Field<'_>>) -> Settings {
    let mut settings = Settings::default();
    let said = filters.map(|field| prompt_filters(r, &field, &mut settings)).unwrap_or_default();
    if let Some(field) = firewall {
        section(r, &field, &said, &mut settings);
    }
    settings
}

fn prompt_filters(r: &mut Reader<'_>, field: &Field<'_>, settings: &mut Settings) -> Said {
    let help = "write a list: `prompt_filters: [no-sensitive-output]`";
    let mut said = Said::default();
    let Some(items) = r.list(field, MAX_FILTERS, help) else { return said };
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        if matches!(node.kind, Kind::Map(_)) {
            if let Some((place, filter)) = filter(r, &item, index) {
                if settings.filters.iter().any(|other| other.name == filter.name) {
                    let message = format!("two filters are named `{}`", filter.name);
                    r.error(place, message, "give one of them another `name`");
                }
                settings.filters.push(filter);
            }
            continue;
        }
        match r.text(&item, FILTER) {
            Some(text) if text.trim().is_empty() => {
                r.error(node.place, "a prompt filter is empty", "write its text or remove it");
            }
            Some(text) => match Intent::parse(text) {
                Some(intent) if said.intents.contains(&intent) => {
                    let message = format!("`{}` means the same as a filter before it: {}", shown(text), intent.name());
                    r.error(node.place, message, "remove one of the two");
                }
                Some(intent) => {
                    intent.apply(settings);
                    said.intents.push(intent);
                }
                None => {
                    let message = format!("`{}` is no prompt filter that NanoClaw understands", shown(text));
                    r.error(node.place, message, advice(text));
                }
            },
            None => {}
        }
    }
    said
}

/// What whoever wrote a sentence that means nothing may have meant.
fn advice(text: &str) -> String {
    let said = text.to_lowercase();
    let sentences = Intent::ALL.into_iter().flat_map(Intent::sentences);
    let near = sentences
        .filter(|_| said.chars().count() <= MAX_SENTENCE)
        .map(|sentence| (strsim::normalized_damerau_levenshtein(&said, sentence), sentence))
        .filter(|(alike, _)| *alike >= 0.6)
        .reduce(|best, next| if next.0 > best.0 { next } else { best });
    match near {
        Some((_, sentence)) => format!("did you mean `{sentence}`?"),
        None => {
            let names: Vec<String> = Intent::ALL.iter().map(|intent| format!("`{}`", intent.name())).collect();
            let keys: Vec<String> = FINDS.iter().map(|key| format!("`{key}`")).collect();
            let (names, keys) = (names.join(", "), keys.join(", "));
            format!("it understands {names}, their Chinese and English forms, and mappings with one of {keys}")
        }
    }
}

/// Reads one filter that says itself what it looks for.
fn filter(r: &mut Reader<'_>, item: &Field<'_>, index: usize) -> Option<(Place, Filter)> {
    let fields = r.fields(item, &PROMPT_FILTER, FILTER)?;
    let kinds: Vec<Field<'_>> = FINDS.iter().filter_map(|key| fields.get(key)).collect();
    let what = match kinds.as_slice() {
        [one] => *one,
        [] => {
            let help = "add one of `regex`, `keywords`, `exact`, `topic` and `canary`";
            r.error(fields.place, "a prompt filter does not say what it looks for", help);
            return None;
        }
        [one, another, ..] => {
            let message = format!("a prompt filter has both `{}` and `{}`", one.name, another.name);
            r.error(another.key, message, "write two filters");
            return None;
        }
    };
    for key in ["words", "at_least"] {
        if let Some(field) = fields.get(key)
            && what.name != "topic"
        {
            r.error(field.key, format!("`{key}` is for filters with `topic`"), "remove it, or add `topic: NAME`");
        }
    }
    let mut name = format!("filter-{}", index + 1);
    if let Some(field) = fields.get("name")
        && let Some(text) = r.text(&field, "write a name such as `project-names`")
    {
        named(r, &field, text);
        text.clone_into(&mut name);
    }
    let (place, finds) = finds(r, &fields, &what, &mut name)?;
    let (action, channels) = usual(&finds);
    let action = fields.get("action").and_then(|field| action_of(r, &field, &finds)).unwrap_or(action);
    let channels = fields.get("channels").and_then(|field| channels_of(r, &field)).unwrap_or(channels);
    let filter = Filter { name, action, channels, finds };
    if let Err(error) = filter.check() {
        r.error(place, error.to_string(), next_step(&error));
        return None;
    }
    if filter.is_endless() && filter.channels.contains(&Channel::Output) {
        let message = format!(
            "the pattern of `{}` can fit a text of any length; outputs are searched as they come, 512 bytes at a time",
            filter.name
        );
        r.notice(place, false, message);
    }
    Some((item.place(), filter))
}

/// What is done where a filter does not say, and about whose texts.
fn usual(finds: &Finds) -> (Verdict, Vec<Channel>) {
    match finds {
        Finds::Pattern(_) | Finds::Words(_) | Finds::Known(_) => (Verdict::Redact, LEAVING.to_vec()),
        Finds::Topic { .. } => (Verdict::Deny, vec![Channel::User]),
        Finds::Canary(_) => (Verdict::Deny, Channel::ALL.to_vec()),
    }
}

fn next_step(error: &FilterError) -> String {
    match error {
        FilterError::Pattern(_) => {
            "write a regular expression of Rust's `regex` crate, in single quotes: `'ACC-[0-9]{6}'`".to_owned()
        }
        FilterError::Unreachable { .. } => "`at_least` is from 1 to the number of `words`".to_owned(),
        FilterError::ShortWord { least: LEAST_CANARY, .. } => {
            "write a text that nothing else contains, such as a random one of 16 letters".to_owned()
        }
        _ => "write longer words, fewer of them, or several filters".to_owned(),
    }
}

fn finds(r: &mut Reader<'_>, fields: &Fields<'_>, what: &Field<'_>, name: &mut String) -> Option<(Place, Finds)> {
    let place = what.place();
    let finds = match what.name {
        "regex" => Finds::Pattern(r.words(what, "write a regular expression such as `'ACC-[0-9]{6}'`")?.to_owned()),
        "keywords" => Finds::Words(list(r, what)?),
        "exact" => {
            let help = "write the path of a file that `nanoclaw firewall hash` wrote";
            Finds::Known(r.host_path(what, Wants::File, help)?)
        }
        "canary" => Finds::Canary(r.words(what, "write a text that must never appear")?.to_owned()),
        _ => {
            let topic = r.text(what, "write the name of the topic, such as `mergers`")?;
            if named(r, what, topic) && fields.get("name").is_none() {
                topic.clone_into(name);
            }
            let Some(field) = fields.get("words") else {
                let help = "add `words: [merger, takeover, 收购]`, of which two make the topic";
                r.error(fields.place, "a topic has no `words`", help);
                return None;
            };
            let words = list(r, &field)?;
            let most = words.len().max(1);
            let at_least = match fields.get("at_least") {
                Some(field) => r.number(&field, &(1..=most))?,
                None => most.min(2),
            };
            Finds::Topic { words, at_least }
        }
    };
    Some((place, finds))
}

fn list(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    let help = "write a list of words or phrases such as `[falcon, 猎鹰计划]`";
    let items = r.list(field, nanoclaw_firewall::filter::MOST_WORDS, help)?;
    let words = items.iter().filter_map(|node| r.words(&field.element(node), help).map(str::to_owned));
    Some(words.collect())
}

/// Whether a filter can be called so.
fn named(r: &mut Reader<'_>, field: &Field<'_>, name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('-') || !name.bytes().all(fits) {
        let message = format!("`{}` cannot be the name of a filter", shown(name));
        r.error(field.place(), message, format!("write 1 to {MAX_NAME} of `a-z`, `0-9` and `-`"));
        return false;
    }
    if loss::kinds().iter().any(|kind| kind.id == name) {
        let message = format!("`{name}` is what NanoClaw calls a kind of data that it finds itself");
        r.error(field.place(), message, "choose another name");
        return false;
    }
    true
}

fn action_of(r: &mut Reader<'_>, field: &Field<'_>, finds: &Finds) -> Option<Verdict> {
    let mut words = vec![
        ("annotate", Verdict::Annotate),
        ("redact", Verdict::Redact),
        ("ask", Verdict::Ask),
        ("deny", Verdict::Deny),
    ];
    // A topic has no place that could be taken out.
    words.retain(|(_, action)| *action != Verdict::Redact || !matches!(finds, Finds::Topic { .. }));
    r.choice(field, &words)
}

fn channels_of(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<Channel>> {
    let help = "write a list such as `[output]`, of `user`, `tool`, `document`, `agent` and `output`";
    let chosen = words(r, field, &Channel::ALL.map(|channel| (channel.name(), channel)), help);
    if matches!(&field.node.kind, Kind::List(items) if items.is_empty()) {
        r.error(field.place(), "a filter without channels filters nothing", help);
    }
    (!chosen.is_empty()).then_some(chosen)
}

fn section(r: &mut Reader<'_>, field: &Field<'_>, said: &Said, settings: &mut Settings) {
    let help = "write a mapping such as `{ prompts: deny, results: quarantine, losses: redact }`";
    let Some(fields) = r.fields(field, &FIREWALL, help) else { return };
    let attacks = said.intents.contains(&Intent::NoPromptInjection);
    let contradicts = |r: &mut Reader<'_>, field: &Field<'_>, usual: &str| {
        let message = format!("`{}` takes back what `{}` asks for", field.name, Intent::NoPromptInjection.name());
        r.error(field.place(), message, format!("write `{usual}`, or remove that filter"));
    };
    if let Some(field) = fields.get("prompts") {
        let words = [("deny", Prompts::Deny), ("annotate", Prompts::Annotate), ("off", Prompts::Off)];
        settings.prompts = r.choice(&field, &words).unwrap_or_default();
        match settings.prompts {
            Prompts::Deny => {}
            Prompts::Annotate | Prompts::Off if attacks => contradicts(r, &field, "deny"),
            Prompts::Annotate => {}
            Prompts::Off => r.notice(field.key, true, "`prompts: off`: nothing is done about prompts that are attacks"),
        }
    }
    if let Some(field) = fields.get("results") {
        let words = [("quarantine", Results::Quarantine), ("annotate", Results::Annotate), ("off", Results::Off)];
        settings.results = r.choice(&field, &words).unwrap_or_default();
        match settings.results {
            Results::Quarantine => {}
            Results::Annotate | Results::Off if attacks => contradicts(r, &field, "quarantine"),
            Results::Annotate => {}
            Results::Off => {
                r.notice(
                    field.key,
                    true,
                    "`results: off`: nothing is done about what tools give that carries an attack",
                );
            }
        }
    }
    if let Some(field) = fields.get("losses") {
        losses(r, &field, said, settings);
    }
}

/// What can be done about data that must not leave.
const ACTIONS: [(&str, Verdict); 5] = [
    ("allow", Verdict::Allow),
    ("annotate", Verdict::Annotate),
    ("redact", Verdict::Redact),
    ("ask", Verdict::Ask),
    ("deny", Verdict::Deny),
];

fn losses(r: &mut Reader<'_>, field: &Field<'_>, said: &Said, settings: &mut Settings) {
    let Kind::Map(entries) = &field.node.kind else {
        if matches!(field.node.kind, Kind::Plain(_) | Kind::Quoted(_)) {
            if let Some(action) = r.choice(field, &ACTIONS) {
                groups(r, field, &SENSITIVE, action, said, settings);
            }
        } else {
            r.mismatch(
                field,
                "a text or a mapping",
                "write `losses: redact`, or `losses: { all: redact, card: deny }`",
            );
        }
        return;
    };
    // From the most general to the most exact, in whatever order they are written.
    for entry in entries.iter().filter(|entry| entry.key == "all") {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        if let Some(action) = r.choice(&item, &ACTIONS) {
            groups(r, &item, &SENSITIVE, action, said, settings);
        }
    }
    for entry in entries.iter().filter(|entry| entry.key != "all") {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        if let Some(group) = Group::ALL.into_iter().find(|group| group.name() == entry.key) {
            if let Some(action) = r.choice(&item, &ACTIONS) {
                groups(r, &item, &[group], action, said, settings);
            }
        } else if let Some(kind) = loss::kinds().iter().find(|kind| kind.id == entry.key) {
            let Some(action) = r.choice(&item, &ACTIONS) else { continue };
            settings.loss.kinds.insert(kind.id.to_owned(), action);
            for channel in LEAVING {
                settings.loss.actions.entry((channel, kind.group)).or_default();
            }
        } else {
            let names = Group::ALL.into_iter().map(Group::name).chain(loss::kinds().iter().map(|kind| kind.id));
            let key = entry.key.to_lowercase().replace([' ', '_'], "-");
            let near = names
                .filter(|_| key.len() <= MAX_NAME)
                .map(|name| (strsim::damerau_levenshtein(&key, name), name))
                .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
                .min_by_key(|(distance, _)| *distance);
            let help = match near {
                Some((_, name)) => format!("did you mean `{name}`?"),
                None => {
                    "write `all`, a group (`payment`, `identity`, `contact`, `secret`, `network`), or a kind such as \
                         `card`: the reference lists them"
                        .to_owned()
                }
            };
            r.error(entry.place, format!("`{}` is no kind of data that NanoClaw finds", shown(&entry.key)), help);
        }
    }
}

/// What is done about these groups of data when they leave.
fn groups(
    r: &mut Reader<'_>,
    field: &Field<'_>,
    groups: &[Group],
    action: Verdict,
    said: &Said,
    settings: &mut Settings,
) {
    let forbids = |intent: &&Intent| match intent.meaning() {
        Meaning::Losses { groups: theirs, channels, .. } => {
            channels.contains(&Channel::Output) && groups.iter().any(|group| theirs.contains(group))
        }
        Meaning::Attacks => false,
    };
    if action < Verdict::Redact
        && let Some(intent) = said.intents.iter().find(forbids)
    {
        let message = format!("`{}` takes back what `{}` asks for", field.name, intent.name());
        r.error(field.place(), message, "write `redact`, `ask` or `deny`, name single kinds, or remove that filter");
    }
    for channel in LEAVING {
        settings.loss.actions.extend(groups.iter().map(|group| ((channel, *group), action)));
    }
}
