//! The texts to learn from: where they come from, and what each head is to make of them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use flate2::read::GzDecoder;
use nanoclaw_firewall::model::weights::HEADS;
use serde::Deserialize;

use crate::Error;
use crate::chance::digest;

/// How many parts the sources are dealt into; see [`Text::fold`].
pub const FOLDS: usize = 6;

/// What a head is to say of a text; `None`: the text is not for it.
pub type Wants = [Option<bool>; HEADS];

/// A text to learn from.
#[derive(Clone, Debug)]
pub struct Text {
    /// It.
    pub text: String,
    /// Where it comes from.
    pub source: String,
    /// Whether it speaks as a user, and not as a tool.
    pub user: bool,
    /// Whether it is an attack.
    pub attack: bool,
    /// Whether it is Chinese.
    pub chinese: bool,
    /// What each head is to say.
    pub wants: Wants,
    /// Its source's part: sources of one part are left out together.
    pub fold: usize,
    /// Whether it was made of others, and so proves nothing.
    pub made: bool,
    /// Where in it the attack is, if only there.
    pub at: Option<Range<usize>>,
    /// The licence of its source.
    pub licence: String,
}

impl Text {
    /// Whether it is kept from learning, to set the levels by.
    pub fn is_for_calibration(&self) -> bool {
        !self.made && !self.attack && digest(&self.text).is_multiple_of(8)
    }

    /// Whether its source was written, or collected, because such texts look like attacks.
    pub fn is_hard(&self) -> bool {
        self.source.contains("hard") || matches!(self.source.as_str(), "langgpt" | "plexpt_prompts")
    }
}

#[derive(Deserialize)]
struct Row {
    text: String,
    label: u8,
    kind: String,
    channel: String,
    #[serde(default)]
    source: String,
    lang: String,
    #[serde(default)]
    licence: String,
}

