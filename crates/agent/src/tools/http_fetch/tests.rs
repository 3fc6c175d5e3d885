use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::testing::local;
use crate::tools::tests::Bench;

/// A server that answers each connection with the next of these responses, and what it was sent.
async fn server(responses: Vec<String>) -> (String, Rc<RefCell<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let heard = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&heard);
    tokio::task::spawn_local(async move {
        for response in responses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).await.unwrap();
                said.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&said).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            shared.borrow_mut().push(String::from_utf8(said).unwrap());
            // A client that has read enough goes away.
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    (base, heard)
}

fn page(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n{body}", body.len())
}

async fn fetch(arguments: Value) -> Output {
    Bench::new().call("http_fetch", arguments).await
}

#[test]
fn a_page_comes_as_text_with_its_status() {
    local(async {
        let html = page("200 OK", "content-type: text/html; charset=utf-8\r\n", "<p>Hello <b>you</b></p>");
        let (base, heard) = server(vec![html]).await;
        let output = fetch(json!({"url": format!("{base}/a b?c#d"), "headers": {"x-key": "v"}})).await;
        assert_eq!(output.text, format!("HTTP 200 OK, text/html; charset=utf-8, from {base}/a%20b?c\n\nHello you\n"));
        assert!(!output.failed);
        let heard = heard.borrow()[0].clone();
        assert!(heard.starts_with("GET /a%20b?c HTTP/1.1\r\n"), "{heard}");
        assert!(heard.contains("x-key: v\r\n") && heard.contains(&format!("host: {}\r\n", &base[7..])), "{heard}");
    });
}

#[test]
fn a_post_sends_its_body() {
    local(async {
        let (base, heard) = server(vec![page("201 Created", "", "{\"ok\":true}")]).await;
        let output = fetch(json!({"url": base, "method": "POST", "body": "{\"a\":1}"})).await;
        assert_eq!(output.text, format!("HTTP 201 Created, no type, from {base}/\n\n{{\"ok\":true}}"));
        let heard = heard.borrow()[0].clone();
        assert!(heard.starts_with("POST / ") && heard.ends_with("\r\n\r\n{\"a\":1}"), "{heard}");
        assert!(heard.contains("content-type: application/json\r\n"), "{heard}");
    });
}

#[test]
fn a_refusal_of_the_door_is_a_failure_with_its_words() {
    local(async {
        let (base, _) = server(vec![page("403 Forbidden", "content-type: text/plain\r\n", "NanoClaw refused")]).await;
        let output = fetch(json!({"url": base})).await;
        assert!(output.failed && output.text.ends_with("\n\nNanoClaw refused"), "{}", output.text);
    });
}

#[test]
fn redirects_are_followed_shown_and_bounded() {
    local(async {
        let (other, heard_other) = server(vec![page("200 OK", "", "there")]).await;
        let there = format!("location: {other}/x\r\n");
        let (base, heard) =
            server(vec![page("302 Found", "location: /next\r\n", ""), page("303 See", &there, "")]).await;
        let output = fetch(json!({"url": base, "method": "POST", "body": "b", "headers": {"x-key": "secret"}})).await;
        assert_eq!(
            output.text,
            format!(
                "HTTP 200 OK, no type, from {other}/x\nredirected from {base}/\nredirected from {base}/next\n\nthere"
            )
        );
        assert!(heard.borrow()[1].starts_with("GET /next ") && heard.borrow()[1].contains("x-key"));
        // What was meant for the first server is not for the second.
        assert!(!heard_other.borrow()[0].contains("x-key"));

        let again = page("302 Found", "location: /again\r\n", "");
        let (base, heard) = server(vec![again; 20]).await;
        let output = fetch(json!({"url": base})).await;
        assert!(output.text.contains("redirects more than 5 times, the last time to `/again`"), "{}", output.text);
        assert_eq!(heard.borrow().len(), MAX_REDIRECTS + 1);
    });
}

