//! Files with policies, in Cedar's own language.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ValidationMode, ValidationWarning, Validator,
};
use nanoclaw_config::RuleSet;

use crate::language::{Language, schema};
use crate::made::Mentions;
use crate::slice::{ASK, PEOPLES_ACTIONS, covers};

/// Policies that somebody wrote, checked against the schema.
#[derive(Debug, Default)]
pub struct Written {
    policies: PolicySet,
    /// What an author would tell those whom a policy refuses: its `@help`, by id.
    help: HashMap<String, String>,
    mentions: Mentions,
    /// What their authors should know.
    notices: Vec<String>,
}

/// Why a file with policies is not taken.
#[derive(Debug, thiserror::Error)]
pub struct WrittenError {
    /// Which file.
    pub path: PathBuf,
    /// Line and column, from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for WrittenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}

impl Written {
    /// Reads the policies of `files`, each a path and its text. A policy is known by its `@id`, or by its file and number.
    ///
    /// # Errors
    /// Every mistake in every file.
    pub fn read<'f>(files: impl IntoIterator<Item = (&'f Path, &'f str)>) -> Result<Self, Vec<WrittenError>> {
        let mut written = Self::default();
        let mut mistakes = Vec::new();
        for (path, text) in files {
            written.add(path, text, &mut mistakes);
        }
        written.unlooked();
        if mistakes.is_empty() { Ok(written) } else { Err(mistakes) }
    }

    /// Notes which policies let requests pass unread that other policies are about.
    fn unlooked(&mut self) {
        let Ok(language) = Language::get() else { return };
        let about = |policy: &Policy, action: &str| {
            let scope = policy.action_constraint();
            scope != ActionConstraint::Any && covers(&scope, &language.action.of(action))
        };
        let forbids = |policy: &&Policy| policy.effect() == Effect::Forbid && about(policy, "http_request");
        let Some(other) = self.policies.policies().find(forbids).map(|policy| policy.id().to_string()) else { return };
        let looks = |policy: &Policy| {
            policy.to_json().is_ok_and(|json| {
                let json = json.to_string();
                json.contains("agrees") || json.contains("evidence")
            })
        };
        let unread =
            |policy: &&Policy| policy.effect() == Effect::Permit && about(policy, "net_connect") && !looks(policy);
        let notice = |policy: &Policy| {
            format!(
                "policy `{}` permits connections whatever is spoken on them, so that policies about http_request, such as `{other}`, are not asked there; add `context.agrees` to its conditions",
                policy.id()
            )
        };
        let notices: Vec<String> = self.policies.policies().filter(unread).map(notice).collect();
        self.notices.extend(notices);
    }

