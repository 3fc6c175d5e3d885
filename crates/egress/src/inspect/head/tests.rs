use super::*;

fn request(text: &str) -> Result<RequestHead, HeadError> {
    let end = HeadScanner::default().scan(text.as_bytes())?.expect("the head is whole");
    RequestHead::parse(&text.as_bytes()[..end])
}

fn response(text: &str, method: &str) -> Result<ResponseHead, HeadError> {
    let end = HeadScanner::default().scan(text.as_bytes())?.expect("the head is whole");
    ResponseHead::parse(&text.as_bytes()[..end], method)
}

#[test]
fn ordinary_requests_are_read() {
    let get = request("GET /a?q=1 HTTP/1.1\r\nHost: API.bank.com\r\nAccept: */*\r\n\r\nbody").unwrap();
    assert_eq!(get.host.as_ref().unwrap().to_string(), "api.bank.com:80");
    assert_eq!((get.method.as_str(), get.path(), get.framing), ("GET", "/a", Framing::None));
    assert!(get.is_persistent());
    let post = request("POST / HTTP/1.1\r\nHost: a.com:8080\r\nContent-Length: 3\r\n\r\n").unwrap();
    assert_eq!(post.framing, Framing::Length(3));
    let chunked = request("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: Chunked\r\n\r\n").unwrap();
    assert_eq!(chunked.framing, Framing::Chunked);
    let connect = request("CONNECT a.com:443 HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(connect.target, Target::Authority(to) if to.to_string() == "a.com:443"));
    assert!(!request("GET / HTTP/1.0\r\nHost: a.com\r\n\r\n").unwrap().is_persistent());
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    use HeadError::*;
    for (text, error) in [
        ("GET / HTTP/1.1\nHost: a.com\n\n", LineEnd),
        ("GET / HTTP/1.1\r\nHost: a.com\r\nX: a\rb\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nHost: a.com\nX: y\r\n\r\n", LineEnd),
        ("GET  / HTTP/1.1\r\nHost: a.com\r\n\r\n", RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a.com\r\n\r\n", RequestLine),
        ("GET\t/ HTTP/1.1\r\nHost: a.com\r\n\r\n", RequestLine),
        ("\r\nGET / HTTP/1.1\r\nHost: a.com\r\n\r\n", LineEnd),
        ("GET / HTTP/1.2\r\nHost: a.com\r\n\r\n", Version),
        ("GET / HTTP/2.0\r\nHost: a.com\r\n\r\n", Version),
        ("GET a.com HTTP/1.1\r\nHost: a.com\r\n\r\n", Target),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a.com\r\n\r\n", Target),
        ("GET /#x HTTP/1.1\r\nHost: a.com\r\n\r\n", Target),
        ("GET * HTTP/1.1\r\nHost: a.com\r\n\r\n", Target),
        ("GET https://a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n", Scheme),
        ("GET http://u@a.com/ HTTP/1.1\r\nHost: a.com\r\n\r\n", Host(HostError::Character('@'))),
        ("GET / HTTP/1.1\r\n\r\n", HostCount(0)),
        ("GET / HTTP/1.1\r\nHost: a.com\r\nhost: a.com\r\n\r\n", HostCount(2)),
        ("GET / HTTP/1.1\r\nHost: a.com, b.com\r\n\r\n", Host(HostError::Character(','))),
        ("GET / HTTP/1.1\r\nHost: a.com\0\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nHost : a.com\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\n: a.com\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nHost: a.com\r\n b.com\r\n\r\n", Fold),
        ("GET / HTTP/1.1\r\nHost: a.com\r\nX: a\u{1}\r\n\r\n", Field),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Length),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1, 1\r\n\r\n", Length),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: +1\r\n\r\n", Length),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 99999999999999999999\r\n\r\n", Length),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", LengthAndCoding),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", LengthAndCoding),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferCoding),
        ("POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: xchunked\r\n\r\n", TransferCoding),
        (
            "POST / HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
            TransferCoding,
        ),
        ("POST / HTTP/1.0\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n", TransferCoding),
        ("CONNECT a.com HTTP/1.1\r\n\r\n", Host(HostError::Port)),
        ("CONNECT a.com:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", ConnectBody),
    ] {
        assert_eq!(request(text), Err(error), "{text:?}");
    }
}

