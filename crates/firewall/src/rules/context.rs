//! Whether a text mounts an attack or speaks of one.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use crate::verdict::Level;
use crate::view::Form;

/// How far before a match its opening quotation mark may stand, and behind it the closing one, in bytes.
const QUOTE_REACH: usize = 160;
/// How far around a match the words of those who speak of attacks count, in bytes.
const TALK_REACH: usize = 400;

/// Words of those who write about attacks, folded.
const TALK: &[&str] = &[
    "prompt injection",
    "prompt-injection",
    "prompt_injection",
    "injection attack",
    "injection attempt",
    "indirect injection",
    "injected instruction",
    "injected text",
    "jailbreak prompt",
    "jailbreak attempt",
    "jailbreaking",
    "attacker",
    "adversar",
    "red team",
    "red-team",
    "malicious",
    "vulnerab",
    "exploit",
    "phishing",
    "suspicious",
    "untrusted",
    "owasp",
    "sanitiz",
    "sanitis",
    "guardrail",
    "test case",
    "testcase",
    "assert",
    "for example",
    "e.g.",
    "such as",
    "phrases like",
    "text like",
    "sentences like",
    "something like",
    "that says",
    "that said",
    "which says",
    "saying",
    "hidden text",
    "white text",
    "white-on-white",
    "poisoned",
    "payload",
    "regex",
    "detector",
    "classifier",
    "moderation",
    "flagged",
    "false positive",
    "incident",
    "label:",
    "expected",
    "how do you interpret",
    "what do you make of",
    "classify",
    "explain how",
    "tell me how",
    "how would you",
    "chat template",
    "special token",
    "role token",
    "fine-tun",
    "tokenizer",
    "defence",
    "defense",
    "says to",
    "joke",
    "do not follow them",
    "提示词注入",
    "提示注入",
    "注入攻击",
    "注入文本",
    "注入测试",
    "指令注入",
    "间接注入",
    "攻击者",
    "红队",
    "恶意",
    "越狱攻击",
    "越狱提示",
    "安全测试",
    "例如",
    "比如",
    "譬如",
    "诸如",
    "之类",
    "类似",
    "写着",
    "写道",
    "内容是",
    "这样的话",
    "这类",
    "检测",
    "误报",
    "拦截",
    "样本",
    "用例",
    "漏洞",
    "钓鱼",
    "可疑",
    "断言",
    "预期",
    "这句话",
    "这句",
    "诈骗",
    "微调",
    "模板",
    "停止符",
    "那句",
    "一句",
];

static TALKS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).match_kind(MatchKind::Standard).build(TALK).ok()
});

/// What a match at `found` in `text`, which was read so, is worth of `level`.
pub(super) fn weigh(level: Level, text: &str, found: &Range<usize>, forms: &[Form]) -> Level {
    if forms.iter().any(|form| conceals(*form)) {
        return raised(level);
    }
    if is_quoted(text, found) {
        return level.min(Level::Suspect);
    }
    if speaks_of_attacks(text, found) {
        return lowered(level);
    }
    level
}

/// The most that a match can be worth in a text that was read so.
pub(super) fn most(level: Level, forms: &[Form]) -> Level {
    if forms.iter().any(|form| conceals(*form)) { raised(level) } else { level }
}

/// Whether nobody writes so by chance: what was read in this way was not to be seen.
fn conceals(form: Form) -> bool {
    matches!(
        form,
        Form::Tags
            | Form::Selectors
            | Form::Base64
            | Form::Hex
            | Form::Rot13
            | Form::Reversed
            | Form::Leet
            | Form::Spaced
            | Form::Scrambled
            | Form::Hidden
    )
}

const fn raised(level: Level) -> Level {
    match level {
        Level::Clean => Level::Clean,
        Level::Suspect => Level::Likely,
        Level::Likely | Level::Certain => Level::Certain,
    }
}

const fn lowered(level: Level) -> Level {
    match level {
        Level::Certain => Level::Likely,
        Level::Likely | Level::Suspect => Level::Suspect,
        Level::Clean => Level::Clean,
    }
}

fn around(text: &str, from: usize, to: usize) -> &str {
    text.get(text.ceil_char_boundary(from)..text.floor_char_boundary(to)).unwrap_or_default()
}

/// Whether a match stands within quotation marks of one line. The value of a key (`"note": "…"`) is not quoted by anyone.
fn is_quoted(text: &str, found: &Range<usize>) -> bool {
    let before = around(text, found.start.saturating_sub(QUOTE_REACH), found.start);
    let behind = around(text, found.end, (found.end + QUOTE_REACH).min(text.len()));
    let before = before.rsplit('\n').next().unwrap_or_default();
    let behind = behind.split('\n').next().unwrap_or_default();
    // In East Asia marks have sides.
    for (open, close) in [('「', '」'), ('『', '』'), ('“', '”'), ('«', '»'), ('《', '》')] {
        let opened = before.rfind(open).is_some_and(|at| !before.get(at..).is_some_and(|since| since.contains(close)));
        if opened && behind.find(close).is_some_and(|at| !behind.get(..at).is_some_and(|until| until.contains(open))) {
            return true;
        }
    }
    ['"', '\'', '`'].into_iter().any(|mark| opens(before, mark) && closes(behind, mark))
}

/// Whether a mark that has no sides opens a quotation before a match: it follows no letter, and is no value's.
fn opens(before: &str, mark: char) -> bool {
    let marks = before.matches(mark).count();
    let Some((head, tail)) = before.rsplit_once(mark) else { return false };
    let head = head.trim_end_matches(['\'', '"', '\\']);
    let follows = head.chars().next_back();
    let begins =
        tail.chars().next().is_none_or(|c| !c.is_whitespace()) && !follows.is_some_and(|c| c.is_ascii_alphanumeric());
    let value = head.trim_end().ends_with([':', '=', ',', '{', '['])
        && head.trim_end_matches([':', ' ', '=']).ends_with(['"', '\'']);
    begins && !value && (marks > 0)
}

fn closes(behind: &str, mark: char) -> bool {
    behind.split_once(mark).is_some_and(|(_, rest)| !rest.chars().next().is_some_and(|c| c.is_ascii_alphanumeric()))
}

fn speaks_of_attacks(text: &str, found: &Range<usize>) -> bool {
    let near = around(text, found.start.saturating_sub(TALK_REACH), (found.end + TALK_REACH).min(text.len()));
    TALKS.as_ref().is_some_and(|talks| talks.is_match(near))
}
