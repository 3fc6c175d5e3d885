//! People whom an OpenID Connect issuer vouches for: a small one that these tests are, with keys made by openssl(1).

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::Client;
use crate::provider::Provider;
use crate::support::{Host, appears, eventually};
use crate::world::World;

/// Base64 of RFC 7515, appendix C.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

/// A key that signs.
struct Key {
    directory: tempfile::TempDir,
    id: &'static str,
}

impl Key {
    fn new(id: &'static str) -> Self {
        let key = Self { directory: tempfile::tempdir().unwrap(), id };
        key.openssl(&["genrsa", "-out", "key.pem", "2048"], b"");
        key
    }

    fn openssl(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        output.stdout
    }

    /// As a JWK (RFC 7517).
    fn public(&self) -> Value {
        let modulus = self.openssl(&["rsa", "-in", "key.pem", "-noout", "-modulus"], b"");
        let hex = String::from_utf8(modulus).unwrap().trim().strip_prefix("Modulus=").unwrap().to_owned();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": base64url(&bytes), "e": "AQAB" })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let signed =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let signature = self.openssl(&["dgst", "-sha256", "-sign", "key.pem"], signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    }
}

/// An issuer on loopback.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    /// How often its keys were fetched.
    fetched: Arc<AtomicUsize>,
}

impl Issuer {
    fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(keys.iter().map(|key| key.public()).collect()));
        let issuer = Self { url: url.clone(), keys: Arc::clone(&keys), fetched: Arc::default() };
        let fetched = Arc::clone(&issuer.fetched);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let body = if line.starts_with("GET /.well-known/openid-configuration ") {
                    json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })
                } else {
                    fetched.fetch_add(1, Ordering::SeqCst);
                    let keys: Vec<Value> = keys.lock().unwrap().clone();
                    json!({ "keys": keys })
                };
                while reader.read_line(&mut line).unwrap() > 2 {}
                let body = body.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _left = reader.get_mut().write_all(format!("{head}{body}").as_bytes()).is_err();
            }
        });
        issuer
    }

    /// The issuer of a fleet.
    fn configuration(&self) -> String {
        format!(
            "operators: {{ oidc: {{ issuer: \"{}\", audience: nanoclaw, roles: {{ auditors: [auditor], bosses: [admin] }} }} }}\n",
            self.url
        )
    }

    fn world(&self) -> World {
        let agents = "agents: [{ id: one, command: [sleep, '1000'] }]\n";
        World::up_on(Host::new(), &format!("{}{agents}", self.configuration()))
    }

    /// What a good token says.
    fn claims(&self, subject: &str, groups: &[&str]) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({ "iss": self.url, "aud": "nanoclaw", "sub": subject, "groups": groups, "iat": now, "exp": now + 600 })
    }
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

#[test]
fn the_groups_of_an_issuers_token_give_roles() {
    let key = Key::new("one");
    let issuer = Issuer::start(&[&key]);
    let world = issuer.world();
    let below = world.operator("somebody", &["viewer"]);
    let ask = |token: &str| below.with_token(token).get("/v1/me");
    let good = key.sign(&issuer.claims("u-17", &["auditors", "others"]));
    assert_eq!(ask(&good).good(), json!({"name": "oidc:u-17", "roles": ["auditor"]}));
    let auditor: Client = below.with_token(&good);
    assert_eq!(auditor.get("/v1/audit").status, 200);
    assert_eq!(auditor.get("/v1/operators").refused(), (403, "not-you".to_owned()));
    assert_eq!(world.stranger().with_token(&good).get("/v1/me").refused().0, 401, "alone it is nothing");
    let now = jiff::Timestamp::now().as_second();
    for (why, claims) in [
        ("expired", with(issuer.claims("u", &["bosses"]), "exp", now - 120)),
        ("for somebody else", with(issuer.claims("u", &["bosses"]), "aud", "another")),
        ("of another issuer", with(issuer.claims("u", &["bosses"]), "iss", "https://id.evil.example")),
        ("without a group that has a role", issuer.claims("u", &["others"])),
    ] {
        assert_eq!(ask(&key.sign(&claims)).refused(), (401, "not-you".to_owned()), "{why}");
    }
    let forged = good.rsplit_once('.').unwrap().0;
    let other = Key::new("one").sign(&issuer.claims("u", &["bosses"]));
    assert_eq!(ask(&format!("{forged}.{}", other.rsplit_once('.').unwrap().1)).refused().0, 401);
    assert_eq!(ask(&other).refused().0, 401, "signed with another key of the same name");
    let used = world.records(|record| record["agent_id"] == "operator:oidc:u-17" && record["result"] == "allowed");
    assert!(!used.is_empty());
}

