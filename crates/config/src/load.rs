//! Reading a configuration from a file or from text.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::decode::{Decoded, Wants, decode};
use crate::display::shown;
use crate::report::Mistakes;
use crate::source::{Place, Source};
use crate::{Config, Report};

/// Largest configuration file, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// A configuration without mistakes, and what its author should know all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What was asked for.
    pub config: Config,
    /// In the order of the file.
    pub notices: Vec<Notice>,
}

/// Something that is valid and that people should know: what this version reads but does not enforce, what is
/// switched off, and what is not what it looks like. Shown by `config check` and at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Whether it says that some protection is absent, so that it must stand out.
    pub loud: bool,
    /// One sentence without a full stop.
    pub message: String,
}

/// Why a file could not be loaded. `Display` begins with `error: ` and is ready for a terminal.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("error: cannot read `{}`: {reason}", shown(&.path.to_string_lossy()), reason = reason(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, a pipe, a device.
    #[error(
        "error: `{}` is not a regular file; name the configuration file itself, such as `nanoclaw-config.yaml`",
        shown(&.path.to_string_lossy())
    )]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It was read, and is wrong.
    #[error(transparent)]
    Invalid(#[from] Report),
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; write one, or name the one that is meant".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it; change its owner or mode".to_owned(),
        _ => error.to_string(),
    }
}

/// Reads and checks `path`: a regular file of at most 1 MiB of UTF-8. Relative host paths in it are resolved against the
/// directory that holds it, and must exist.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let read_error = |source| LoadError::Read { path: path.to_owned(), source };
    // Without waiting for a writer, in case it is a pipe.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    if !metadata.is_file() {
        return Err(LoadError::NotAFile { path: path.to_owned() });
    }
    let base = path.canonicalize().map_err(read_error)?.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(read_error)?;
    let name = name_of(path);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // A file cut at the limit can end inside a character.
        Err(_) if bytes.len() > MAX_FILE => return Err(too_large(&name).into()),
        Err(error) => return Err(not_utf8(&bytes, error.valid_up_to(), &name).into()),
    };
    let loaded = read(text, &name, &base, |decoded| {
        for place in &decoded.host_places {
            if let Some((message, help)) = missing(&place.path, place.wants) {
                decoded.mistakes.add(place.place, message, help);
            }
        }
    });
    loaded.map_err(LoadError::from)
}

/// Reads and checks `text`. `file` is how messages call it; relative host paths are resolved against `base`, which
/// should be absolute and without symbolic links. Nothing outside `text` is looked at.
pub fn parse(text: &str, file: &Path, base: &Path) -> Result<Loaded, Report> {
    read(text, &name_of(file), base, |_| {})
}

fn read(text: &str, name: &str, base: &Path, look: impl FnOnce(&mut Decoded<'_>)) -> Result<Loaded, Report> {
    if text.len() > MAX_FILE {
        return Err(too_large(name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(text);
    let mut decoded = decode(text, &source, base);
    look(&mut decoded);
    decoded.finish(name).map(|(config, notices)| Loaded { config, notices })
}

pub(crate) fn name_of(path: &Path) -> String {
    let mut name = String::new();
    for c in path.to_string_lossy().chars() {
        crate::display::push_visible(&mut name, c);
    }
    name
}

/// How a model in GGUF begins.
const GGUF: [u8; 4] = *b"GGUF";

/// The first bytes of a regular file; zeros where it is shorter.
fn begins(path: &Path) -> io::Result<[u8; 4]> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut bytes = [0; 4];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(bytes),
    }
}

/// What is wrong with a host path that the file names.
fn missing(path: &Path, wants: Wants) -> Option<(String, String)> {
    let name = shown(&path.to_string_lossy());
    let (message, help) = match (path.metadata().map(|m: Metadata| m.is_dir()), wants) {
        (Ok(_), Wants::Anything) | (Ok(true), Wants::Root | Wants::Directory) | (Ok(false), Wants::File) => {
            return None;
        }
        (Ok(false), Wants::Gguf) => {
            // What this user cannot read is told when the cell starts.
            if begins(path).is_ok_and(|bytes| bytes != GGUF) {
                let message = format!("`{name}` is no model in GGUF: it does not begin with `GGUF`");
                (message, "name a `.gguf` file, downloaded whole".to_owned())
            } else {
                return None;
            }
        }
        (Ok(false), Wants::Root) => {
            (format!("`{name}` is not a directory"), "name the directory to use as `/`".to_owned())
        }
        (Ok(false), Wants::Directory) => {
            (format!("`{name}` is not a directory"), "name the directory itself".to_owned())
        }
        (Ok(true), Wants::File | Wants::Gguf) => {
            (format!("`{name}` is a directory"), "name the file itself".to_owned())
        }
        (Err(error), wants) if error.kind() == io::ErrorKind::NotFound => {
            let help = match wants {
                Wants::File | Wants::Gguf => "put the file there, or mend the path".to_owned(),
                Wants::Anything | Wants::Root | Wants::Directory => {
                    format!("create it, for example with `mkdir -p {name}`, or mend the path")
                }
            };
            (format!("`{name}` does not exist"), help)
        }
        (Err(error), _) => {
            (format!("`{name}` cannot be looked at: {error}"), "mend the path or its permissions".to_owned())
        }
    };
    Some((message, help))
}

/// A report with one mistake about the file as a whole.
fn whole_file(text: &str, place: Place, name: &str, message: String, help: &str) -> Report {
    let source = Source::new(text);
    let mut mistakes = Mistakes::new(&source);
    mistakes.add(place, message, help);
    mistakes.into_report(name)
}

pub(crate) fn too_large(name: &str) -> Report {
    let place = Place { line: 1, column: 1, width: 1 };
    whole_file(
        "",
        place,
        name,
        format!("the file is larger than {MAX_FILE} bytes"),
        "split the fleet into several files",
    )
}

fn not_utf8(bytes: &[u8], at: usize, name: &str) -> Report {
    let text = String::from_utf8_lossy(bytes);
    let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    let source = Source::new(&before);
    let (line, column) = (source.lines().count(), source.lines().last().map_or(0, |line| line.chars().count()));
    let byte = bytes.get(at).copied().unwrap_or_default();
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let help = if utf16 {
        "it looks like UTF-16; save it as UTF-8"
    } else {
        "save the file as UTF-8, for example with `iconv -t utf-8`"
    };
    let place = Place { line, column: column + 1, width: 1 };
    whole_file(&text, place, name, format!("the file is not UTF-8: byte 0x{byte:02x} begins no character"), help)
}
