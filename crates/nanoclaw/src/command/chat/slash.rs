//! The commands of a conversation.

/// What each command does, for people.
pub(super) const HELP: &str = "\
/new            begin a new session with the next turn
/session NAME   go on with a session, or begin it under this name
/sessions       list the agent's sessions
/history        show what happened in this session
/verbose        show tool calls and results whole, or in short again
/quit           leave, as Ctrl-D does
A \\ at the end of a line, or ``` until the next ```, goes on on the next line. Ctrl-C interrupts a turn.";

/// The words that are commands, as they are completed.
pub(super) const WORDS: [&str; 7] = ["/help", "/history", "/new", "/quit", "/session", "/sessions", "/verbose"];

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slash {
    Help,
    New,
    /// Go on with this session, or say which it is.
    Session(Option<String>),
    Sessions,
    History,
    Verbose,
    Quit,
    /// Looks like a command and is none.
    Unknown(String),
}

impl Slash {
    /// The command that a text is; `None` for what is meant for the agent, such as a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = word.strip_prefix('/').filter(|name| name.chars().all(|c| c.is_ascii_lowercase()))?;
        if text.contains('\n') {
            return None;
        }
        let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
        Some(match (name, rest) {
            ("help", None) => Slash::Help,
            ("new", None) => Slash::New,
            ("session", name) => Slash::Session(name.map(str::to_owned)),
            ("sessions", None) => Slash::Sessions,
            ("history", None) => Slash::History,
            ("verbose", None) => Slash::Verbose,
            ("quit", None) => Slash::Quit,
            _ => Slash::Unknown(word.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_command_and_is_explained() {
        for word in WORDS {
            assert!(!matches!(Slash::parse(word), None | Some(Slash::Unknown(_))), "{word}");
            assert!(word == "/help" || HELP.lines().any(|line| line.starts_with(&format!("{word} "))), "{word}");
        }
    }

    #[test]
    fn what_is_no_command_is_for_the_agent() {
        assert_eq!(Slash::parse("hello"), None);
        assert_eq!(Slash::parse("/etc/passwd: what is it?"), None);
        assert_eq!(Slash::parse("/help\nme"), None);
        assert_eq!(Slash::parse("a /quit"), None);
        assert_eq!(Slash::parse("/Users are people"), None);
    }

    #[test]
    fn slips_are_told() {
        assert_eq!(Slash::parse("/qiut"), Some(Slash::Unknown("/qiut".into())));
        assert_eq!(Slash::parse("/quit now"), Some(Slash::Unknown("/quit".into())));
        assert_eq!(Slash::parse("/session  a-1 "), Some(Slash::Session(Some("a-1".into()))));
        assert_eq!(Slash::parse("/session"), Some(Slash::Session(None)));
    }
}