#[test]
fn keys_that_nobody_knows_are_fetched_again_but_not_for_every_token() {
    let (first, second) = (Key::new("first"), Key::new("second"));
    let issuer = Issuer::start(&[&first]);
    let world = issuer.world();
    let below = world.operator("somebody", &["viewer"]);
    let ask = |key: &Key| below.with_token(&key.sign(&issuer.claims("u", &["auditors"]))).get("/v1/me");
    ask(&first).good();
    assert_eq!(issuer.fetched.load(Ordering::SeqCst), 1);
    issuer.keys.lock().unwrap().push(second.public());
    // Just fetched, so not again; the first key is good all the while.
    for _ in 0..3 {
        assert_eq!(ask(&second).refused().0, 401);
        ask(&first).good();
    }
    assert_eq!(issuer.fetched.load(Ordering::SeqCst), 1);
}

#[test]
fn an_issuer_that_does_not_answer_lets_nobody_in() {
    let key = Key::new("one");
    let mut issuer = Issuer::start(&[&key]);
    issuer.url = format!("http://{}", crate::world::free());
    let world = issuer.world();
    let below = world.operator("somebody", &["viewer"]);
    let refused = below.with_token(&key.sign(&issuer.claims("u", &["bosses"]))).get("/v1/me").refused();
    assert_eq!(refused, (503, "not-you".to_owned()));
}

#[test]
fn a_person_with_a_certificate_and_an_issuers_token_is_one() {
    let key = Key::new("one");
    let (issuer, provider, host) = (Issuer::start(&[&key]), Provider::start(), Host::new());
    let asks = "@id(\"shell-asks\")\n@ask(\"programs need a person\")\nforbid(principal, action == Action::\"tool_call\", resource == \
                Tool::\"shell\");\n";
    host.write("asks.cedar", asks);
    let more = "policies: [./asks.cedar]\napprovals: { people: 2 }\n\
                agents: [{ id: worker, kind: builtin, model: fast, tools: { allow: [shell] } }]\n";
    let configuration = provider.configure(&host, &format!("{}{more}", issuer.configuration()));
    let world = World::up_on(host, &configuration);
    let owner = world.owner();
    assert!(appears(|| owner.get("/v1/agents/worker").good()["phase"] == "running"));
    let two = |name: &str| {
        let alone = world.operator(name, &["operator", "approver"]);
        let both = alone.with_token(&key.sign(&issuer.claims(&format!("u-{name}"), &["bosses"])));
        (alone, both)
    };
    let ((alice, also_alice), (bert, also_bert)) = (two("alice"), two("bert"));
    let other = world.operator("otto", &["approver"]);
    let ask = |who: &Client, number: u8| {
        // Each time something else: what was denied is not asked again so soon.
        let body = json!({"prompt": format!("CALL shell {{\"command\": \"echo {number}\"}}")}).to_string();
        let events = who.follow("POST", "/v1/agents/worker/turns", &[], body.as_bytes());
        let question = eventually("a question", || owner.get("/v1/approvals").good().get(0).cloned());
        (events, question)
    };
    let answer = |who: &Client, question: &Value, answer: &str| {
        let path = format!("/v1/approvals/{}", question["id"].as_str().unwrap());
        who.post(&path, &json!({"digest": question["digest"], "answer": answer}))
    };
    for (number, asks, answers) in [(1, &alice, &also_alice), (2, &also_alice, &alice)] {
        let (mut events, question) = ask(asks, number);
        assert_eq!(answer(answers, &question, "approve").refused().0, 403, "nobody approves what they asked for");
        assert_eq!(answer(answers, &question, "deny").good()["outcome"], "denied");
        while events.next().is_some() {}
    }
    for (number, first, second) in [(3, &bert, &also_bert), (4, &also_bert, &bert)] {
        let (mut events, question) = ask(&owner, number);
        assert_eq!(answer(first, &question, "approve").good()["outcome"], "counted");
        assert_eq!(answer(second, &question, "approve").refused().0, 409, "nobody is two people");
        assert_eq!(answer(&other, &question, "approve").good()["outcome"], "approved");
        while events.next().is_some() {}
    }
}
