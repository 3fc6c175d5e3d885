//! Questions that a person writes down: an agent, an action, what it is done to, and more as `key=value`. What the agent
//! has read before stands behind its name.
//!
//! ```text
//! analyst net_connect api.example.com:443
//! analyst[untrusted,confidential] tool_call shell command="git status"
//! analyst[untrusted,vouched] tool_call send_mail to=ann@bank.example
//! analyst[likely] tool_call send_mail to=ann@bank.example
//! ```

use std::net::IpAddr;

use nanoclaw_config::{DataClass, Label, Trust};
use nanoclaw_firewall::Level;
use nanoclaw_request::{
    Action, CellId, Connect, Datagram, Destination, DnsName, Evidence, Exec, FileWrite, Host, HttpRequest, ModelCall,
    ModelOperation, Origin, ProposedCall, Resolve, Syscall, Traced, Via,
};

use crate::session::NOTHING_READ;

/// A question about an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whose action.
    pub agent: CellId,
    /// What the agent has read before.
    pub session: Label,
    /// What.
    pub action: Action,
}

/// Why a text is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct CaseError {
    message: String,
    help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> CaseError {
    CaseError { message: message.into(), help: help.into() }
}

/// An address of the public Internet for names that a case gives none (RFC 5737 has none that is public, so one of the
/// example.com that stood in the DNS for long).
const SOMEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(93, 184, 216, 34));
/// Where agents' walls end is not known to a case, so it takes them to let everything through.
const NO_OBSTACLE: Option<i32> = None;

impl Case {
    /// Reads `AGENT ACTION RESOURCE [KEY=VALUE…]`, where AGENT may be `analyst[untrusted,confidential]`.
    ///
    /// # Errors
    /// The words are no question.
    pub fn parse(words: &[String]) -> Result<Self, CaseError> {
        let [agent, action, resource, pairs @ ..] = words else {
            return Err(wrong("too few words", "write AGENT ACTION RESOURCE, such as `analyst tool_call shell`"));
        };
        let (agent, (session, vouched)) = match agent.strip_suffix(']').and_then(|agent| agent.split_once('[')) {
            Some((agent, session)) => (agent, label(session)?),
            None => (agent.as_str(), (NOTHING_READ, false)),
        };
        let agent =
            CellId::parse(agent).map_err(|error| wrong(format!("`{agent}`: {error}"), "write an agent's id"))?;
        let mut pairs = Pairs::read(pairs)?;
        let mut action = action_of(action, resource, &mut pairs)?;
        match &mut action {
            Action::ToolCall(call) if vouched => {
                let said = |(argument, value): &(String, String)| Traced {
                    argument: argument.clone(),
                    value: value.clone(),
                    origin: Origin::User,
                };
                call.traced = call.arguments.iter().flatten().map(said).collect();
            }
            other if vouched => {
                return Err(wrong(format!("`vouched` says nothing about {}", other.name()), "leave it out"));
            }
            _ => {}
        }
        match pairs.0.first() {
            None => Ok(Self { agent, session, action }),
            Some((key, _)) => Err(wrong(format!("`{key}` says nothing about {}", action.name()), "leave it out")),
        }
    }
}

/// Reads `untrusted,secret`: what stands there, and otherwise trusted and public; and whether `vouched` is there: that a
/// trusted user said all the arguments.
fn label(text: &str) -> Result<(Label, bool), CaseError> {
    let words = || text.split(',').map(str::trim);
    let vouched = words().any(|word| word == "vouched");
    let label = words().filter(|word| *word != "vouched").try_fold(NOTHING_READ, |label, word| {
        let trust = Trust::ALL.into_iter().find(|trust| trust.name() == word);
        let data = DataClass::ALL.into_iter().find(|data| data.name() == word);
        match (trust, data) {
            (Some(trust), _) => Ok(Label { trust, ..label }),
            (None, Some(data)) => Ok(Label { data, ..label }),
            (None, None) => match Level::ALL.into_iter().find(|level| *level != Level::Clean && level.name() == word) {
                Some(level) => Ok(label.join(Label::suspect(level))),
                None => Err(wrong(
                    format!("`{word}` is no label"),
                    "write some of trusted, untrusted, public, internal, confidential, secret, suspect, likely, certain, vouched",
                )),
            },
        }
    })?;
    Ok((label, vouched))
}

/// What stands behind the resource.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn read(words: &[String]) -> Result<Self, CaseError> {
        let pair = |word: &String| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(wrong(format!("`{word}` is no pair"), "write KEY=VALUE, such as `command=\"git status\"`")),
        };
        words.iter().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == key)?;
        Some(self.0.remove(at).1)
    }

    fn all(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0)
    }
}

