//! Makes the weights of the prompt firewall's classifier, and its model card.
//!
//! The same data gives the same file, byte for byte. `--leave-one-out` first learns as often as there are parts of sources,
//! each time without one of them, to see how well the model does on sources that it has not seen.

#![forbid(unsafe_code)]

mod card;
mod chance;
mod corpus;
mod learn;
mod make;
mod measure;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use nanoclaw_firewall::model::Concepts;
use nanoclaw_firewall::model::weights::{self, Calibration, HEADS, Head, Weights, WeightsError};

use corpus::{FOLDS, Text};
use learn::{Example, Learned};

/// Why there are no weights.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line of a file is no text to learn from.
    #[error("line {number} of `{path}` is no text to learn from: {error}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        number: usize,
        /// Why.
        error: serde_json::Error,
    },
    /// A file cannot be written.
    #[error("`{path}` cannot be written: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The command line is not understood.
    #[error("`{0}` is not understood; use `--data FILE`, `--own DIRECTORY`, `--to DIRECTORY`, `--leave-one-out`")]
    Argument(String),
    /// What was learned is no file of weights.
    #[error("what was learned cannot be used: {0}")]
    Weights(#[from] WeightsError),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nanoclaw-firewall-train: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the command line asks for.
struct Arguments {
    data: PathBuf,
    own: PathBuf,
    /// The top of the repository, where the weights and the card go.
    to: PathBuf,
    only_measure: bool,
}

impl Arguments {
    fn read(mut given: impl Iterator<Item = String>) -> Result<Self, Error> {
        let (data, own) = ("../shared/data/firewall/train.jsonl.gz".into(), "training".into());
        let mut arguments = Self { data, own, to: ".".into(), only_measure: false };
        while let Some(name) = given.next() {
            let place = match name.as_str() {
                "--data" => &mut arguments.data,
                "--own" => &mut arguments.own,
                "--to" => &mut arguments.to,
                "--leave-one-out" => {
                    arguments.only_measure = true;
                    continue;
                }
                _ => return Err(Error::Argument(name)),
            };
            *place = given.next().ok_or(Error::Argument(name))?.into();
        }
        Ok(arguments)
    }
}

fn run() -> Result<(), Error> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let texts = texts(&arguments)?;
    let mut school = School::new(texts);
    let unseen = school.leave_out();
    let learned = school.learn(|_| true);
    let mut levels = [[0.0; 3]; HEADS];
    let kept = school.kept(&learned);
    for (head, levels) in levels.iter_mut().enumerate() {
        *levels = measure::levels(&school.texts, &kept, head);
        // What merely instructs is told from what merely describes by few sources: without one, too little is known.
        if head != Head::Instructs as usize {
            let others = measure::levels(&school.texts, &unseen, head);
            for (level, other) in levels.iter_mut().zip(others) {
                *level = level.max(other);
            }
        }
    }
    let mut heads = [Calibration::default(); HEADS];
    for (((head, levels), scale), bias) in heads.iter_mut().zip(levels).zip(learned.scales).zip(learned.biases) {
        *head = Calibration { scale, bias, levels };
    }
    let file = weights::file(&heads, &learned.table);
    let digest = Weights::parse(&file)?.digest;
    let card = card::card(&school.texts, &unseen, &levels, digest);
    if arguments.only_measure {
        println!("{card}");
        return Ok(());
    }
    write(&arguments.to.join("crates/firewall/src/model/weights.bin"), &file)?;
    write(&arguments.to.join("docs/MODEL-CARD.md"), card.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|error| Error::Write { path: path.to_owned(), error })
}

/// All texts: of the data, our own, and those made of them.
fn texts(arguments: &Arguments) -> Result<Vec<Text>, Error> {
    let mut texts = corpus::read(&arguments.data, None)?;
    let wrong = |error: std::io::Error| Error::Read { path: arguments.own.clone(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&arguments.own).map_err(wrong)? {
        files.push(entry.map_err(wrong)?.path());
    }
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "jsonl")) {
        texts.extend(corpus::read(file, file.file_stem().and_then(|name| name.to_str()))?);
    }
    texts.extend(make::make(&texts));
    Ok(texts)
}

/// Texts and what the model sees of them.
struct School {
    texts: Vec<Text>,
    examples: Vec<Example>,
    started: Instant,
}

impl School {
    fn new(texts: Vec<Text>) -> Self {
        let started = Instant::now();
        let concepts = Concepts::new();
        let examples = texts.iter().map(|text| Example::new(&concepts, text)).collect();
        let school = Self { texts, examples, started };
        school.say(&format!("{} texts read", school.texts.len()));
        school
    }

    fn say(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.started.elapsed().as_secs_f32());
    }

    /// Learns of all texts of these parts but those that are kept for calibration.
    fn learn(&mut self, parts: impl Fn(usize) -> bool) -> Learned {
        let used: Vec<bool> = self.texts.iter().map(|text| parts(text.fold) && !text.is_for_calibration()).collect();
        learn::weigh(&self.texts, &mut self.examples, &used);
        let examples: Vec<&Example> =
            self.examples.iter().zip(&used).filter(|(_, used)| **used).map(|(example, _)| example).collect();
        learn::learn(&examples, 1)
    }

    /// The logits of each text by a model that has not seen its part.
    fn leave_out(&mut self) -> Vec<[f32; HEADS]> {
        let mut logits = vec![[f32::NAN; HEADS]; self.texts.len()];
        for fold in 0..FOLDS {
            let learned = self.learn(|other| other != fold);
            self.judge(&learned, |text| text.fold == fold, &mut logits);
            self.say(&format!("learned without part {} of {FOLDS}", fold + 1));
        }
        logits
    }

    /// The logits of the texts that are kept for calibration.
    fn kept(&self, learned: &Learned) -> Vec<[f32; HEADS]> {
        let mut logits = vec![[f32::NAN; HEADS]; self.texts.len()];
        self.judge(learned, Text::is_for_calibration, &mut logits);
        logits
    }

    fn judge(&self, learned: &Learned, which: impl Fn(&Text) -> bool, logits: &mut [[f32; HEADS]]) {
        let chosen: Vec<usize> =
            self.texts.iter().enumerate().filter(|(_, text)| which(text)).map(|(number, _)| number).collect();
        let examples: Vec<&Example> = chosen.iter().filter_map(|number| self.examples.get(*number)).collect();
        for (number, found) in chosen.into_iter().zip(learned.logits(&examples)) {
            if let Some(place) = logits.get_mut(number) {
                *place = found;
            }
        }
    }
}
