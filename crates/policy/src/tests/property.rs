//! Cedar and the plain reading of the rules agree, whatever the rules and the questions.

use cedar_policy::{Entities, Request};
use nanoclaw_config::{ModelAccess, ToolRule, ToolRules};
use nanoclaw_request::{
    Action, Connect, Destination, DnsName, Evidence, Host, HttpRequest, ModelCall, ModelOperation, ProposedCall,
    Resolve, Via,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{cell, decide, ip, oracle, rules};
use crate::Engine;
use crate::NOTHING_READ;
use crate::ask::Asker;
use crate::language::schema;
use crate::made::Mentions;

pub const NET_RULES: [&str; 16] = [
    "api.example.com",
    "*.example.com",
    "**.example.com",
    "a.b.example.com:443",
    "example.com:8443",
    "tcp://db.example.com:5432",
    "tcp://api.example.com:443",
    "10.0.0.0/8",
    "10.1.2.3:443",
    "tcp://192.168.1.7:22",
    "169.254.169.254:80",
    "169.254.0.0/16",
    "[fd00::/8]",
    "93.184.216.0/24",
    "host-service:127.0.0.1:8080",
    "host-service:127.0.0.1:443",
];
const NAMES: [&str; 7] =
    ["api.example.com", "example.com", "a.b.example.com", "xapi.example.com", "db.example.com", "evil.test", "com"];
const ADDRESSES: [&str; 12] = [
    "93.184.216.34",
    "10.1.2.3",
    "10.9.9.9",
    "127.0.0.1",
    "169.254.169.254",
    "169.254.1.1",
    "192.168.1.7",
    "fd00::1",
    "2606:4700::1",
    "::1",
    "::ffff:10.1.2.3",
    "100.100.100.200",
];
const PORTS: [u16; 6] = [80, 443, 8443, 5432, 22, 8080];
const WORDS: [&str; 12] =
    ["main/a", "main/b", "fast", "shell", "file_read", "web_search", "a\"b", "a\\*b", "a*b", "银行", "x\ny", ""];
const PATTERNS: [&str; 13] =
    ["*", "main/*", "main/a", "fast", "f*", "shell", "web_search", "a\"*", "a\\*b", "*银*", "x\n*", "", "*_*"];

fn pick<T: Clone + std::fmt::Debug + 'static>(from: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(from)
}

fn word() -> impl Strategy<Value = String> {
    pick(&WORDS).prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    pick(&PATTERNS).prop_map(str::to_owned)
}

fn destination() -> impl Strategy<Value = Destination> {
    let name = pick(&NAMES).prop_map(|name| Host::Name(DnsName::parse(name).unwrap()));
    let address = pick(&ADDRESSES).prop_map(|address| Host::Ip(ip(address)));
    (prop_oneof![name, address], pick(&PORTS)).prop_map(|(host, port)| Destination { host, port })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let sni = option::of(pick(&NAMES).prop_map(str::to_owned));
    prop_oneof![
        (sni, any::<bool>()).prop_map(|(sni, encrypted_hello)| Evidence::Tls { sni, encrypted_hello }),
        destination().prop_map(|host| Evidence::Http { host }),
        Just(Evidence::Opaque),
        Just(Evidence::Silent),
    ]
}

/// A destination, and evidence that fits it in every other case.
fn connect() -> impl Strategy<Value = Action> {
    (destination(), evidence(), any::<bool>(), vec(pick(&ADDRESSES), 0..4)).prop_map(
        |(destination, evidence, fits, addresses)| {
            let evidence = match (&destination.host, fits) {
                (_, false) => evidence,
                (Host::Name(name), true) => {
                    Evidence::Tls { sni: Some(name.as_str().to_uppercase()), encrypted_hello: false }
                }
                (Host::Ip(_), true) => Evidence::Http { host: destination.clone() },
            };
            // Where an address is dialled, it is the one that was resolved.
            let addresses = match destination.host {
                Host::Ip(address) => vec![address],
                Host::Name(_) => addresses.into_iter().map(ip).collect(),
            };
            Action::Connect(Connect { destination, via: Via::Transparent, evidence, addresses })
        },
    )
}

