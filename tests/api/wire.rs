//! Requests that no good client sends, over connections that are good and over those that are not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use nanoclaw_identity::ca::client_tls;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore};
use serde_json::json;

use crate::client::{Client, Connection};
use crate::raw::{exchange, known, statuses};
use crate::support::appears;
use crate::world::World;

const SLEEPER: &str = "agents: [{ id: one, command: [sleep, '1000'] }]\n";

/// What an admin gets for a request with this first line, these fields and this body.
fn asked(world: &World, client: &crate::client::Client, first: &str, fields: &str, body: &str) -> Vec<u16> {
    let bytes = format!("{first}\r\n{fields}connection: close\r\n\r\n{body}");
    let statuses = statuses(&exchange(client, bytes.as_bytes()));
    assert_eq!(known(&world.owner()), Some(200), "it lives on");
    statuses
}

#[test]
fn what_is_too_large_is_refused_unread() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let explain = "POST /v1/policy/explain HTTP/1.1";
    let json = "host: localhost\r\ncontent-type: application/json\r\n";
    let asked = |first: &str, fields: &str, body: &str| asked(&world, &admin, first, fields, body);
    let get = "GET /v1/me HTTP/1.1";
    assert_eq!(asked(get, &format!("host: localhost\r\nx: {}\r\n", "a".repeat(128 * 1024)), ""), [431]);
    assert_eq!(asked(get, &format!("host: localhost\r\n{}", "x: y\r\n".repeat(100)), ""), [431]);
    assert_eq!(asked(&format!("GET /v1/audit?agent={} HTTP/1.1", "a".repeat(2_000)), "host: localhost\r\n", ""), [400]);
    let huge = "a".repeat(1024 * 1024 + 1);
    let length = format!("{json}content-length: {}\r\n", huge.len());
    assert_eq!(asked(explain, &length, &huge), [413]);
    let pieces = format!("{:x}\r\n{huge}\r\n0\r\n\r\n", huge.len());
    assert_eq!(asked(explain, &format!("{json}transfer-encoding: chunked\r\n"), &pieces), [413]);
    // Deep is large too.
    let deep = "[".repeat(500_000);
    assert_eq!(asked(explain, &format!("{json}content-length: {}\r\n", deep.len()), &deep), [400]);
    let question = json!({ "question": "one ".repeat(200_000) }).to_string();
    assert_eq!(asked(explain, &format!("{json}content-length: {}\r\n", question.len()), &question), [400]);
}

#[test]
fn a_refusal_before_the_body_came_does_not_cost_the_connection() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    for (refused, status) in [("PUT /v1/me", 405), ("POST /v1/nothing", 404), ("POST /v1/enrolments", 415)] {
        let mut connection = admin.connect();
        let head = format!("{refused} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n");
        connection.write_all(head.as_bytes()).expect("it listens");
        connection.flush().expect("it listens");
        // As on a busy network: long enough for an answer that does not wait for the body.
        std::thread::sleep(std::time::Duration::from_millis(300));
        connection
            .write_all(b"{}GET /v1/me HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .expect("it listens");
        let mut came = String::new();
        let _ended = connection.read_to_string(&mut came);
        assert_eq!(statuses(&came), [status, 200], "{refused}: {came}");
    }
}