fn action_of(action: &str, resource: &str, pairs: &mut Pairs) -> Result<Action, CaseError> {
    Ok(match action {
        "net_resolve" => {
            let name =
                DnsName::parse(resource).map_err(|error| wrong(format!("`{resource}`: {error}"), "write a name"))?;
            Action::Resolve(Resolve { name, port: None })
        }
        "net_connect" => connect(resource, pairs)?,
        "http_request" => {
            let connection = destination(resource)?;
            let method = pairs.take("method").unwrap_or_else(|| "GET".to_owned());
            let path = pairs.take("path").unwrap_or_else(|| "/".to_owned());
            Action::Http(HttpRequest { host: connection.clone(), connection, method, path, query: None })
        }
        "net_datagram" => {
            let to = resource
                .parse()
                .map_err(|_| wrong(format!("`{resource}` is no ADDRESS:PORT"), "write one such as `10.0.0.1:53`"))?;
            Action::Datagram(Datagram { protocol: 17, to })
        }
        "file_write" => {
            Action::FileWrite(FileWrite { operation: "open", path: resource.to_owned(), obstacle: NO_OBSTACLE })
        }
        "exec" => {
            let command = pairs.take("command").map(|command| words(&command)).transpose()?.unwrap_or_default();
            Action::Exec(Exec { path: resource.to_owned(), command, obstacle: NO_OBSTACLE })
        }
        "syscall" => {
            Action::Syscall(Syscall { name: resource.to_owned(), detail: pairs.take("detail").unwrap_or_default() })
        }
        "model_call" => Action::CallModel(ModelCall {
            operation: ModelOperation::Chat,
            asked: resource.to_owned(),
            candidates: Vec::new(),
            stream: false,
            messages: 1,
            bytes: 0,
            digest: String::new(),
            reserved_tokens: 0,
        }),
        "tool_call" => {
            let at_provider = match pairs.take("at_provider").as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(other) => {
                    return Err(wrong(format!("`at_provider={other}` is neither yes nor no"), "write true or false"));
                }
            };
            let (call, digest) = (String::new(), String::new());
            let arguments = Some(pairs.all());
            Action::ToolCall(ProposedCall {
                tool: resource.to_owned(),
                call,
                arguments,
                written: String::new(),
                digest,
                at_provider,
                traced: Vec::new(),
            })
        }
        other => {
            return Err(wrong(
                format!("`{other}` is no action of an agent"),
                "actions are net_resolve, net_connect, http_request, net_datagram, file_write, exec, syscall, model_call, tool_call",
            ));
        }
    })
}

fn connect(resource: &str, pairs: &mut Pairs) -> Result<Action, CaseError> {
    let destination = destination(resource)?;
    let evidence = match pairs.take("evidence").as_deref() {
        None | Some("tls" | "http") => Evidence::Http { host: destination.clone() },
        Some("opaque") => Evidence::Opaque,
        Some("silent") => Evidence::Silent,
        Some(other) => {
            return Err(wrong(format!("`{other}` is no evidence"), "write tls, http, opaque or silent"));
        }
    };
    let addresses = match (pairs.take("address"), &destination.host) {
        (Some(text), _) => {
            let address = text.parse().map_err(|_| wrong(format!("`{text}` is no address"), "write an IP address"))?;
            vec![address]
        }
        (None, Host::Ip(address)) => vec![*address],
        (None, Host::Name(_)) => vec![SOMEWHERE],
    };
    Ok(Action::Connect(Connect { destination, via: Via::Transparent, evidence, addresses }))
}

fn destination(text: &str) -> Result<Destination, CaseError> {
    let help = "write HOST:PORT, such as `api.example.com:443` or `[fd00::1]:443`";
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(format!("`{text}` has no port"), help))?;
    let port = port.parse().map_err(|_| wrong(format!("`{port}` is no port"), help))?;
    let host = match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) => Host::Ip(address),
        Err(_) => {
            let name = DnsName::parse(host).map_err(|error| wrong(format!("`{host}`: {error}"), help))?;
            Host::Name(name)
        }
    };
    Ok(Destination { host, port })
}

/// The words of a line, as a shell would take them apart: white space ends a word, and quotes keep it together.
///
/// # Errors
/// A quote is not closed.
pub fn words(line: &str) -> Result<Vec<String>, CaseError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), character) if character == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, character) if character.is_whitespace() => words.extend(word.take()),
            (_, character) => word.get_or_insert_default().push(character),
        }
    }
    if quote.is_some() {
        return Err(wrong("a quote is not closed", "close it"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(line: &str) -> Result<Case, String> {
        words(line).and_then(|words| Case::parse(&words)).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_taken_apart_as_a_shell_would() {
        let apart = |line: &str| words(line).unwrap();
        assert_eq!(
            apart(r#"a  tool_call shell command="git status" x='' "#),
            ["a", "tool_call", "shell", "command=git status", "x="]
        );
        assert!(words("a 'b").is_err());
    }

    #[test]
    fn a_question_is_read_whole_or_not_at_all() {
        assert!(matches!(case("a net_connect api.example.com:443").unwrap().action, Action::Connect(_)));
        assert!(matches!(case("a net_connect [fd00::1]:443 evidence=opaque").unwrap().action, Action::Connect(_)));
        assert!(matches!(case("a tool_call shell command=ls").unwrap().action, Action::ToolCall(_)));
        let Action::ToolCall(call) = case("a[untrusted,vouched] tool_call mail to=x cc=y").unwrap().action else {
            panic!()
        };
        assert!(call.traced.iter().all(|traced| traced.origin == Origin::User) && call.traced.len() == 2);
        let suspicious = case("a[secret,likely] tool_call mail").unwrap().session;
        assert_eq!((suspicious.trust, suspicious.suspicion), (Trust::Untrusted, Level::Likely));
        for (line, expected) in [
            ("a[clean] exec /bin/sh", "`clean` is no label"),
            ("a[vouched] exec /bin/sh", "`vouched` says nothing about exec"),
            ("a tool_call", "too few words"),
            ("a fly here", "`fly` is no action of an agent"),
            ("a net_connect api.example.com", "has no port"),
            ("a net_connect api.example.com:443 color=red", "`color` says nothing about net_connect"),
            ("a exec /bin/sh x", "`x` is no pair"),
            ("a[tainted] exec /bin/sh", "`tainted` is no label"),
            ("a tool_call ls at_provider=yes", "`at_provider=yes` is neither yes nor no"),
            ("a exec /bin/sh command=\"'\"", "a quote is not closed"),
            ("A! exec /bin/sh", "`A!`"),
        ] {
            let error = case(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
