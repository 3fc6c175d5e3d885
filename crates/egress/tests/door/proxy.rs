//! The explicit proxy: CONNECT and absolute-form requests.

use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::tls::{hello, sni};
use crate::world::{End, PUBLIC, World, host, raw, refused, rest, say, until};

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn tunnel_carries_tls_for_its_own_name() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Echo).await;
    world.publish("api.bank.com", 443, origin.address);
    let mut stream = world.connect_to_proxy().await;
    stream.write_all(b"CONNECT API.bank.com.:443 HTTP/1.1\r\nHost: ignored\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, OPEN);
    let bytes = hello(&[sni("api.bank.com")]);
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (bytes, End::Closed));
    assert_eq!(world.story().await, ["net_resolve allowed", "net_connect allowed", "net_connect done"]);
    assert_eq!(world.records().await[1]["via"], "http-connect");
    assert_eq!(world.lookups(), ["api.bank.com"]);
}

#[tokio::test]
async fn tunnel_with_another_name_inside_is_refused_in_tls() {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to_proxy().await;
    // The hello comes along with the request, as impatient clients send it.
    let bytes = [&b"CONNECT api.bank.com:443 HTTP/1.1\r\n\r\n"[..], &hello(&[sni("evil.com")])].concat();
    stream.write_all(&bytes).await.unwrap();
    let (answer, _) = rest(&mut stream).await;
    assert_eq!(answer, [OPEN.as_bytes(), &[21, 3, 3, 0, 2, 2, 49]].concat());
    world.refusal("net_connect", "sni-mismatch").await;
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn tunnel_to_port_80_is_read_as_http() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to_proxy().await;
    stream.write_all(b"CONNECT api.bank.com:80 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, OPEN);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    world.refusal("http_request", "http-host-mismatch").await;
    assert_eq!(origin.seen(), ["GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n"]);
}

#[tokio::test]
async fn tunnel_within_a_tunnel_is_refused() {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to_proxy().await;
    stream.write_all(b"CONNECT api.bank.com:80 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, OPEN);
    let answer = say(&mut stream, b"CONNECT evil.com:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    world.refusal("net_connect", "malformed").await;
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn denied_name_is_refused_before_the_tunnel_opens_and_never_looked_up() {
    let world = World::new([host("api.bank.com")]);
    world.resolves("evil.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to_proxy().await;
    let answer = say(&mut stream, b"CONNECT evil.com:443 HTTP/1.1\r\n\r\n").await;
    let help = "to allow it, add \"evil.com:443\" to allowed_networks of agent nano-001";
    assert_eq!(answer, refused("403 Forbidden", "host-not-allowed", "no rule allows evil.com:443", help));
    let record = world.refusal("net_resolve", "host-not-allowed").await;
    assert_eq!(record["resource"], "evil.com:443");
    assert_eq!(record["help"], help);
    assert_eq!((world.lookups(), world.dials()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn raw_tunnel_opens_after_the_far_side_answered() {
    let world = World::new([raw("db.bank.com", 5432)]);
    let origin = Origin::new(Script::Greet("hello from the server")).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to_proxy().await;
    stream.write_all(b"CONNECT db.bank.com:5432 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "server").await, format!("{OPEN}hello from the server"));

    world.resolves("db.bank.com", &[&["9.9.9.9"]]);
    let mut stream = world.connect_to_proxy().await;
    let answer = say(&mut stream, b"CONNECT db.bank.com:5432 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
}

/// Sends one request head to the proxy; nothing may be looked up or dialled for it.
async fn is_refused(head: &str, status: &str, action: &str, code: &str) {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to_proxy().await;
    let head = head.replace("PROXY", &format!("127.0.0.1:{}", world.proxy_port()));
    let answer = say(&mut stream, head.as_bytes()).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {answer}");
    assert!(answer.contains(&format!("\r\nx-nanoclaw-refusal: {code}\r\n")), "{head:?}: {answer}");
    world.refusal(action, code).await;
    assert_eq!((world.lookups(), world.dials()), (Vec::new(), Vec::new()), "{head:?}");
}

#[tokio::test]
async fn addresses_in_disguise_are_refused() {
    for authority in [
        "93.184.216.34:443",
        "169.254.169.254:80",
        "[::ffff:169.254.169.254]:80",
        "[64:ff9b::a9fe:a9fe]:80",
        "100.100.100.200:80",
        "168.63.129.16:80",
        "127.0.0.1:80",
        "[::1]:80",
        "0.0.0.0:80",
        "PROXY",
    ] {
        let head = format!("CONNECT {authority} HTTP/1.1\r\n\r\n");
        is_refused(&head, "403", "net_connect", "host-not-allowed").await;
    }
    for authority in ["localhost:80", "api.bank.com:22", "api.bank.com.evil.com:443", "evil-api.bank.com:443"] {
        let head = format!("CONNECT {authority} HTTP/1.1\r\n\r\n");
        is_refused(&head, "403", "net_resolve", "host-not-allowed").await;
    }
}

#[tokio::test]
async fn authorities_that_are_none_are_malformed() {
    for authority in [
        "2130706433:80",
        "0x7f000001:80",
        "0177.0.0.1:80",
        "127.1:80",
        "api.bank.com:0",
        "api.bank.com:65536",
        "api.bank.com:0443",
        "api.bank.com",
        "api.bank.com..:443",
        "user@api.bank.com:443",
        "api.bank.com:443@evil.com:443",
        "api.bank.com%00.evil.com:443",
        "api.bank.com\0.evil.com:443",
        "api.bank.com#.evil.com:443",
        "b\u{fc}cher.com:443",
        "[fe80::1%25eth0]:80",
        "/api.bank.com:443",
        "",
    ] {
        let head = format!("CONNECT {authority} HTTP/1.1\r\n\r\n");
        is_refused(&head, "400", "net_connect", "malformed").await;
    }
    is_refused("CONNECT api.bank.com:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "400", "net_connect", "malformed")
        .await;
    is_refused("GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "400", "net_connect", "malformed").await;
    is_refused("GET https://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "400", "net_connect", "malformed")
        .await;
    is_refused("GET ftp://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "400", "net_connect", "malformed")
        .await;
}

#[tokio::test]
async fn absolute_form_goes_on_in_origin_form() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to_proxy().await;
    let request = "GET http://api.bank.com/x?y=z HTTP/1.1\r\nHost: api.bank.com\r\nProxy-Connection: keep-alive\r\n\
                   Proxy-Authorization: Basic c2VjcmV0\r\nX-Own: 1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    assert_eq!(origin.seen(), ["GET /x?y=z HTTP/1.1\r\nHost: api.bank.com\r\nX-Own: 1\r\n\r\n"]);
    let records = world.records().await;
    assert_eq!(records[1]["via"], "http-proxy");
}

#[tokio::test]
async fn each_absolute_request_is_decided_for_its_own_destination() {
    let world = World::new([host("api.bank.com"), host("log.bank.com")]);
    let (api, log) = (Origin::new(Script::Reply(OK)).await, Origin::new(Script::Reply(OK)).await);
    world.publish("api.bank.com", 80, api.address);
    world.resolves("log.bank.com", &[&["9.9.9.9"]]);
    world.serves("9.9.9.9:80", log.address);
    let mut stream = world.connect_to_proxy().await;
    for name in ["api", "api", "log", "api"] {
        let request = format!("GET http://{name}.bank.com HTTP/1.1\r\nHost: {name}.bank.com\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    }
    assert_eq!((api.seen().len(), log.seen().len(), world.dials().len()), (2, 1, 3));
    let answer = say(&mut stream, b"GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    world.refusal("net_resolve", "host-not-allowed").await;
    assert_eq!(world.lookups(), ["api.bank.com", "log.bank.com", "api.bank.com"]);
}

#[tokio::test]
async fn absolute_form_with_another_host_field_is_refused() {
    let world = World::new([host("api.bank.com"), host("log.bank.com")]);
    world.resolves("api.bank.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to_proxy().await;
    let answer = say(&mut stream, b"GET http://api.bank.com/ HTTP/1.1\r\nHost: log.bank.com\r\n\r\n").await;
    assert!(answer.contains("\r\nx-nanoclaw-refusal: http-host-mismatch\r\n"), "{answer}");
    world.refusal("net_connect", "http-host-mismatch").await;
    assert!(world.dials().is_empty());
}