#[test]
fn bodies_that_are_not_what_they_should_be_are_refused() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let post =
        |kind: &str, body: &[u8]| admin.send("POST", "/v1/enrolments", &[("content-type", kind)], body).refused();
    let good = br#"{"operator":"eve","roles":["viewer"]}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=latin1",
        "",
    ] {
        assert_eq!(post(kind, good), (415, "malformed".to_owned()), "{kind}");
    }
    for body in [
        &b"{"[..],
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"operator":"eve"}"#,
        br#"{"operator":"eve","roles":["viewer"],"more":1}"#,
        br#"{"operator":"eve","operator":"bob","roles":["viewer"]}"#,
        br#"{"operator":"eve","roles":["root"]}"#,
        br#"{"operator":"eve","roles":[]}"#,
        br#"{"operator":"../eve","roles":["viewer"]}"#,
        br#"{"operator":"eve","roles":["viewer"],"minutes":1e400}"#,
        br#"{"operator":"eve","roles":["viewer"],"minutes":-1}"#,
        br#"{"operator":"eve","roles":["viewer"]} {"#,
    ] {
        assert_eq!(post("application/json", body), (400, "malformed".to_owned()), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(world.owner().get("/v1/operators").good().as_array().unwrap().len(), 1, "nobody was made");
    let refused = world.records(|record| record["action"] == "agent_manage" && record["code"] == "malformed");
    assert_eq!(refused.len(), 18, "each is on record");
}

#[test]
fn a_path_is_what_it_says_and_nothing_else() {
    let world = World::up(SLEEPER);
    let viewer = world.operator("val", &["viewer"]);
    let asked = |first: &str| asked(&world, &viewer, first, "host: localhost\r\n", "");
    assert_eq!(asked("GET /v1/agents HTTP/1.1"), [200]);
    for path in [
        "/v1//agents",
        "//v1/agents",
        "/v1/agents/",
        "/V1/agents",
        "/v1/%61gents",
        "/v1/./agents",
        "/v1/agents/../operators",
        "/v1/agents/%2e%2e/operators",
        "/v1/agents/..",
        "/v1/agents/%2e%2e",
        "/v1/agents;a=b",
        "/v1/agents%00",
        "/v1/agents/one%2flogs",
        "/v1/agents/one/logs/..",
        "/v1",
        "/",
    ] {
        assert_eq!(asked(&format!("GET {path} HTTP/1.1")), [404], "{path}");
    }
    // Whoever may not ask for logs does not get at them in another way either.
    assert_eq!(asked("GET /v1/agents/%2e%2e/logs HTTP/1.1"), [403]);
    assert_eq!(asked("GET https://evil.example/v1/agents HTTP/1.1"), [421]);
    assert_eq!(asked("PATCH /v1/agents HTTP/1.1"), [405]);
    assert_eq!(asked("BREW /v1/agents HTTP/1.1"), [405]);
}

#[test]
fn a_page_of_another_site_and_a_name_that_leads_here_are_refused_and_recorded() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let asked = |fields: &str| asked(&world, &admin, "GET /v1/agents HTTP/1.1", fields, "");
    assert_eq!(asked(&format!("host: {0}\r\norigin: https://{0}\r\n", world.address)), [200]);
    for (fields, status) in [
        ("host: evil.example\r\n", 421),
        ("host: localhost.evil.example\r\n", 421),
        ("host: 192.0.2.1\r\n", 421),
        ("", 421),
        ("host: localhost\r\nhost: evil.example\r\n", 400),
        ("host: localhost\r\nhost: localhost\r\n", 400),
        ("host: localhost\r\norigin: https://evil.example\r\n", 403),
        ("host: localhost\r\norigin: null\r\n", 403),
        ("host: localhost\r\nsec-fetch-site: cross-site\r\n", 403),
    ] {
        assert_eq!(asked(fields), [status], "{fields}");
    }
    let refused = world.records(|record| record["action"] == "sign_in" && record["result"] == "denied");
    assert_eq!(refused.len(), 9);
    assert!(refused.iter().all(|record| record["agent_id"] == "operator:root-of-all"), "{refused:?}");
}

