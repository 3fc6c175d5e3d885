//! All mistakes of one file, ready to be read by a person.

use std::fmt;

use crate::source::{Excerpt, Hidden, Place, Source};

/// Most mistakes that one report holds; the rest is counted.
const MOST: usize = 100;

/// What is wrong with a configuration: every mistake that was found, in the order of the file.
///
/// `Display` renders all of them for a terminal, without colour and with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    mistakes: Vec<Mistake>,
    omitted: usize,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending text, escaped and cut; empty where something is missing.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// The next step.
    pub help: String,
    excerpt: Excerpt,
}

impl Report {
    /// The mistakes, in the order of the file; at most 100.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// How many more there are.
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, mistake) in self.mistakes.iter().enumerate() {
            if n > 0 {
                f.write_str("\n\n")?;
            }
            mistake.render(&self.file, f)?;
        }
        match self.mistakes.len() + self.omitted {
            0 | 1 => Ok(()),
            all if self.omitted == 0 => write!(f, "\n\n{all} mistakes in `{}`", self.file),
            all => write!(f, "\n\n{all} mistakes in `{}`, {} of them not shown", self.file, self.omitted),
        }
    }
}

impl Mistake {
    fn render(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = number.len();
        let bar = format!("\n{:gutter$}  |", "");
        writeln!(f, "error: {}", self.message)?;
        write!(f, "{:gutter$} --> {file}:{}:{}{bar}", "", self.line, self.column)?;
        write!(f, "\n {number} |")?;
        if !self.excerpt.line.is_empty() {
            write!(f, " {}", self.excerpt.line.trim_end())?;
        }
        let Excerpt { indent, carets, .. } = self.excerpt;
        write!(f, "{bar} {:indent$}{:^<carets$}", "", "")?;
        write!(f, "\n{:gutter$}  = help: {}", "", self.help)
    }
}

/// Collects mistakes while a file is read.
pub(crate) struct Mistakes<'t> {
    source: &'t Source<'t>,
    found: Vec<Found>,
    hidden: Vec<Hidden>,
    omitted: usize,
}

/// A mistake before it is known what must not be shown.
struct Found {
    place: Place,
    message: String,
    help: String,
}

impl<'t> Mistakes<'t> {
    pub(crate) fn new(source: &'t Source<'t>) -> Self {
        Self { source, found: Vec::new(), hidden: Vec::new(), omitted: 0 }
    }

    pub(crate) fn add(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        if self.found.len() == MOST {
            self.omitted += 1;
            return;
        }
        self.found.push(Found { place, message: message.into(), help: help.into() });
    }

    /// Keeps a stretch of the file out of every message, earlier ones included.
    pub(crate) fn hide(&mut self, hidden: Hidden) {
        self.hidden.push(hidden);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The report on `file`; without mistakes where nothing is wrong.
    pub(crate) fn into_report(mut self, file: &str) -> Report {
        self.found.sort_by_key(|found| (found.place.line, found.place.column));
        let shown = |Found { place, message, help }| {
            let excerpt = self.source.excerpt(place, &self.hidden);
            let Place { line, column, .. } = place;
            Mistake { line, column, text: excerpt.text.clone(), message, help, excerpt }
        };
        let mistakes = self.found.into_iter().map(shown).collect();
        Report { file: file.to_owned(), mistakes, omitted: self.omitted }
    }
}
