//! A request as a person sees it: nothing in it is obeyed by a terminal, nothing is there without being seen, and where
//! something is left out, that is said.

use nanoclaw_request::{Action, Evidence, ProposedCall};
use serde::Serialize;
use serde_json::Value;

use super::arguments::canonical;
use super::plain::{escape, json_escape, plain};

/// Longest detail of a question in bytes. All that wait fit into one memory file of the control socket, also where every
/// byte is escaped once more.
pub(super) const LONGEST_DETAIL: usize = 8 * 1024;
/// Longest other text of a question in bytes.
pub(super) const LONGEST_TEXT: usize = 512;
/// Fewest bytes that are shown of an argument, however many there are; of its name there are at most as many.
const SHARE: usize = 64;

fn shown(text: &str) -> String {
    plain(&nanoclaw_audit::shown(text), escape)
}

fn shown_json<T: Serialize>(value: &T) -> String {
    plain(&nanoclaw_audit::shown_json(value), json_escape)
}

/// What the request is about.
pub(super) fn resource(action: &Action) -> String {
    let text = match action {
        Action::Resolve(resolve) => resolve.name.to_string(),
        Action::Connect(connect) => connect.destination.to_string(),
        Action::Http(http) => http.connection.to_string(),
        Action::Datagram(datagram) => datagram.to.to_string(),
        Action::FileWrite(write) => write.path.clone(),
        Action::Exec(exec) => exec.path.clone(),
        Action::Syscall(call) => call.name.clone(),
        Action::CallModel(call) => call.asked.clone(),
        Action::ToolCall(call) => call.tool.clone(),
        Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => String::new(),
    };
    text_of(&text)
}

/// A text of a question.
pub(super) fn text_of(text: &str) -> String {
    cut(shown(text), LONGEST_TEXT)
}

/// All of the request.
pub(super) fn detail(action: &Action) -> String {
    let text = match action {
        Action::Resolve(resolve) => {
            resolve.port.map_or_else(String::new, |port| format!("in order to connect to port {port}"))
        }
        Action::Connect(connect) => {
            let evidence = match &connect.evidence {
                Evidence::Tls { encrypted_hello: true, .. } => "TLS with an encrypted hello".to_owned(),
                Evidence::Tls { sni: Some(sni), .. } => format!("TLS for {sni}"),
                Evidence::Tls { sni: None, .. } => "TLS without a server name".to_owned(),
                Evidence::Http { host } => format!("HTTP for {host}"),
                Evidence::Opaque => "neither TLS nor HTTP".to_owned(),
                Evidence::Silent => "nothing was sent yet".to_owned(),
            };
            let addresses: Vec<String> = connect.addresses.iter().map(ToString::to_string).collect();
            format!("{}, {evidence}, at {}", connect.via.name(), addresses.join(" "))
        }
        Action::Http(http) => {
            let query = http.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
            format!("{} {}{query} for {}", http.method, http.path, http.host)
        }
        Action::Datagram(datagram) => format!("IP protocol {}", datagram.protocol),
        Action::FileWrite(write) => write.operation.to_owned(),
        Action::Exec(exec) => return cut(shown_json(&exec.command), LONGEST_DETAIL),
        Action::Syscall(call) => call.detail.clone(),
        Action::CallModel(call) => format!(
            "{}: {} messages, {} bytes, sha256 {}, for {}",
            call.operation.name(),
            call.messages,
            call.bytes,
            call.digest,
            call.candidates.join(", ")
        ),
        Action::ToolCall(call) => return arguments(call),
        Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => String::new(),
    };
    cut(shown(&text), LONGEST_DETAIL)
}

/// The arguments of a call, one a line. Each gets its share, so that a long one hides no other.
fn arguments(call: &ProposedCall) -> String {
    if call.at_provider {
        return "offered to the model, to be carried out by its provider with arguments that nobody sees before"
            .to_owned();
    }
    let Some(Value::Object(fields)) = canonical(&call.written) else {
        let text = cut(shown_json(&call.written), LONGEST_DETAIL);
        return format!("arguments that can be read in more than one way: {text}");
    };
    let share = (LONGEST_DETAIL / fields.len().max(1)).saturating_sub(SHARE).max(SHARE);
    let mut text = String::new();
    let count = fields.len();
    for (number, (name, value)) in fields.iter().enumerate() {
        let line = format!("{}: {}", cut(shown_json(name), SHARE), cut(shown_json(value), share));
        if text.len() + line.len() > LONGEST_DETAIL {
            text.push_str(&format!("\n…[+{} arguments not shown]", count - number));
            break;
        }
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// Cuts, and says how much is missing.
pub(super) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        let end = text.floor_char_boundary(longest);
        let missing = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("…[+{missing} bytes not shown]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(written: &str) -> Action {
        Action::ToolCall(ProposedCall {
            tool: "send_email".to_owned(),
            call: "call-1".to_owned(),
            arguments: None,
            written: written.to_owned(),
            digest: String::new(),
            at_provider: false,
            traced: Vec::new(),
        })
    }

    #[test]
    fn arguments_are_shown_as_they_will_be_read() {
        let shown =
            detail(&call(r#"{"to": "\u006dallory@evil.example", "n": 3, "text": "3", "deep": {"b": 1, "a": []}}"#));
        assert_eq!(shown, "\"deep\": {\"a\":[],\"b\":1}\n\"n\": 3\n\"text\": \"3\"\n\"to\": \"mallory@evil.example\"");
    }

    #[test]
    fn nothing_in_an_argument_is_obeyed_and_no_line_can_be_forged() {
        let hostile = "a\u{1b}[2J\n\"to\": \"friend\"\u{202e}\u{200b}\u{e0041}\u{2028}\r\u{9b}";
        let shown = detail(&call(&serde_json::json!({ "to": hostile, "\u{1b}\nname": 1 }).to_string()));
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(shown.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{shown:?}");
        assert!(shown.contains(r#""to": "a\u001b[2J\n\"to\": \"friend\"\u202e\u200b\udb40\udc41"#), "{shown}");
    }

    #[test]
    fn a_long_argument_hides_no_other_and_what_is_missing_is_said() {
        let long = serde_json::json!({ "a": "x".repeat(100_000), "to": "mallory" }).to_string();
        let shown = detail(&call(&long));
        assert!(shown.len() < LONGEST_DETAIL + 100, "{}", shown.len());
        assert!(shown.contains("bytes not shown]\n\"to\": \"mallory\""), "{shown}");
        let many: serde_json::Map<_, _> = (0..256).map(|n| (format!("{n:0>100}"), "y".repeat(100).into())).collect();
        let shown = detail(&call(&Value::Object(many).to_string()));
        assert!(shown.len() < LONGEST_DETAIL + 100, "{}", shown.len());
        assert!(shown.ends_with("arguments not shown]"), "{shown}");
    }

    #[test]
    fn arguments_that_can_be_read_in_two_ways_are_shown_as_they_are_written() {
        let shown = detail(&call(r#"{"to": "a", "to": "b"}"#));
        assert_eq!(shown, r#"arguments that can be read in more than one way: "{\"to\": \"a\", \"to\": \"b\"}""#);
    }
}
