//! `nanoclaw firewall`: what can be asked of the prompt firewall, without a fleet.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use nanoclaw_firewall::{Channel, Verdict};

use super::Quarantine;

/// What judges the texts that go into a model and come out of it.
#[derive(Debug, Subcommand)]
pub enum Firewall {
    /// Judge texts of standard input, one JSON verdict a line
    ///
    /// All of standard input is one text, or, with --jsonl, each line is an object `{"text": "…", "channel": "…"}`. Verdicts
    /// come in the order of the texts, each as soon as it is known. Ends with 0 whatever is found, with 1 if --fail-on says
    /// so, with 125 if a line could not be read: the others are judged all the same.
    Scan(Scan),
    /// Compare verdicts with expected ones
    ///
    /// The file is a YAML list, or JSON lines, of cases: `text`, `channel`, and `expect`, which is a verdict or says more
    /// (`verdict`, `level`, `flagged`, `dlp`, `rules`, `text`). Ends with 0 if all is as expected, with 1 if something is
    /// not.
    Test {
        /// The configuration whose filters and settings hold
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The cases; `-` is standard input
        file: PathBuf,
    },
    /// Say in words what the firewall knows, or what it makes of a text
    ///
    /// Without a name: levels, channels, rules, kinds of data, intents and the model. With `-`: how the text of standard
    /// input is read, what that shows, and what would be done with it in each channel.
    Explain {
        /// The configuration whose filters and settings hold
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A rule, a kind of data, an intent, a channel or a level; `-` is a text on standard input
        names: Vec<String>,
    },
    /// See what was withheld from models, and let it through or drop it
    Quarantine(Quarantine),
    /// Write the list of an organisation's own values, as `exact` of a prompt filter names it
    ///
    /// The list holds salted digests and no value. It is printed; values have 6 to 64 letters and digits.
    Hash {
        /// The values, one a line; `-` is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// `nanoclaw firewall scan`
#[derive(Debug, Args)]
pub struct Scan {
    /// The configuration whose filters and settings hold; without one, data that must not leave is redacted in what
    /// leaves (output, agent)
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whose words they are: `user`, `tool`, `document`, `agent` or `output`; an object may say otherwise for itself
    #[arg(long, default_value = "user", value_parser = channel)]
    pub channel: Channel,
    /// Each line is an object with a text of its own
    #[arg(long)]
    pub jsonl: bool,
    /// What `start` and `end` count in the text as it was given
    #[arg(long, value_enum, default_value_t = Offsets::Chars)]
    pub offsets: Offsets,
    /// End with 1 if a verdict is this or worse: `annotate`, `redact`, `ask` or `deny`
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    pub fail_on: Option<Verdict>,
}

/// What a position in a text counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Offsets {
    /// Unicode code points, as Python does
    Chars,
    /// Bytes of UTF-8
    Bytes,
}

/// The channel of this name.
pub fn channel(name: &str) -> Result<Channel, String> {
    let found = Channel::ALL.into_iter().find(|channel| channel.name() == name);
    found.ok_or_else(|| "write `user`, `tool`, `document`, `agent` or `output`".to_owned())
}

fn verdict(name: &str) -> Result<Verdict, String> {
    let found = Verdict::ALL.into_iter().find(|verdict| verdict.name() == name);
    found
        .filter(|verdict| *verdict > Verdict::Allow)
        .ok_or_else(|| "write `annotate`, `redact`, `ask` or `deny`".to_owned())
}