#[test]
fn heads_are_bounded() {
    let mut scanner = HeadScanner::default();
    let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
    bytes.resize(MAX_HEAD, b'a');
    assert_eq!(scanner.scan(&bytes), Ok(None));
    bytes.push(b'a');
    assert_eq!(scanner.scan(&bytes), Err(HeadError::TooLong));
    let many = format!("GET / HTTP/1.1\r\nHost: a.com\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS));
    assert_eq!(request(&many), Err(HeadError::TooManyFields));
}

#[test]
fn scanning_byte_by_byte_finds_the_same_end() {
    let head = b"GET / HTTP/1.1\r\nHost: a.com\r\n\r\nrest";
    let mut scanner = HeadScanner::default();
    let found = (1..=head.len()).find_map(|end| scanner.scan(&head[..end]).unwrap());
    assert_eq!(found, Some(head.len() - 4));
}

#[test]
fn only_end_to_end_fields_go_on() {
    let text = "GET http://a.com/x?y HTTP/1.1\r\nHost: a.com\r\nProxy-Authorization: Basic x\r\n\
                Connection: X-Mine, Host, keep-alive\r\nX-Mine: 1\r\nTE: trailers\r\nUpgrade: h2c\r\n\
                HTTP2-Settings: AAMAAABk\r\nX-End: \u{e9}\r\n\r\n";
    let head = request(text).unwrap().to_bytes();
    assert_eq!(String::from_utf8(head).unwrap(), "GET /x?y HTTP/1.1\r\nHost: a.com\r\nX-End: \u{e9}\r\n\r\n");
}

#[test]
fn what_is_written_reads_back_the_same() {
    for text in [
        "POST http://a.com HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        "PUT /a HTTP/1.0\r\nHost: a.com\r\nContent-Length: 5\r\n\r\n",
    ] {
        let first = request(text).unwrap();
        let again = RequestHead::parse(&first.to_bytes()).unwrap();
        assert_eq!((&again.method, again.path(), &again.host), (&first.method, first.path(), &first.host));
        assert_eq!(again.framing, first.framing);
        assert_eq!(again.is_persistent(), first.is_persistent());
        assert_eq!(again.asks_for_websocket(), first.asks_for_websocket());
    }
}

#[test]
fn responses_end_where_the_rfc_says() {
    let ok = response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: x\r\n\r\n", "GET").unwrap();
    assert_eq!((ok.framing, ok.is_persistent()), (Framing::Length(5), true));
    assert_eq!(ok.to_bytes(true), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    let head = response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD").unwrap();
    assert_eq!(head.framing, Framing::None);
    assert_eq!(response("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", "GET").unwrap().framing, Framing::None);
    let old = response("HTTP/1.0 200\r\n\r\n", "GET").unwrap();
    assert_eq!((old.framing, old.is_persistent()), (Framing::UntilClose, false));
    for bad in ["HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1 +20 x\r\n\r\n"] {
        assert_eq!(response(bad, "GET"), Err(HeadError::StatusLine), "{bad:?}");
    }
}

#[test]
fn only_a_line_that_ends_in_a_version_claims_http() {
    assert_eq!(claims_http(b"GET / HTTP/1.1\r\n"), Some(true));
    assert_eq!(claims_http(b"GET / HTTP/1.1\nHost: x\n\n"), Some(true));
    assert_eq!(claims_http(b"GET / HT"), None);
    assert_eq!(claims_http(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(false));
    assert_eq!(claims_http(b"SSH-2.0-OpenSSH_9.2 Debian\r\n"), Some(false));
    assert_eq!(claims_http(b"\x00\x01"), Some(false));
    assert_eq!(claims_http(b"GET /\r\n"), Some(false));
}