#[test]
fn no_second_request_is_smuggled_in() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let inner = "GET /v1/operators HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let asked = |fields: &str, body: &str| {
        let bytes = format!(
            "POST /v1/policy/explain HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{fields}\r\n{body}"
        );
        statuses(&exchange(&admin, bytes.as_bytes()))
    };
    let length = inner.len();
    for (fields, body) in [
        (format!("content-length: {length}\r\ncontent-length: 0\r\n"), inner.to_owned()),
        (format!("content-length: +{length}\r\n"), inner.to_owned()),
        (format!("content-length: {length}, {length}1\r\n"), inner.to_owned()),
        ("transfer-encoding: xchunked\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked, identity\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        (" folded: 1\r\ncontent-length: 0\r\n".to_owned(), inner.to_owned()),
        ("x: 1\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n".to_owned(), inner.to_owned()),
        ("transfer-encoding : chunked\r\n".to_owned(), format!("0\r\n\r\n{inner}")),
        ("x: a\0b\r\ncontent-length: 0\r\n".to_owned(), inner.to_owned()),
    ] {
        assert_eq!(asked(&fields, &body), [400], "{fields}");
    }
    // What is both counted and in pieces is read in pieces, as RFC 9112 has it, and the rest is no request.
    for fields in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
    ] {
        assert_eq!(asked(&fields, &format!("0\r\n\r\n{inner}")), [400], "{fields}");
    }
    let listed = world.records(|record| record["detail"].as_str().is_some_and(|detail| detail.starts_with("list ")));
    assert!(listed.is_empty(), "nothing was listed: {listed:?}");
}

#[test]
fn what_is_no_http_gets_nowhere() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    for bytes in [
        &b"GET /v1/me\r\n\r\n"[..],
        b"GET /v1/me HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\r\n\r\n\r\n\r\nnonsense \r\n\r\n",
    ] {
        let statuses = statuses(&exchange(&admin, bytes));
        assert!(statuses.iter().all(|status| *status == 400 || *status == 505), "{statuses:?}");
    }
    let h2 = exchange(&admin, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!h2.contains(" 200"), "{h2}");
    // Without TLS there is nothing at all.
    let mut plain = TcpStream::connect(world.address).unwrap();
    plain.write_all(b"GET /v1/ca HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut came = Vec::new();
    let _ = plain.read_to_end(&mut came);
    assert!(!came.windows(4).any(|four| four == b"HTTP"), "{came:?}");
    assert_eq!(known(&admin), Some(200));
}

fn shaken(world: &World, config: ClientConfig) -> Result<ClientConnection, std::io::Error> {
    let mut stream = TcpStream::connect(world.address).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(connection)
}

#[test]
fn the_key_exchange_is_hybrid_and_the_version_is_the_newest() {
    let world = World::up(SLEEPER);
    let connection = shaken(&world, client_tls(&world.authority, None).unwrap()).unwrap();
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(connection.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(world.authority.as_bytes()).unwrap()).unwrap();
    let old = ClientConfig::builder_with_provider(nanoclaw_vault::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let refused = shaken(&world, old).unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
}

#[test]
fn many_who_say_nothing_keep_nobody_out() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    // Connections without a word, with a handshake only, and with the beginning of a head.
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    assert_eq!(known(&admin), Some(200));
    let stranger = world.stranger();
    let begun: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = stranger.connect();
            let _ = connection.write_all(b"GET /v1/ca HTTP/1.1\r\nx: ");
            let _ = connection.flush();
            connection
        })
        .collect();
    assert_eq!(known(&admin), Some(200));
    assert_eq!(known(&world.owner()), Some(200));
    drop((silent, begun));
}

#[test]
fn heads_and_bodies_that_come_drop_by_drop_are_given_up() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let mut head = admin.connect();
    head.write_all(b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\nx: ").unwrap();
    head.flush().unwrap();
    let mut body = admin.connect();
    let fields = "host: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n";
    body.write_all(format!("POST /v1/policy/explain HTTP/1.1\r\n{fields}\r\n{{").as_bytes()).unwrap();
    body.flush().unwrap();
    // Each is fed as long as the other side takes it.
    let fed = |mut connection: Box<dyn crate::client::Connection>| {
        let mut piece = [0; 4096];
        let mut came = Vec::new();
        // It waits for whatever comes, which is the end or a refusal.
        while let Ok(length @ 1..) = connection.read(&mut piece) {
            came.extend_from_slice(&piece[..length]);
        }
        statuses(&String::from_utf8_lossy(&came))
    };
    assert!(matches!(fed(head).as_slice(), [] | [408]));
    assert_eq!(fed(body).first(), Some(&408));
    assert_eq!(known(&admin), Some(200));
}

