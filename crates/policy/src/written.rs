//! Files with policies, in Cedar's own language.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode, Validator};
use nanoclaw_config::RuleSet;

use crate::engine::Mentions;
use crate::language::{Language, schema};
use crate::slice::ASK;

/// Policies that somebody wrote, checked against the schema.
#[derive(Debug, Default)]
pub struct Written {
    policies: PolicySet,
    /// What an author would tell those whom a policy refuses: its `@help`, by id.
    help: HashMap<String, String>,
    mentions: Mentions,
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
        if mistakes.is_empty() { Ok(written) } else { Err(mistakes) }
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
        let checked = Validator::new(schema.clone()).validate(&read, ValidationMode::Strict);
        for error in checked.validation_errors() {
            mistake(offset(error), error.to_string(), miette_help(error));
        }
        if !checked.validation_passed() {
            return;
        }
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
            if let Some(help) = policy.annotation("help") {
                self.help.insert(id.clone(), help.to_owned());
            }
            if self.policies.add(policy.new_id(PolicyId::new(&id))).is_err() {
                mistake(None, format!("two policies have the id `{id}`"), "each `@id` stands once".to_owned());
            }
        }
        self.mentions = self.mentions.and(Mentions::of(text));
    }

    pub(crate) fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.policies()
    }

    /// The policies as they stand in their files.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.policies.policies().map(ToString::to_string)
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

/// Where the mistake begins, in bytes.
fn offset(error: &dyn miette::Diagnostic) -> Option<usize> {
    error.labels()?.next().map(|label| label.offset())
}

fn miette_help(error: &dyn miette::Diagnostic) -> String {
    error.help().map(|help| help.to_string()).unwrap_or_default()
}

/// Line and column, from 1, of a byte.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