#[test]
fn a_redirect_takes_no_body_to_another_server_and_leads_to_no_file() {
    local(async {
        let (base, _) = server(vec![
            page("307 Temporary", "location: http://127.0.0.1:1/\r\n", ""),
            page("302 Found", "location: file:///etc/passwd\r\n", ""),
        ])
        .await;
        let output = fetch(json!({"url": base, "method": "POST", "body": "b"})).await;
        assert!(output.failed && output.text.contains("to another server"), "{}", output.text);
        let output = fetch(json!({"url": base})).await;
        assert!(output.failed && output.text.contains("neither http nor https"), "{}", output.text);
    });
}

#[test]
fn a_long_page_is_not_read_to_its_end() {
    local(async {
        let (base, _) = server(vec![page("200 OK", "", &"x".repeat(3 * MAX_PAGE))]).await;
        let output = Bench::new().bounded("http_fetch", json!({"url": base}), 2 * MAX_PAGE).await;
        let read = output.text.bytes().filter(|byte| *byte == b'x').count();
        assert_eq!(read, MAX_PAGE);
        assert!(output.text.ends_with("[cut: only the first 1048576 bytes were read]"));
    });
}

#[test]
fn what_is_no_text_is_only_described() {
    local(async {
        let (base, _) = server(vec![page("200 OK", "content-type: image/png\r\n", "12345")]).await;
        let output = fetch(json!({"url": base})).await;
        assert!(output.text.ends_with("[5 bytes that are not text; fetch them with the shell]"), "{}", output.text);
    });
}

#[test]
fn servers_that_are_not_there_or_break_off_are_named() {
    local(async {
        let output = fetch(json!({"url": "http://127.0.0.1:1/x"})).await;
        assert!(output.failed && output.text.starts_with("cannot fetch http://127.0.0.1:1/x: "), "{}", output.text);
        let (base, _) =
            server(vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into(), "nonsense\r\n\r\n".into()]).await;
        let output = fetch(json!({"url": base})).await;
        assert!(output.failed && output.text.contains("broke off"), "{}", output.text);
        let output = fetch(json!({"url": base})).await;
        assert!(output.failed && output.text.starts_with("cannot fetch"), "{}", output.text);
    });
}

#[test]
fn a_server_without_tls_cannot_pretend_to_have_it() {
    local(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(page("200 OK", "", "plain").as_bytes()).await.unwrap();
            let mut hello = Vec::new();
            let _ = stream.read_to_end(&mut hello).await;
            // Nothing of the request is said before the server has proved who it is.
            assert!(hello.starts_with(&[22, 3]) && !String::from_utf8_lossy(&hello).contains("HTTP/"));
        });
        let output = fetch(json!({"url": url})).await;
        assert!(output.failed && output.text.starts_with(&format!("cannot fetch {url}: ")), "{}", output.text);
    });
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    local(async {
        for (arguments, says) in [
            (json!({"url": "example.com"}), "`example.com` has no scheme"),
            (json!({"url": "http://127.0.0.1:1/", "body": "x"}), "a GET has no `body`"),
            (
                json!({"url": "http://127.0.0.1:1/", "headers": {"Host": "other"}}),
                "the header field `Host` cannot be set",
            ),
            (json!({"url": "http://127.0.0.1:1/", "headers": {"a b": "c"}}), "`a b` is no header field"),
            (
                json!({"url": "http://127.0.0.1:1/", "headers": {"a": "b\r\nc: d"}}),
                "the value of `a` is no header value",
            ),
            (json!({"url": "http://127.0.0.1:1/", "method": "PUT"}), "the arguments do not fit"),
        ] {
            let output = fetch(arguments).await;
            assert!(output.failed && output.text.starts_with(says), "{}", output.text);
        }
        let many: serde_json::Map<_, _> = (0..=MAX_FIELDS).map(|n| (format!("x-{n}"), json!("v"))).collect();
        let output = fetch(json!({"url": "http://127.0.0.1:1/", "headers": many})).await;
        assert!(output.text.starts_with("there are more than 32"), "{}", output.text);
    });
}

#[test]
fn only_a_get_only_reads() {
    assert!(only_reads(r#"{"url":"http://x/"}"#));
    assert!(only_reads(r#"{"url":"http://x/","method":"GET"}"#));
    assert!(!only_reads(r#"{"url":"http://x/","method":"POST"}"#));
    assert!(!only_reads("nonsense"));
}