#[test]
fn whoever_fails_often_waits_and_whoever_has_a_certificate_does_not() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let stranger = world.stranger();
    // One failure is forgotten every three seconds, so that it takes more than twenty on a slow machine.
    let failures: Vec<_> = (0..80).map(|_| stranger.get("/v1/me")).take_while(|answer| answer.status == 401).collect();
    assert!((20..80).contains(&failures.len()), "{}", failures.len());
    let late = stranger.get("/v1/me");
    assert_eq!(late.refused(), (429, "limit".to_owned()));
    assert!(late.field("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
    assert_eq!(stranger.enrol("nci_x").err().unwrap().refused(), (429, "limit".to_owned()));
    assert_eq!(known(&admin), Some(200));
    // Nor does a token on top of one, until it has failed often itself.
    let made = admin.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 1})).good();
    assert_eq!(known(&admin.with_token(made["token"].as_str().unwrap())), Some(200));
    let guesser = admin.with_token("ncl_guess");
    let guesses = (0..80).map(|_| guesser.get("/v1/me").status).take_while(|status| *status == 401).count();
    assert!((20..80).contains(&guesses), "{guesses}");
    assert_eq!(guesser.get("/v1/me").refused(), (429, "limit".to_owned()));
    assert_eq!(known(&admin), Some(200));
}

#[test]
fn many_from_one_place_push_out_their_own_and_nobody_else() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let mut waiting = world.owner().connect();
    let many: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    // Whoever comes behind them is served when they have been.
    assert_eq!(known(&admin), Some(200));
    waiting.write_all(b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut piece = [0; 4096];
    let length = waiting.read(&mut piece).unwrap();
    assert_eq!(statuses(&String::from_utf8_lossy(&piece[..length])), [200]);
    drop(many);
}

#[test]
fn nobody_takes_the_connections_and_streams_of_others() {
    let world = World::up(SLEEPER);
    let (one, other) = (world.operator("one", &["auditor"]), world.operator("other", &["auditor"]));
    let streams: Vec<_> = (0..16).map(|_| one.follow("GET", "/v1/events", &[], b"")).collect();
    assert_eq!(one.get("/v1/events").refused(), (429, "limit".to_owned()));
    drop(other.follow("GET", "/v1/events", &[], b""));
    let (refused, open) = fill(&one, 100);
    assert_eq!((refused, open.len()), (Some(503), 64 - 16 + 1));
    assert_eq!((known(&other), known(&world.owner())), (Some(200), Some(200)));
    drop((open, streams));
    assert!(appears(|| known(&one) == Some(200)));
}

/// Opens connections, `most` at most, until one is answered otherwise than with 200; gives that status and all of them.
fn fill(client: &Client, most: usize) -> (Option<u16>, Vec<Box<dyn Connection>>) {
    let mut open = Vec::new();
    let refused = (0..most).find_map(|_| {
        let mut connection = client.connect();
        connection.write_all(b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut piece = [0; 4096];
        let length = connection.read(&mut piece).unwrap();
        let status = statuses(&String::from_utf8_lossy(&piece[..length]))[0];
        open.push(connection);
        (status != 200).then_some(status)
    });
    (refused, open)
}

#[test]
fn connections_and_streams_have_an_end() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let mut streams: Vec<_> = (0..64).map(|_| owner.follow("GET", "/v1/events", &[], b"")).collect();
    assert_eq!(owner.get("/v1/events").refused(), (429, "limit".to_owned()));
    streams.clear();
    assert!(appears(|| owner.get("/v1/agents").status == 200));
    let (refused, open) = fill(&owner, 400);
    assert_eq!(refused, Some(503));
    assert!(open.len() > 200, "{}", open.len());
    drop(open);
    assert!(appears(|| known(&owner) == Some(200)));
}
