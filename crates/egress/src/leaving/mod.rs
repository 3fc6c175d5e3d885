//! What may not leave, looked for in all that a cell sends in the clear: names, and heads and bodies of HTTP requests.
//!
//! A request cannot be rewritten without becoming another one, so what would be redacted elsewhere is refused here. What
//! cannot be read cannot be vouched for, and is refused too. Refusals say what was found and where, and never repeat it.

mod name;

use std::sync::Arc;

use nanoclaw_firewall::{Channel, Firewall, Form, Judgement, Span, Verdict};
use nanoclaw_policy::Engine;
use nanoclaw_request::{Destination, DnsName, Host, HttpRequest, Refusal, RefusalCode, Resolve, Stage};
use nanoclaw_vault::digest::{hex, sha256};

use crate::inspect::head::{Framing, RequestHead};

/// Most findings that a refusal names.
const MOST_NAMED: usize = 8;
/// From how many bytes on a body is judged on a thread of its own, so that other connections go on.
const LONG: usize = 32 * 1024;
/// What stands in a record instead of a text that may not stand there.
const REDACTED: &str = "[redacted]";

/// What looks at what leaves, where the configuration asks for that.
#[derive(Clone, Debug)]
pub(crate) struct Leaving(Arc<Firewall>);

impl Leaving {
    /// `None` where nothing is done about anything that leaves.
    pub(crate) fn of(engine: &Engine) -> Option<Self> {
        let firewall = engine.firewall();
        firewall.acts_on(Channel::Output).then_some(Self(firewall))
    }

    /// Why a text may not leave; `digest` also gives the digest of all of it.
    fn text(&self, what: &str, text: &str, digest: bool) -> Option<Refusal> {
        let judgement = self.0.judge(Channel::Output, text);
        if judgement.verdict < Verdict::Redact && judgement.complete {
            return None;
        }
        let mut reason = match found(&judgement).as_slice() {
            [] => format!("{what} cannot be searched for what may not leave: it is too large to vouch for"),
            found => format!("{what} holds what may not leave: {}", found.join(", ")),
        };
        if digest {
            reason.push_str(&format!("; SHA-256 of it: {}", hex(&sha256(text.as_bytes()))));
        }
        Some(refusal(reason))
    }

    /// Why a name may not be looked up, and what is to be recorded of it.
    pub(crate) fn name(&self, name: &DnsName) -> Option<(DnsName, Refusal)> {
        let mut refusal = self.text("the name", &name::readings(name.as_str()), false)?;
        let kept = name::suffix(name.as_str());
        let kept = kept.filter(|kept| self.text("", &name::readings(kept), false).is_none()).unwrap_or("invalid");
        let shown = DnsName::parse(&format!("redacted.{kept}")).ok()?;
        refusal.reason = format!("{} (below `{kept}`)", refusal.reason);
        Some((shown, refusal))
    }

    /// The same for a name as a TLS client writes it.
    pub(crate) fn server_name(&self, name: &str) -> Option<(String, Refusal)> {
        let refusal = self.text("the server name", &name::readings(&name.to_lowercase()), false)?;
        Some((REDACTED.to_owned(), refusal))
    }

    /// The refusal of a look-up, as it is recorded.
    pub(crate) fn lookup(&self, resolve: &Resolve) -> Option<(Resolve, Refusal)> {
        let (name, refusal) = self.name(&resolve.name)?;
        Some((Resolve { name, port: resolve.port }, refusal))
    }

    /// A destination as it may be recorded.
    fn shown(&self, destination: &Destination) -> Destination {
        let Host::Name(name) = &destination.host else { return destination.clone() };
        let host = self.name(name).map_or_else(|| destination.host.clone(), |(name, _)| Host::Name(name));
        Destination { host, port: destination.port }
    }