/// The texts of a file of one JSON object a line, packed or not. Those of our own files have the file's name as source.
pub fn read(path: &Path, own: Option<&str>) -> Result<Vec<Text>, Error> {
    let wrong = |error: std::io::Error| Error::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(wrong)?;
    let reader: Box<dyn Read> =
        if path.extension().is_some_and(|end| end == "gz") { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut texts = Vec::new();
    for (line, number) in BufReader::new(reader).lines().zip(1..) {
        let row: Row = serde_json::from_str(&line.map_err(wrong)?).map_err(|error| Error::Line {
            path: path.to_owned(),
            number,
            error,
        })?;
        texts.push(text(row, own));
    }
    Ok(texts)
}

fn text(row: Row, own: Option<&str>) -> Text {
    let user = row.channel == "user";
    let attack = row.label == 1;
    let chinese = row.lang.starts_with("zh");
    let source = own.map_or(row.source, |file| {
        let hard = if row.kind == "benign-hard" && !file.contains("hard") { "-hard" } else { "" };
        format!("{file}{hard}:{}", row.channel)
    });
    let marked = is_marked(&row.text);
    // Labels of these are of doubtful worth where the text itself says nothing of an attack.
    let doubtful = matches!(
        source.as_str(),
        "s-labs" | "neuralchemy" | "pa:jackhhao/jailbreak" | "pa:satml-ctf-2024" | "yanismiraoui"
    );
    let sure = !(doubtful && !marked && row.kind == "direct");
    let wants = match (attack, user) {
        (true, true) => [
            sure.then_some(true),
            (marked && row.kind == "direct" && speaks_over(&row.text)).then_some(true),
            Some(true),
        ],
        (true, false) => [None, (own.is_some() || speaks_over(&row.text)).then_some(true), Some(true)],
        (false, true) => [Some(false), Some(false), (row.kind == "benign-user").then_some(true)],
        (false, false) => {
            let descriptive = matches!(
                source.as_str(),
                "csl_zh"
                    | "code_gitleaks"
                    | "code_presidio"
                    | "presidio_synth"
                    | "pystdlib"
                    | "gpteacher_out"
                    | "swelancer_issue"
                    | "tau_tool"
            );
            let orders = matches!(source.as_str(), "awesome_copilot" | "langgpt");
            let instructs = if descriptive { Some(false) } else { orders.then_some(true) };
            [Some(false), Some(false), instructs]
        }
    };
    let fold = fold(&source);
    let licence = if own.is_some() { "own".to_owned() } else { row.licence };
    Text { text: row.text, source, user, attack, chinese, wants, fold, made: false, at: None, licence }
}

/// The part of a source. Sources of one hand are in one part.
pub fn fold(source: &str) -> usize {
    const PARTS: [&[&str]; FOLDS] = [
        &["s-labs", "javaguide_zh", "swelancer_issue", "tldr", "zh-hans-tool:tool", "tau_user"],
        &[
            "neuralchemy",
            "mcp_servers",
            "npm_readme",
            "rust_book",
            "own_zh_synth",
            "tau_tool",
            "tau2_policy",
            "zh-hard:user",
            "zh-hard:tool",
        ],
        &[
            "pa:satml-ctf-2024",
            "pa:lakera/gandalf",
            "t0_tasks",
            "awesome_copilot",
            "code_gitleaks",
            "code_presidio",
            "plexpt_prompts",
            "pa:benign",
        ],
        &[
            "pa:jackhhao/jailbreak",
            "verazuo_jb",
            "pa:trustai/in-the-wild",
            "garak_dan",
            "garak_tap",
            "gpteacher",
            "gpteacher_out",
            "zh-more:user",
            "zh-more:tool",
        ],
        &[
            "pa:llmail-inject",
            "writingbench",
            "pystdlib",
            "zh-hant:user",
            "zh-hant:tool",
            "own_en_hard",
            "own_zh_hard",
            "plexpt_q",
        ],
        &[
            "pa:protectai/validation",
            "yanismiraoui",
            "zh-hans-user:user",
            "en-hard:user",
            "en-hard:tool",
            "csl_zh",
            "presidio_synth",
            "langgpt",
            "belle_seed",
            "alpaca_seed",
            "gsm8k",
        ],
    ];
    let known = PARTS.iter().position(|part| part.contains(&source));
    known.unwrap_or_else(|| (digest(source) % FOLDS as u64) as usize)
}

/// Whether a text has anything of an attack on its face.
fn is_marked(text: &str) -> bool {
    const MARKS: [&str; 58] = [
        "ignor",
        "disregard",
        "forget",
        "overrid",
        "bypass",
        "system prompt",
        "instruction",
        "previous",
        "prior ",
        "jailbreak",
        " dan ",
        "filter",
        "password",
        "secret",
        "reveal",
        "pretend",
        "restrict",
        "developer mode",
        "pwned",
        "your rules",
        "guideline",
        "unlock",
        "admin",
        "sudo",
        "prompt",
        "limitation",
        "policies",
        "constraint",
        "confidential",
        "credential",
        "token",
        "key",
        "safety",
        "roleplay",
        "role-play",
        "act as",
        "you are now",
        "from now on",
        "censor",
        "ethic",
        "moral",
        "hidden",
        "training",
        "configur",
        "parameters",
        "instruccion",
        "istruzion",
        "anweisung",
        "consignes",
        "initial",
        "access",
        "above",
        "exfiltrat",
        "rm -rf",
        "override",
        "unfiltered",
        "hypothetical",
        "no rules",
    ];
    let lower = text.to_lowercase();
    MARKS.iter().any(|mark| lower.contains(mark))
}

/// Whether a text sets itself over what was said before, or speaks to a model in a voice that is not its own.
fn speaks_over(text: &str) -> bool {
    const MARKS: [&str; 46] = [
        "ignore",
        "disregard",
        "forget",
        "override",
        "overrule",
        "instead of",
        "new instruction",
        "new task",
        "system prompt",
        "system:",
        "[system",
        "<system",
        "<|",
        "|>",
        "[/inst",
        "[inst",
        "### ",
        "</",
        "end of",
        "assistant:",
        "user:",
        "user query",
        "important",
        "attention",
        "previous instruction",
        "above instruction",
        "ai assistant",
        "as an ai",
        "language model",
        "instructions",
        "you must",
        "first, ",
        "before you",
        "do not mention",
        "urgent",
        "admin",
        "----",
        "====",
        "####",
        "****",
        "task:",
        "note to",
        "忽略",
        "无视",
        "系统",
        "指令",
    ];
    let lower = text.to_lowercase();
    MARKS.iter().any(|mark| lower.contains(mark))
}