    fn add(&mut self, path: &Path, text: &str, mistakes: &mut Vec<WrittenError>) {
        let mut mistake = |offset: Option<usize>, message: String, help: String| {
            let place = offset.map(|offset| place(text, offset));
            mistakes.push(WrittenError { path: path.to_path_buf(), place, message, help });
        };
        let (language, schema) = match Language::get().and_then(|language| Ok((language, schema()?))) {
            Ok(both) => both,
            Err(error) => return mistake(None, error, String::new()),
        };
        let read: PolicySet = match text.parse::<PolicySet>() {
            Ok(read) => read,
            Err(errors) => {
                for error in errors.iter() {
                    let help = miette_help(error);
                    mistake(offset(error), error.to_string(), help);
                }
                return;
            }
        };
        if read.templates().next().is_some() {
            let help = "write the policy for each principal or resource, without `?principal` and `?resource`";
            return mistake(None, "a template is nothing that can be decided by".to_owned(), help.to_owned());
        }
        if self.policies.num_of_policies() + read.num_of_policies() > MOST_WRITTEN {
            let message = format!("the files have more than {MOST_WRITTEN} policies");
            return mistake(None, message, "say more in one, with groups and sets".to_owned());
        }
        let checked = Validator::new(schema.clone()).validate(&read, ValidationMode::Strict);
        for error in checked.validation_errors() {
            mistake(offset(error), said(error), miette_help(error));
        }
        if !checked.validation_passed() {
            return;
        }
        let notice = |warning: &ValidationWarning| {
            let place = offset(warning).map(|offset| place(text, offset));
            let (message, help) = (said(warning), miette_help(warning));
            WrittenError { path: path.to_path_buf(), place, message, help }.to_string()
        };
        self.notices.extend(checked.validation_warnings().map(notice));
        let stem = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let mut policies: Vec<&Policy> = read.policies().collect();
        // In the order of the file: Cedar numbers them.
        policies
            .sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(0));
        for (number, policy) in policies.into_iter().enumerate() {
            let id = policy.annotation("id").map_or_else(|| format!("{stem}#{}", number + 1), str::to_owned);
            if reserved(&id, language) {
                let help = "choose another `@id`".to_owned();
                mistake(None, format!("`{id}` is the id of a policy of NanoClaw's own"), help);
                continue;
            }
            if policy.annotation(ASK).is_some() && policy.effect() != Effect::Forbid {
                let help = "write it as a `forbid`, which a person can lift for one request".to_owned();
                mistake(None, format!("`{id}` permits, and `@ask` is for policies that forbid"), help);
                continue;
            }
            if let Some(why) = unsuitable(&id, policy) {
                mistake(None, why, "write a short text in one line".to_owned());
                continue;
            }
            match policy.to_json() {
                Ok(json) => self.mentions = self.mentions.and(Mentions::of(&json.to_string())),
                Err(error) => {
                    mistake(None, format!("`{id}`: {error}"), String::new());
                    continue;
                }
            }
            if let Some(help) = policy.annotation("help") {
                self.help.insert(id.clone(), help.to_owned());
            }
            if self.policies.add(policy.new_id(PolicyId::new(&id))).is_err() {
                mistake(None, format!("two policies have the id `{id}`"), "each `@id` stands once".to_owned());
            }
        }
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.policies()
    }

    /// The policies as they stand in their files.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.policies.policies().map(ToString::to_string)
    }

    /// What their authors should know though they are valid, such as that one can never hold.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// What policies speak of by name: the policy's id, and the type and id of the entity.
    pub fn names(&self) -> impl Iterator<Item = (String, String, String)> {
        let of_one = |policy: &Policy| {
            let id = policy.id().to_string();
            let named = move |uid: EntityUid| {
                (id.clone(), uid.type_name().basename().to_owned(), uid.id().unescaped().to_owned())
            };
            policy.entity_literals().into_iter().map(named).collect::<Vec<_>>()
        };
        self.policies.policies().flat_map(of_one)
    }

    /// Those that can be about what people and triggers do, as they stand in their files.
    pub fn of_people(&self) -> impl Iterator<Item = String> {
        let is_agent = |kind: &EntityTypeName| matches!(kind.basename(), "Agent" | "Group");
        let by_people = move |policy: &&Policy| match policy.principal_constraint() {
            PrincipalConstraint::Any => true,
            PrincipalConstraint::Is(kind) | PrincipalConstraint::IsIn(kind, _) => !is_agent(&kind),
            PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) => !is_agent(uid.type_name()),
        };
        let of_theirs = |policy: &&Policy| {
            let scope = policy.action_constraint();
            Language::get()
                .is_ok_and(|language| PEOPLES_ACTIONS.iter().any(|action| covers(&scope, &language.action.of(action))))
        };
        self.policies.policies().filter(by_people).filter(of_theirs).map(ToString::to_string)
    }

    pub(crate) fn help(&self, id: &str) -> Option<&str> {
        self.help.get(id).map(String::as_str)
    }

    pub(crate) fn mentions(&self) -> Mentions {
        self.mentions
    }
}

/// Whether the record must be able to tell this id from an author's.
fn reserved(id: &str, language: &Language) -> bool {
    let base = language.base.policies().any(|policy| AsRef::<str>::as_ref(policy.id()) == id);
    let of_set = RuleSet::ALL.iter().any(|set| id.starts_with(&format!("{}.", set.name())));
    base || of_set || id.starts_with("agents.") || id.starts_with("allowed_networks[") || id.starts_with("--")
}

/// Most policies in files: each agent has its own selection of them made, at once.
const MOST_WRITTEN: usize = 10_000;
/// Longest id of a policy in bytes: it stands in each record of a decision.
const LONGEST_ID: usize = 128;
/// Longest `@help` and `@ask` in bytes.
const LONGEST_WORDS: usize = 1024;

/// Why people could not do with the policy's id, or with what it tells them.
fn unsuitable(id: &str, policy: &Policy) -> Option<String> {
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        let shown: String = id.escape_debug().take(LONGEST_ID).collect();
        return Some(format!("`{shown}` is no id of 1 to {LONGEST_ID} bytes in one line"));
    }
    if policy.annotation(ASK).is_some_and(|why| why.trim().is_empty()) {
        return Some(format!("`@ask` of `{id}` does not say why, and people read that"));
    }
    let words = ["help", ASK].into_iter().filter_map(|key| Some((key, policy.annotation(key)?)));
    let long = |(_, text): &(&str, &str)| text.len() > LONGEST_WORDS;
    words.into_iter().find(long).map(|(key, _)| format!("`@{key}` of `{id}` is longer than {LONGEST_WORDS} bytes"))
}

/// What is said of a policy, without the number that Cedar knows it by.
fn said(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let after = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
    after.map_or_else(|| text.clone(), |(_, said)| said.to_owned())
}

/// Where the mistake begins, in bytes.
fn offset(error: &dyn miette::Diagnostic) -> Option<usize> {
    error.labels()?.next().map(|label| label.offset())
}

fn miette_help(error: &dyn miette::Diagnostic) -> String {
    error.help().map(|help| help.to_string()).unwrap_or_default()
}

/// Line and column, from 1, of a byte.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
