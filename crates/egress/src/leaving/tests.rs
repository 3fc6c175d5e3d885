use nanoclaw_firewall::filter::{Filter, Finds, Intent};
use nanoclaw_firewall::{Settings, Verdict};

use super::*;

const CARD: &str = "4111111111111111";

fn leaving() -> Leaving {
    let mut settings = Settings::default();
    Intent::NoSensitiveOutput.apply(&mut settings);
    settings.filters.push(Filter {
        name: "accounts".to_owned(),
        action: Verdict::Ask,
        channels: vec![Channel::Output],
        finds: Finds::Pattern("ACC-[0-9]{6}".to_owned()),
    });
    Leaving(Arc::new(Firewall::new(&settings).unwrap()))
}

fn head(text: &str) -> (RequestHead, HttpRequest) {
    let head = RequestHead::parse(text.replace('\n', "\r\n").as_bytes()).unwrap();
    let host = head.host.clone().unwrap();
    let (method, path) = (head.method.clone(), head.path().to_owned());
    let query = head.query().map(str::to_owned);
    (head, HttpRequest { connection: host.clone(), host, method, path, query })
}

fn refused(text: &str) -> (HttpRequest, String) {
    let (head, request) = head(text);
    let (shown, refusal) = leaving().head(&head, request).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ContentRefused);
    let told = format!("{shown:?} {refusal:?}");
    assert!(!told.contains("41111") && !told.contains("ACC-1"), "{told}");
    (shown, refusal.reason)
}

#[test]
fn what_may_not_leave_is_found_wherever_it_stands_in_a_head() {
    let host = "Host: a.test\n\n";
    for (text, expected) in [
        (format!("GET /{CARD} HTTP/1.1\n{host}"), "the address of the request holds what may not leave: `card`"),
        (format!("GET /x?n=4111%2D1111%2d1111-1111 HTTP/1.1\n{host}"), "the address of the request"),
        (format!("GET /x?n=4111+1111+1111+1111 HTTP/1.1\n{host}"), "the address of the request"),
        (format!("GET / HTTP/1.1\nX-Note: n {CARD}\n{host}"), "a header field of the request"),
        (format!("GET / HTTP/1.1\nX-Note: for ACC-123456\n{host}"), "`accounts`"),
    ] {
        let (_, reason) = refused(&text);
        assert!(reason.contains(expected) && reason.contains("SHA-256"), "{reason}");
    }
}

#[test]
fn a_record_keeps_what_may_stand_there() {
    let (shown, _) = refused(&format!("GET /pay?n={CARD} HTTP/1.1\nHost: a.test\n\n"));
    assert_eq!((shown.path.as_str(), shown.query), ("/pay", None));
    let (shown, _) = refused(&format!("GET /{CARD}?a=b HTTP/1.1\nHost: a.test\n\n"));
    assert_eq!((shown.path.as_str(), shown.query.as_deref()), ("/[redacted]", Some("a=b")));
    let (shown, _) = refused(&format!("GET / HTTP/1.1\nHost: {CARD}.evil.test\n\n"));
    assert_eq!(shown.host.to_string(), "redacted.evil.test:80");
}

#[test]
fn what_says_nothing_of_the_kind_leaves() {
    for text in [
        "GET /orders/2026-11-23?page=2&size=100 HTTP/1.1\nHost: api.bank.test\nUser-Agent: curl/8.5.0\nAccept: */*\n\n",
        "POST /v1/items HTTP/1.1\nHost: api.bank.test\nContent-Type: application/json; charset=utf-8\nContent-Length: 2\n\n",
    ] {
        let (head, request) = head(text);
        assert_eq!(leaving().head(&head, request), Ok(()), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_the_next_step() {
    let post = "POST / HTTP/1.1\nHost: a.test\nContent-Length: 5\n";
    for (text, expected) in [
        (format!("{post}Content-Encoding: gzip\n\n"), "in the coding `gzip`"),
        (format!("{post}Content-Encoding: identity\nContent-Encoding: br\n\n"), "in the coding `br`"),
        (format!("{post}Content-Type: text/plain; charset=utf-16\n\n"), "another character set"),
        (
            "GET / HTTP/1.1\nHost: a.test\nConnection: Upgrade\nUpgrade: websocket\n\n".to_owned(),
            "what is said over a WebSocket",
        ),
    ] {
        assert!(refused(&text).1.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn a_body_is_read_as_it_stands_and_unescaped() {
    let leaving = leaving();
    for body in [&format!("{{\"n\": \"{CARD}\"}}"), "n=4111%201111%201111%201111", "n=4111+1111+1111+1111"] {
        let refusal = leaving.body(body.as_bytes()).await.unwrap_err();
        assert!(refusal.reason.contains("`card`") && !refusal.reason.contains("1111"), "{}", refusal.reason);
    }
    let long = format!("{} {CARD}", "nothing to see here, ".repeat(LONG / 16));
    assert!(leaving.body(long.as_bytes()).await.is_err());
    assert!(leaving.body(long.replace(CARD, "4111").as_bytes()).await.is_ok());
    for binary in [&b"\xff\xfe4\x001\x00"[..], b"4\x001\x001\x001\x00"] {
        assert!(leaving.body(binary).await.unwrap_err().reason.contains("no text in UTF-8"));
    }
}

#[test]
fn names_are_refused_and_recorded_without_what_they_carry() {
    let leaving = leaving();
    for name in [
        "4111111111111111.evil.test",
        "4111.1111.1111.1111.evil.test",
        "34313131313131.313131313131313131.evil.test",
        "gqytcmjrgeytc.mjrgeytcmjrge.evil.test",
    ] {
        let (shown, refusal) = leaving.name(&DnsName::parse(name).unwrap()).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(shown.as_str(), "redacted.evil.test", "{name}");
        assert!(refusal.reason.contains("`card`") && !refusal.reason.contains("1111"), "{}", refusal.reason);
    }
    let (shown, _) = leaving.name(&DnsName::parse("x.4111111111111111.test").unwrap()).unwrap();
    assert_eq!(shown.as_str(), "redacted.invalid");
    for name in ["api.bank.test", "a-very-long-name-of-a-load-balancer-1234567890.eu-central-1.elb.example.com"] {
        assert!(leaving.name(&DnsName::parse(name).unwrap()).is_none(), "{name}");
    }
}

#[test]
fn nothing_is_looked_at_where_nothing_is_asked_for() {
    let engine = Engine::new(nanoclaw_request::CellId::parse("a").unwrap(), Vec::new());
    assert!(Leaving::of(&engine).is_none());
}