    /// Why the head of a request may not leave, and what is to be recorded of it.
    pub(crate) fn head(&self, head: &RequestHead, request: HttpRequest) -> Result<(), (HttpRequest, Refusal)> {
        let target = head.query().map_or_else(|| head.path().to_owned(), |query| format!("{}?{query}", head.path()));
        let decoded = unescaped(&target);
        let fields: Vec<String> = head.fields().collect();
        let whole = format!("{} {target}\n{decoded}\n{}", head.method, fields.join("\n"));
        let names = [&request.connection, &request.host].into_iter().find_map(|destination| match &destination.host {
            Host::Name(name) => self.name(name).map(|(_, refusal)| refusal),
            Host::Ip(_) => None,
        });
        let of_head = names.or_else(|| {
            let whole = self.text("the head of the request", &whole, true)?;
            let of_target = self.text("the address of the request", &format!("{target}\n{decoded}"), true);
            let of_field = || fields.iter().find_map(|field| self.text("a header field of the request", field, true));
            Some(of_target.or_else(of_field).unwrap_or(whole))
        });
        let refusal = of_head.or_else(|| self.readable(head).err());
        let Some(refusal) = refusal else { return Ok(()) };
        let clean =
            |text: &str| self.text("", text, false).is_none() && self.text("", &unescaped(text), false).is_none();
        let HttpRequest { connection, host, method, path, query } = request;
        Err((
            HttpRequest {
                connection: self.shown(&connection),
                host: self.shown(&host),
                method: if clean(&method) { method } else { REDACTED.to_owned() },
                path: if clean(&path) { path } else { format!("/{REDACTED}") },
                query: query.filter(|query| clean(query)),
            },
            refusal,
        ))
    }

    /// Whether what follows the head can be read.
    fn readable(&self, head: &RequestHead) -> Result<(), Refusal> {
        if head.asks_for_websocket() {
            let why = "what is said over a WebSocket cannot be searched for what may not leave".to_owned();
            return Err(refusal(why));
        }
        if head.framing == Framing::None {
            return Ok(());
        }
        if let Some(coding) = head.content_coding() {
            let why = format!("a body in the coding `{coding}` cannot be searched for what may not leave");
            return Err(Refusal { help: "send it without `Content-Encoding`".to_owned(), ..refusal(why) });
        }
        if head.is_in_other_charset() {
            let why = "a body in another character set than UTF-8 cannot be searched for what may not leave".to_owned();
            return Err(Refusal { help: "send it in UTF-8".to_owned(), ..refusal(why) });
        }
        Ok(())
    }

    /// Why a body may not leave.
    pub(crate) async fn body(&self, body: &[u8]) -> Result<(), Refusal> {
        let text = str::from_utf8(body).ok().filter(|text| !text.contains('\0'));
        let Some(text) = text.map(str::to_owned) else {
            let why = "the body is no text in UTF-8, and so cannot be searched for what may not leave".to_owned();
            return Err(refusal(why));
        };
        let firewall = self.clone();
        let judge = move || {
            let decoded = text.contains(['%', '+']).then(|| unescaped(&text)).filter(|decoded| *decoded != text);
            let plain = firewall.text("the body", &text, true);
            plain.or_else(|| firewall.text("the body, with its escapes read,", &decoded?, true)).map_or(Ok(()), Err)
        };
        if body.len() < LONG {
            return judge();
        }
        let judged = tokio::task::spawn_blocking(judge).await;
        judged.unwrap_or_else(|_| Err(refusal("the body could not be searched for what may not leave".to_owned())))
    }
}

/// The body is too large to be held back.
pub(crate) fn too_large(most: usize) -> Refusal {
    let why = format!("a body of more than {most} bytes cannot be searched for what may not leave");
    Refusal { help: "send it in parts".to_owned(), ..refusal(why) }
}

fn refusal(reason: String) -> Refusal {
    let help = "leave that out; what may leave stands under `firewall` and `prompt_filters` of the configuration";
    Refusal { stage: Stage::Inspect, code: RefusalCode::ContentRefused, reason, help: help.to_owned() }
}

/// What a judgement objects to, without what it is.
fn found(judgement: &Judgement) -> Vec<String> {
    let one = |id: &str, span: Span, forms: &[Form]| {
        let read = if forms.is_empty() { "" } else { ", decoded" };
        format!("`{id}` (bytes {} to {}{read})", span.start, span.end)
    };
    let losses = judgement.losses.iter().filter(|hit| hit.verdict >= Verdict::Redact);
    let rules = judgement.rules.iter().filter(|hit| hit.verdict >= Verdict::Redact);
    let losses = losses.map(|hit| one(&hit.kind, hit.span, &hit.forms));
    let mut all: Vec<String> = losses.chain(rules.map(|hit| one(&hit.id, hit.span, &hit.forms))).collect();
    if all.len() > MOST_NAMED {
        let more = all.len() - MOST_NAMED;
        all.truncate(MOST_NAMED);
        all.push(format!("{more} more"));
    }
    all
}

/// A text with its percent escapes read, as in addresses and forms; `+` stands for a space.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high << 4 | low));
                rest = behind.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', ..) => bytes.push(b' '),
            (other, ..) => bytes.push(*other),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
