//! What exactly a question is about, as SHA-256 over a serialisation that no two requests share: every field, each with
//! its length before it.

use nanoclaw_request::{
    Action, CellId, Connect, Datagram, Destination, Evidence, Exec, FileWrite, HttpRequest, ModelCall, Origin,
    ProposedCall, Resolve, SessionId, Syscall, Traced,
};
use nanoclaw_vault::digest::{Sha256, hex};
use serde_json::Value;

use super::arguments::canonical;

/// The digest of a request of a cell; `None` where cells make no such requests.
pub(super) fn of_request(cell: &CellId, session: SessionId, action: &Action) -> Option<String> {
    let mut fields = Fields::of("request", cell, session);
    fields.text(action.name());
    fields.action(action)?;
    Some(fields.finish())
}

/// The digest of what `action` would do, whichever try of whichever run it is; `None` as of [`of_request`].
pub(super) fn of_content(cell: &CellId, action: &Action) -> Option<String> {
    let mut fields = Fields(Sha256::default());
    fields.text("content");
    fields.text(cell.as_str());
    fields.text(action.name());
    match action {
        Action::ToolCall(call) => {
            fields.text(&call.tool);
            fields.truth(call.at_provider);
            fields.text(&canonical(&call.written).map_or_else(|| call.written.clone(), |value| value.to_string()));
        }
        // A name can have another address at every try.
        Action::Connect(connect) => fields.destination(&connect.destination),
        other => fields.action(other)?,
    }
    Some(fields.finish())
}

/// The digest of a call of a tool with these arguments, whose objects are sorted.
pub(super) fn of_call(cell: &CellId, session: SessionId, tool: &str, arguments: &Value) -> String {
    let mut fields = Fields::of("call", cell, session);
    fields.text(tool);
    fields.text(&arguments.to_string());
    fields.finish()
}

struct Fields(Sha256);

impl Fields {
    fn of(kind: &str, cell: &CellId, session: SessionId) -> Self {
        let mut fields = Self(Sha256::default());
        fields.text(kind);
        fields.text(cell.as_str());
        fields.text(&session.to_string());
        fields
    }

    fn finish(self) -> String {
        hex(&self.0.finish())
    }

    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    fn truth(&mut self, truth: bool) {
        self.number(truth.into());
    }

    fn perhaps<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.truth(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    fn destination(&mut self, destination: &Destination) {
        let Destination { host, port } = destination;
        self.text(&host.to_string());
        self.number((*port).into());
    }

    fn action(&mut self, action: &Action) -> Option<()> {
        match action {
            Action::Resolve(Resolve { name, port }) => {
                self.text(name.as_str());
                self.perhaps(*port, |fields, port| fields.number(port.into()));
            }
            Action::Connect(Connect { destination, via, evidence, addresses }) => {
                self.destination(destination);
                self.text(via.name());
                self.evidence(evidence);
                self.list(addresses, |fields, address| fields.text(&address.to_string()));
            }
            Action::Http(HttpRequest { connection, host, method, path, query }) => {
                self.destination(connection);
                self.destination(host);
                self.text(method);
                self.text(path);
                self.perhaps(query.as_ref(), |fields, query| fields.text(query));
            }
            Action::Datagram(Datagram { protocol, to }) => {
                self.number((*protocol).into());
                self.text(&to.to_string());
            }
            Action::FileWrite(FileWrite { operation, path, obstacle }) => {
                self.text(operation);
                self.text(path);
                self.perhaps(*obstacle, |fields, errno| fields.text(&errno.to_string()));
            }
            Action::Exec(Exec { path, command, obstacle }) => {
                self.text(path);
                self.list(command, |fields, word| fields.text(word));
                self.perhaps(*obstacle, |fields, errno| fields.text(&errno.to_string()));
            }
            Action::Syscall(Syscall { name, detail }) => {
                self.text(name);
                self.text(detail);
            }
            Action::CallModel(call) => self.model_call(call),
            Action::ToolCall(call) => self.tool_call(call),
            Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => return None,
        }
        Some(())
    }

    fn evidence(&mut self, evidence: &Evidence) {
        match evidence {
            Evidence::Tls { sni, encrypted_hello } => {
                self.text("tls");
                self.perhaps(sni.as_ref(), |fields, sni| fields.text(sni));
                self.truth(*encrypted_hello);
            }
            Evidence::Http { host } => {
                self.text("http");
                self.destination(host);
            }
            Evidence::Opaque => self.text("opaque"),
            Evidence::Silent => self.text("silent"),
        }
    }

    fn model_call(&mut self, call: &ModelCall) {
        let ModelCall { operation, asked, candidates, stream, messages, bytes, digest, reserved_tokens } = call;
        self.text(operation.name());
        self.text(asked);
        self.list(candidates, |fields, candidate| fields.text(candidate));
        self.truth(*stream);
        self.number(*messages as u64);
        self.number(*bytes as u64);
        self.text(digest);
        self.number(*reserved_tokens);
    }

    fn tool_call(&mut self, call: &ProposedCall) {
        let ProposedCall { tool, call, arguments, written, digest, at_provider, traced } = call;
        self.text(tool);
        self.text(call);
        self.perhaps(arguments.as_ref(), |fields, arguments| {
            fields.list(arguments, |fields, (name, value)| {
                fields.text(name);
                fields.text(value);
            });
        });
        self.text(written);
        self.text(digest);
        self.truth(*at_provider);
        self.list(traced, |fields, Traced { argument, value, origin }| {
            fields.text(argument);
            fields.text(value);
            fields.number(match origin {
                Origin::User => 0,
                Origin::Trusted => 1,
                Origin::Unknown => 2,
                Origin::Untrusted => 3,
            });
        });
    }
}
