//! Making a NanoClaw configuration of an OpenClaw one.
//!
//! Nothing is left out silently: each setting is carried over, changed, or not carried over, and the [`Report`] says
//! which and why. No secret is copied, shown or written. What cannot be expressed makes the result stricter, or is said
//! to be lost. The result is checked with the same parser that `nanoclaw up` uses before anybody sees it.
//!
//! OpenClaw's keys are those of its documentation, version 2026.9.6 (`gateway/configuration-reference`), and
//! `agents.list`, which was their roster before `agents.entries`.

mod agents;
mod elsewhere;
mod models;
mod names;
mod node;
mod providers;
mod read;
mod report;
mod sandbox;
mod secrets;
mod tools;
mod yaml;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use self::agents::Agents;
use self::models::Models;
use self::node::Node;
use self::providers::Providers;
pub use self::report::Report;
use self::secrets::Secrets;

/// Largest configuration in bytes, as in OpenClaw.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("`{}`: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too long.
    #[error("`{}` is longer than {MAX_FILE} bytes, which OpenClaw does not take either", .0.display())]
    TooLong(PathBuf),
    /// It is not JSON5.
    #[error("`{}` is not JSON5: {error}", .path.display())]
    NotJson5 {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        error: String,
    },
    /// It is not an object.
    #[error("`{}` holds no object, as configurations of OpenClaw do", .0.display())]
    NotObject(PathBuf),
    /// No model is left.
    #[error(
        "no agent could be carried over, because none has a model that could; mend what is listed above, or write `models.providers` by hand (docs: `nanoclaw config schema`)"
    )]
    NoModel,
    /// What was made is wrong.
    #[error("what was made of it is not valid, so nothing was written:\n{0}")]
    Invalid(#[from] nanoclaw_config::Report),
}

/// What paths are relative to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What `~` stands for.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of whoever imports.
    pub fn of_this_user() -> Self {
        Self { home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from) }
    }
}

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// What became of each part.
    pub report: Report,
    /// The configuration, valid.
    pub configuration: Result<String, ImportError>,
}

/// Imports a file.
///
/// # Errors
/// It cannot be read, or is not an OpenClaw configuration.
pub fn file(path: &Path, surroundings: &Surroundings) -> Result<Imported, ImportError> {
    let failed = |source| ImportError::Read { path: path.to_path_buf(), source };
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_FILE {
        return Err(ImportError::TooLong(path.to_path_buf()));
    }
    let base = path.canonicalize().map_err(failed)?.parent().map(Path::to_path_buf).unwrap_or_default();
    import(&text, path, &base, surroundings)
}

fn import(text: &str, name: &Path, base: &Path, surroundings: &Surroundings) -> Result<Imported, ImportError> {
    let path = || name.to_path_buf();
    let value = read::json5(text).map_err(|error| ImportError::NotJson5 { path: path(), error })?;
    if !value.is_object() {
        return Err(ImportError::NotObject(path()));
    }
    let root = Node::root(&value);
    let mut report = Report::default();
    let secrets = Secrets::read(&root, surroundings.home.as_deref(), base);
    let providers = Providers::read(root.get("models").as_ref(), &secrets, &mut report);
    let mut models = Models::read(providers, root.at(&["agents", "defaults"]).as_ref(), &mut report);
    let agents = Agents::read(&root, &mut models, &secrets, &mut report);
    elsewhere::leave(&root, &mut report);
    node::includes(&root, &mut report);
    let configuration = if agents.is_empty() { Err(ImportError::NoModel) } else { write(name, &models, &agents) };
    Ok(Imported { report, configuration })
}

/// Writes the configuration, and reads it as NanoClaw will.
fn write(name: &Path, models: &Models<'_>, agents: &Agents) -> Result<String, ImportError> {
    let mut lines = vec![
        yaml::comment(&format!("Made of `{}` by `nanoclaw openclaw import`.", name.display())),
        "# Each comment names the setting of OpenClaw's configuration that the lines below it come from.".to_owned(),
        "# Keys are read from the environment in which `nanoclaw up` runs, and stay out of the cells.".to_owned(),
        String::new(),
        "# Every agent runs in a cell: no privileges, no network but the model door, nothing of the host to write to."
            .to_owned(),
        "sandbox_mode: restricted".to_owned(),
        String::new(),
    ];
    models.write(&mut lines);
    lines.push(String::new());
    agents.write(&mut lines);
    let mut text = lines.join("\n");
    text.push('\n');
    nanoclaw_config::parse(&text, Path::new("nanoclaw-config.yaml"), Path::new("/"))?;
    Ok(text)
}

#[cfg(test)]
mod tests;
