//! What a person types, with a line editor; or what a program writes, a turn a line.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use nanoclaw_server::state::State;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::slash::WORDS;
use crate::output::{self, Failure};

/// Most entries that the history keeps.
const MAX_HISTORY: usize = 1000;

/// What came.
pub(super) enum Read {
    /// A whole text.
    Text(String),
    /// The line was given up; doing that again leaves.
    Again,
    /// Nothing more comes.
    End,
}

/// Where it comes from.
pub(super) enum Input {
    Terminal { editor: Box<Editor<Typing, FileHistory>>, prompt: String, history: Option<PathBuf>, given_up: bool },
    Lines,
}

impl Input {
    /// A line editor, where standard input and output are a terminal.
    pub(super) fn open(state: &State, agent: &str) -> Self {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Input::Lines;
        }
        let settings = Config::builder().max_history_size(MAX_HISTORY).and_then(|settings| {
            Ok(settings.history_ignore_dups(true)?.history_ignore_space(true).auto_add_history(true).build())
        });
        let editor = settings.and_then(Editor::<Typing, FileHistory>::with_config);
        let Ok(mut editor) = editor else { return Input::Lines };
        editor.set_helper(Some(Typing));
        let history = keep(state).filter(|path| editor.load_history(path).is_ok());
        Input::Terminal { editor: Box::new(editor), prompt: format!("{agent}> "), history, given_up: false }
    }

    /// Whether somebody types.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Input::Terminal { .. })
    }

    /// The next text that is not empty.
    pub(super) fn read(&mut self, runtime: &Runtime) -> Result<Read, Failure> {
        loop {
            let read = match self {
                Input::Lines => lines(runtime)?,
                Input::Terminal { editor, prompt, history, given_up } => {
                    let read = typed(editor, prompt, given_up)?;
                    if let (Read::Text(_), Some(path)) = (&read, history.as_ref())
                        && let Err(error) = editor.append_history(path)
                    {
                        output::notice(format_args!("history `{}`: {error}", path.display()));
                        *history = None;
                    }
                    read
                }
            };
            match read {
                Read::Text(text) if text.trim().is_empty() => {}
                read => return Ok(read),
            }
        }
    }
}

/// The file that keeps what was typed, for its owner only. `None` where it cannot be kept: what root types to another
/// user's agent is not.
fn keep(state: &State) -> Option<PathBuf> {
    let owner = std::fs::metadata(state.directory()).ok()?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return None;
    }
    let path = state.directory().join("chat-history");
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path);
    match opened {
        Ok(_) => Some(path),
        Err(error) => {
            output::notice(format_args!("history `{}`: {error}; what you type is not kept", path.display()));
            None
        }
    }
}

fn typed(editor: &mut Editor<Typing, FileHistory>, prompt: &str, given_up: &mut bool) -> Result<Read, Failure> {
    match editor.readline(prompt) {
        Ok(text) => {
            *given_up = false;
            Ok(Read::Text(joined(&text)))
        }
        Err(ReadlineError::Interrupted) if std::mem::replace(given_up, true) => Ok(Read::End),
        Err(ReadlineError::Interrupted) => Ok(Read::Again),
        Err(ReadlineError::Eof) => Ok(Read::End),
        Err(error) => Err(error.into()),
    }
}

/// Lines of standard input until they are a whole text.
fn lines(runtime: &Runtime) -> Result<Read, Failure> {
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let reading = tokio::task::spawn_blocking(|| {
            let mut text = String::new();
            while io::stdin().lock().read_line(&mut text)? > 0 {
                if is_whole(text.trim_end_matches(['\n', '\r'])) {
                    break;
                }
            }
            Ok::<_, io::Error>(text)
        });
        let text = tokio::select! {
            text = reading => text??,
            // Whoever waits for standard input cannot be called back.
            _ = interrupt.recv() => std::process::exit(i32::from(super::INTERRUPTED)),
        };
        if text.is_empty() {
            return Ok(Read::End);
        }
        Ok(Read::Text(joined(text.trim_end_matches(['\n', '\r']))))
    })
}

/// Whether nothing is missing: no backslash at the end, and no code block that is still open.
fn is_whole(text: &str) -> bool {
    let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
    let backslashes = text.chars().rev().take_while(|c| *c == '\\').count();
    fences % 2 == 0 && backslashes % 2 == 0
}

/// The text without the backslashes that made it go on.
fn joined(text: &str) -> String {
    text.replace("\\\r\n", "\n").replace("\\\n", "\n")
}

/// How the line editor helps.
pub(super) struct Typing;

impl Helper for Typing {}

impl Hinter for Typing {
    type Hint = String;
}

impl Highlighter for Typing {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        // Not asked for where there are to be no colours.
        Cow::Owned(format!("\u{1b}[1m{prompt}\u{1b}[0m"))
    }
}

impl Validator for Typing {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Typing {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _context: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..pos).unwrap_or_default();
        let fits = |word: &&&str| typed.starts_with('/') && word.starts_with(typed);
        Ok((0, WORDS.iter().filter(fits).map(|word| (*word).to_owned()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_or_an_open_code_block_goes_on() {
        assert!(is_whole("a"));
        assert!(!is_whole("a\\"));
        assert!(is_whole("a\\\\"), "an escaped one does not");
        assert!(!is_whole("see:\n```sh\nls"));
        assert!(is_whole("see:\n```sh\nls\n```"));
        assert!(is_whole("a ``` in a line"));
        assert_eq!(joined("a\\\nb\\\r\nc"), "a\nb\nc");
    }

    #[test]
    fn the_history_is_for_its_owner_only_and_no_link_is_followed() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let state = State::open(Some(directory.path())).unwrap();
        let path = keep(&state).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(keep(&state), None);
    }
}