fn tool_rules(list: &'static str) -> impl Strategy<Value = Vec<ToolRule>> {
    vec((pattern(), btree_map(pick(&["k", "\"q", "path"]).prop_map(str::to_owned), pattern(), 0..3)), 0..4).prop_map(
        move |rules| {
            let rule = |(index, (name, arguments))| ToolRule {
                id: format!("agents.a.tools.{list}[{index}]"),
                name,
                arguments,
            };
            rules.into_iter().enumerate().map(rule).collect()
        },
    )
}

fn access() -> impl Strategy<Value = ModelAccess> {
    (
        option::of(word()),
        vec(pattern(), 0..4),
        vec(pattern(), 0..2),
        option::of(tool_rules("allow")),
        tool_rules("deny"),
    )
        .prop_map(|(model, allow, deny, tools, denied)| ModelAccess {
            model,
            allow,
            deny,
            tools: ToolRules { allow: tools, deny: denied },
            ..ModelAccess::default()
        })
}

pub fn action() -> impl Strategy<Value = Action> {
    let resolve = (pick(&NAMES), option::of(pick(&PORTS)))
        .prop_map(|(name, port)| Action::Resolve(Resolve { name: DnsName::parse(name).unwrap(), port }));
    let http = (destination(), destination(), any::<bool>()).prop_map(|(connection, other, same)| {
        let host = if same { connection.clone() } else { other };
        Action::Http(HttpRequest { connection, host, method: "GET".to_owned(), path: "/".to_owned(), query: None })
    });
    let operation = pick(&[ModelOperation::Chat, ModelOperation::Embeddings, ModelOperation::List]);
    let model = (operation, word(), vec(word(), 0..3)).prop_map(|(operation, asked, candidates)| {
        Action::CallModel(ModelCall {
            operation,
            asked,
            candidates,
            stream: false,
            messages: 1,
            bytes: 1,
            digest: String::new(),
            reserved_tokens: u64::MAX,
        })
    });
    let pairs = vec((pick(&["k", "\"q", "path"]).prop_map(str::to_owned), word()), 0..3).prop_map(|pairs| {
        pairs.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect::<Vec<_>>()
    });
    let tool = (word(), option::of(pairs), any::<bool>()).prop_map(|(tool, arguments, at_provider)| {
        let (call, written, digest, traced) = (String::new(), String::new(), String::new(), Vec::new());
        Action::ToolCall(ProposedCall { tool, call, arguments, written, digest, at_provider, traced })
    });
    prop_oneof![resolve, connect(), http, model, tool]
}

/// What a question says is what the schema lets policies speak about, so that none of them can fail.
pub fn fits_schema(engine: &Engine, action: &Action) {
    let language = crate::language::Language::get().unwrap();
    let made = engine.made();
    let asker = made.asker(language, engine.session(), NOTHING_READ, jiff::Timestamp::UNIX_EPOCH);
    let asker = Asker { group: Some("g"), mentions: Mentions::of("address session now said budget_left"), ..asker };
    let principal = asker.principal(None).unwrap();
    for question in asker.questions(action).unwrap() {
        let uid = language.action.of(question.action);
        Request::new(principal.uid.clone(), uid, question.resource, question.context, Some(schema().unwrap())).unwrap();
        Entities::from_entities([principal.entity.clone(), question.entity], Some(schema().unwrap())).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_compiled_rule_means_what_the_rule_says(
        networks in vec(pick(&NET_RULES), 0..5),
        models in option::of(access()),
        actions in vec(action(), 1..4),
    ) {
        let networks = rules(&networks);
        let engine = Engine::new(cell(), networks.clone());
        let engine = match &models {
            Some(models) => engine.with_models(models.clone()),
            None => engine,
        };
        for action in actions {
            let expected = oracle::permits(&networks, models.as_ref(), &action);
            let decided = decide(&engine, action.clone());
            prop_assert_eq!(decided.is_ok(), expected, "{:?}: {:?}", action, decided);
            fits_schema(&engine, &action);
            if let Err(refusal) = decided {
                prop_assert_ne!(refusal.code, crate::RefusalCode::Undecided);
                prop_assert!(refusal.reason != "no policy permits it", "{:?} has no explanation", action);
            }
        }
    }
}
