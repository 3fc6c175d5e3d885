mod game;
mod habits;
mod people;

use std::fs;
use std::path::Path;

use nanoclaw_audit::{Options, Recorded};
use nanoclaw_config::Labels;
use nanoclaw_identity::{CellSockets, Declined, Proposal};
use nanoclaw_policy::{CellRules, Generation, Policies, Session, Written};
use nanoclaw_request::{
    Arrived, Connect, Destination, Door, Evidence, Host, HttpRequest, ModelCall, ModelOperation, ProposedCall, Traced,
    Via,
};
use serde_json::Value;
use tokio::task::{JoinHandle, yield_now};

use super::board::{MOST_OF_CELL, MOST_WAITING};
use super::question::MOST_EDITS;
use super::*;
use crate::{Gate, Memory};

const POLICIES: &str = "@id(\"tools\") permit(principal, action == Action::\"tool_call\", resource);
@id(\"pay\") @ask(\"payments need a person\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"pay\");";

const FOUR_EYES: Approvals = Approvals { wait: Duration::from_secs(300), people: 2, own: false };

/// Turns that a question may take to come.
const PATIENCE: usize = 100_000;

/// A desk, and what the cells before it share.
struct World {
    desk: Desk,
    policies: Policies,
    recorder: Recorder,
    log: tempfile::TempDir,
}

/// One run of one cell.
#[derive(Clone)]
struct Cell {
    gate: Gate,
    sockets: CellSockets,
    session: Arc<Session>,
}

fn generation(policies: &str) -> Generation {
    let written = Written::read([(Path::new("p.cedar"), policies)]).unwrap();
    Generation::new(Arc::new(written), Labels::default(), Vec::new())
}

impl World {
    fn new(approvals: Approvals) -> Self {
        Self::at(Desk::new(approvals))
    }

    fn at(desk: Desk) -> Self {
        let log = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(Options::new(log.path().join("log"))).unwrap();
        Self { desk, policies: Policies::new(generation(POLICIES)), recorder, log }
    }

    fn cell(&self, id: &str, run: u8) -> Cell {
        let id = CellId::parse(id).unwrap();
        let session = Arc::new(Session::default());
        self.policies.admit(&id, &CellRules::default());
        let engine = Engine::of(self.policies.clone(), id.clone(), Arc::clone(&session));
        let gate = Gate::new(Arc::new(engine), self.recorder.clone(), self.desk.clone(), Memory::none());
        Cell { gate, sockets: CellSockets::of(id, SessionId::from_random([run; 16])), session }
    }

    /// Waits until so many questions can be answered, and gives them.
    async fn questions(&self, count: usize) -> Vec<Question> {
        for _ in 0..PATIENCE {
            let waiting = self.desk.waiting();
            if waiting.len() >= count {
                return waiting;
            }
            yield_now().await;
        }
        panic!("{count} questions do not come: {:#?}", self.desk.waiting());
    }

    async fn question(&self) -> Question {
        self.questions(1).await.remove(0)
    }

    fn answer(&self, by: &str, question: &Question, answer: Answer) -> Result<Answered, DeskError> {
        self.desk.answer(by, &question.id, &question.digest, answer)
    }

    /// Everything on record.
    async fn records(&self) -> Vec<Value> {
        self.recorder.flush().await.unwrap();
        let files = fs::read_dir(self.log.path().join("log")).unwrap().flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }
}

/// A call of a tool with these arguments.
fn call(tool: &str, written: &str) -> Action {
    let arguments: serde_json::Map<String, Value> = serde_json::from_str(written).unwrap();
    let arguments = arguments.into_iter().map(|(key, value)| (key, value.to_string())).collect();
    Action::ToolCall(ProposedCall {
        tool: tool.to_owned(),
        call: "call-1".to_owned(),
        arguments: Some(arguments),
        written: written.to_owned(),
        digest: sha::hex(&sha::sha256(written.as_bytes())),
        at_provider: false,
        traced: Vec::new(),
    })
}

fn pay() -> Action {
    call("pay", r#"{"to": "DE02", "amount": 10}"#)
}

fn edit(arguments: &str) -> Answer {
    Answer::Edit { arguments: arguments.to_owned() }
}

impl Cell {
    fn propose(&self, action: Action) -> Result<Proposal, Declined> {
        self.sockets.identify(Arrived::now(Door::Model, ())).propose(|()| Ok(action))
    }

    fn tries(&self, action: Action) -> JoinHandle<Recorded> {
        let (gate, proposed) = (self.gate.clone(), self.propose(action));
        tokio::spawn(async move { gate.pass(proposed).await.unwrap() })
    }
}

/// Who agreed.
async fn passed(waiting: JoinHandle<Recorded>) -> Action {
    match waiting.await.unwrap() {
        Recorded::Proceed(warrant) => warrant.spend().0,
        Recorded::Stop(declined) => panic!("{}", declined.refusal()),
    }
}

async fn refused(waiting: JoinHandle<Recorded>) -> Refusal {
    match waiting.await.unwrap() {
        Recorded::Proceed(warrant) => panic!("{:?}", warrant.action()),
        Recorded::Stop(declined) => declined.refusal().clone(),
    }
}

#[tokio::test]
async fn what_is_approved_is_done_once_and_is_on_record_with_who_asked_and_who_agreed() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let waiting = cell.tries(pay());
    let question = world.question().await;
    assert_eq!((question.cell.as_str(), question.resource.as_str(), question.needs), ("a", "pay", 1));
    assert_eq!(
        (question.why.as_str(), question.policies.as_slice()),
        ("payments need a person", &["pay".to_owned()][..])
    );
    assert_eq!(question.detail, "\"amount\": 10\n\"to\": \"DE02\"");
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), Ok(Answered::Approved));
    assert_eq!(passed(waiting).await, pay());
    let over = Err(DeskError::Over { id: question.id.clone(), how: Ended::Approved });
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), over, "an answer is good once");
    let again = cell.tries(pay());
    let next = world.question().await;
    assert_ne!(next.id, question.id, "the next try is a question of its own");
    assert_eq!(world.answer("uid:0", &next, Answer::Deny { reason: "enough\u{1b}".to_owned() }), Ok(Answered::Denied));
    let refusal = refused(again).await;
    assert_eq!(refusal.reason, "payments need a person; `uid:0` denied it: enough\\u{1b}");
    let records = world.records().await;
    let story: Vec<_> =
        records.iter().map(|r| (r["action"].as_str().unwrap(), r["result"].as_str().unwrap())).collect();
    assert_eq!(
        story,
        [("approval_asked", "noted"), ("tool_call", "allowed"), ("approval_asked", "noted"), ("tool_call", "denied")]
    );
    assert_eq!(records[1]["approved_by"], serde_json::json!(["operator:0"]));
    assert_eq!(records[1]["policy_ids"], serde_json::json!(["tools", "pay"]));
    assert_eq!(records[3]["policy_ids"], serde_json::json!(["pay"]));
    assert_eq!(records[3]["code"], "not-approved");
    let detail = records[0]["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(&format!("question {}, sha256 {}: tool_call, asks 1 person", question.id, question.digest))
    );
    assert!(!records.iter().any(|record| record.to_string().contains("DE02")), "{records:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_is_refused_when_its_time_is_up() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    let question = world.question().await;
    let refusal = refused(waiting).await;
    assert_eq!(refusal.code, RefusalCode::NotApproved);
    assert_eq!(refusal.reason, "payments need a person; nobody answered within 5 m");
    let late = Err(DeskError::Over { id: question.id.clone(), how: Ended::TimedOut });
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), late);
    assert!(world.desk.waiting().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_moment_when_the_time_is_up_is_too_late() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    let Question { id, digest, .. } = world.question().await;
    let up = Instant::now() + Approvals::default().wait;
    let board = || world.desk.0.as_ref().unwrap().board();
    let late = board().answer(&Person::from("uid:0"), &id, &digest, Answer::Approve, up);
    assert_eq!(late, Err(DeskError::Over { id: id.clone(), how: Ended::TimedOut }));
    assert!(board().waiting(up).is_empty());
    let in_time = board().answer(&Person::from("uid:0"), &id, &digest, Answer::Approve, up - Duration::from_millis(1));
    assert_eq!(in_time, Ok(Answered::Approved));
    passed(waiting).await;
}

#[tokio::test]
async fn four_eyes_are_of_two_people_and_neither_of_them_asked_for_it() {
    let world = World::new(FOUR_EYES);
    let cell = world.cell("a", 1);
    let turn = cell.session.requested("alice");
    let waiting = cell.tries(pay());
    let question = world.question().await;
    drop(turn);
    let alice = world.answer("alice", &question, Answer::Approve).unwrap_err();
    assert_eq!(alice, DeskError::Requester { by: "alice".to_owned(), cell: "a".to_owned() });
    assert!(alice.to_string().contains("somebody else must"), "{alice}");
    assert!(matches!(world.answer("alice", &question, edit("{}")), Err(DeskError::Requester { .. })));
    assert_eq!(world.answer("bob", &question, Answer::Approve), Ok(Answered::Counted { missing: 1 }));
    let again = DeskError::Again { by: "bob".to_owned(), id: question.id.clone(), missing: 1 };
    assert_eq!(world.answer("bob", &question, Answer::Approve), Err(again));
    assert_eq!(world.question().await.approved_by, ["bob"]);
    assert_eq!(world.answer("carol", &question, Answer::Approve), Ok(Answered::Approved));
    passed(waiting).await;
    assert_eq!(world.records().await[1]["approved_by"], serde_json::json!(["operator:bob", "operator:carol"]));
}

#[tokio::test]
async fn whoever_asked_for_it_can_take_it_back() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let _turn = cell.session.requested("alice");
    let waiting = cell.tries(pay());
    let question = world.question().await;
    assert_eq!(question.requesters, ["alice"]);
    assert_eq!(world.answer("alice", &question, Answer::Deny { reason: String::new() }), Ok(Answered::Denied));
    assert_eq!(refused(waiting).await.reason, "payments need a person; `alice` denied it");
}

#[tokio::test]
async fn one_denial_ends_it_whoever_else_agreed() {
    let world = World::new(FOUR_EYES);
    let waiting = world.cell("a", 1).tries(pay());
    let question = world.question().await;
    world.answer("bob", &question, Answer::Approve).unwrap();
    world.answer("carol", &question, Answer::Deny { reason: String::new() }).unwrap();
    let over = Err(DeskError::Over { id: question.id.clone(), how: Ended::Denied });
    assert_eq!(world.answer("dave", &question, Answer::Approve), over);
    refused(waiting).await;
}

#[tokio::test]
async fn an_answer_is_for_one_try_of_one_cell_and_for_what_was_seen() {
    let world = World::new(Approvals::default());
    let (one, other) = (world.cell("a", 1).tries(pay()), world.cell("b", 1).tries(pay()));
    let questions = world.questions(2).await;
    assert_ne!(questions[0].digest, questions[1].digest, "the cell is part of it");
    let [mine, theirs] = ["a", "b"].map(|id| questions.iter().find(|question| question.cell == id).unwrap().clone());
    let mixed = Question { digest: theirs.digest.clone(), ..mine.clone() };
    assert_eq!(world.answer("uid:0", &mixed, Answer::Approve), Err(DeskError::OtherDigest(mine.id.clone())));
    let unknown = Question { id: "00000000".to_owned(), ..mine.clone() };
    assert!(matches!(world.answer("uid:0", &unknown, Answer::Approve), Err(DeskError::Unknown(_))));
    assert_eq!(world.answer("uid:0", &mine, Answer::Approve), Ok(Answered::Approved));
    passed(one).await;
    assert_eq!(world.desk.waiting(), std::slice::from_ref(&theirs), "the other still waits");
    world.answer("uid:0", &theirs, Answer::Deny { reason: String::new() }).unwrap();
    refused(other).await;
}

#[tokio::test]
async fn whoever_goes_away_withdraws_the_question() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    let question = world.question().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(world.desk.waiting().is_empty());
    assert_eq!(world.desk.about(&question.id).as_deref(), Some("a"));
    let over = Err(DeskError::Over { id: question.id.clone(), how: Ended::Withdrawn });
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), over);
    yield_now().await;
    let records = world.records().await;
    let last = records.last().unwrap();
    assert_eq!(
        (&last["action"], &last["detail"]),
        (&"approval_withdrawn".into(), &format!("question {}", question.id).into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_call_is_good_once_for_the_same_run_of_the_same_cell() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let waiting = cell.tries(pay());
    let question = world.question().await;
    for wrong in ["[1]", "", r#"{"to": "a", "to": "b"}"#, &format!("{{\"a\": \"{}\"}}", "x".repeat(64 * 1024))] {
        assert_eq!(world.answer("uid:0", &question, edit(wrong)), Err(DeskError::Unreadable), "{wrong}");
    }
    assert_eq!(world.answer("uid:0", &question, edit(r#"{"amount": 5, "to": "DE99"}"#)), Ok(Answered::Edited));
    let refusal = refused(waiting).await;
    assert!(
        refusal.reason.starts_with("payments need a person; `uid:0` wants it done with other arguments"),
        "{refusal}"
    );
    assert!(
        refusal
            .help
            .ends_with(r#"call `pay` once more within 5 m, with exactly these arguments: {"amount":5,"to":"DE99"}"#)
    );
    let changed = || call("pay", "{ \"to\": \"\\u0044E99\",\n\"amount\": 5 }");
    // Nobody else's, no other run's, no other call.
    let others = [
        world.cell("b", 1).tries(changed()),
        world.cell("a", 2).tries(changed()),
        cell.tries(pay()),
        cell.tries(call("pay", r#"{"to": "DE99", "amount": "5"}"#)),
        cell.tries(call("pay", r#"{"to": "DE99", "amount": 5, "more": null}"#)),
    ];
    assert_eq!(world.questions(others.len()).await.len(), others.len());
    assert_eq!(passed(cell.tries(changed())).await, changed());
    let again = cell.tries(changed());
    assert_eq!(world.questions(others.len() + 1).await.len(), others.len() + 1, "once");
    for waiting in others.into_iter().chain([again]) {
        refused(waiting).await;
    }
    let records = world.records().await;
    assert!(!records.iter().any(|record| record.to_string().contains("DE99")), "{records:#?}");
    let allowed: Vec<_> = records.iter().filter(|record| record["result"] == "allowed").collect();
    assert_eq!(allowed.len(), 1);
    assert_eq!(allowed[0]["approved_by"], serde_json::json!(["operator:0"]));
}

#[tokio::test(start_paused = true)]
async fn a_changed_call_waits_no_longer_than_a_question_does() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let waiting = cell.tries(pay());
    world.answer("uid:0", &world.question().await, edit("{}")).unwrap();
    refused(waiting).await;
    tokio::time::advance(Duration::from_secs(300)).await;
    let late = cell.tries(call("pay", "{}"));
    world.question().await;
    refused(late).await;
}

#[tokio::test]
async fn who_changed_a_call_is_one_of_those_who_must_agree_and_never_who_asked_for_it() {
    let world = World::new(FOUR_EYES);
    let cell = world.cell("a", 1);
    let change = async |by: &str| {
        let waiting = cell.tries(pay());
        world.answer(by, &world.question().await, edit("{}")).unwrap();
        refused(waiting).await;
    };
    change("bob").await;
    let changed = cell.tries(call("pay", "{}"));
    let question = world.question().await;
    assert_eq!(question.approved_by, ["bob"]);
    assert!(matches!(world.answer("bob", &question, Answer::Approve), Err(DeskError::Again { .. })));
    assert_eq!(world.answer("carol", &question, Answer::Approve), Ok(Answered::Approved));
    passed(changed).await;
    change("bob").await;
    let _turn = cell.session.requested("bob");
    let changed = cell.tries(call("pay", "{}"));
    let question = world.question().await;
    assert_eq!(question.approved_by, Vec::<String>::new(), "by now it is bob who asks for it");
    world.answer("carol", &question, Answer::Deny { reason: String::new() }).unwrap();
    refused(changed).await;
}

#[tokio::test]
async fn only_calls_of_tools_have_arguments_to_change() {
    let world = World::new(Approvals::default());
    world.policies.replace(generation(
        "@id(\"net\") permit(principal, action, resource); @ask(\"all hosts\") forbid(principal, action == Action::\"http_request\", resource);",
    ));
    let host: Destination = Destination { host: Host::parse("bank.test").unwrap(), port: 80 };
    let (method, path) = ("GET".to_owned(), "/\u{202e}".to_owned());
    let http = HttpRequest { connection: host.clone(), host, method, path, query: Some("to=evil\u{7}".to_owned()) };
    let waiting = world.cell("a", 1).tries(Action::Http(http));
    let question = world.question().await;
    assert_eq!(question.detail, "GET /\\u{202e}?to=evil\\u{7} for bank.test:80");
    assert_eq!(world.answer("uid:0", &question, edit("{}")), Err(DeskError::NotEditable(question.id.clone())));
    world.answer("uid:0", &question, Answer::Approve).unwrap();
    passed(waiting).await;
}

#[tokio::test]
async fn policy_has_the_last_word() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    let question = world.question().await;
    let never = "@id(\"never\") forbid(principal, action == Action::\"tool_call\", resource == Tool::\"pay\");";
    world.policies.replace(generation(&format!("{POLICIES}{never}")));
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), Ok(Answered::Approved));
    assert!(refused(waiting).await.reason.contains("never"), "what was approved is forbidden by now");
}

#[tokio::test]
async fn stricter_rules_hold_for_what_waits_and_milder_ones_do_not() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    let question = world.question().await;
    world.desk.set(FOUR_EYES);
    assert_eq!(world.answer("bob", &question, Answer::Approve), Ok(Answered::Counted { missing: 1 }));
    world.desk.set(Approvals::default());
    assert_eq!(world.question().await.needs, 2);
    assert_eq!(world.answer("carol", &question, Answer::Approve), Ok(Answered::Approved));
    passed(waiting).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_questions_fills_no_desk() {
    let world = World::new(Approvals::default());
    let flooding = world.cell("a", 1);
    let tries: Vec<_> = (0..300).map(|_| flooding.tries(pay())).collect();
    world.questions(MOST_OF_CELL).await;
    let other = world.cell("b", 1).tries(pay());
    let question = world.questions(MOST_OF_CELL + 1).await.into_iter().find(|question| question.cell == "b").unwrap();
    world.answer("uid:0", &question, Answer::Approve).unwrap();
    passed(other).await;
    let mut over_limit = 0;
    for waiting in tries {
        let refusal = refused(waiting).await;
        if refusal.code == RefusalCode::Limit {
            assert!(refusal.reason.contains("16 questions of agent a wait"), "{refusal}");
            over_limit += 1;
        }
    }
    assert_eq!(over_limit, 300 - MOST_OF_CELL);
    let mut waiting = Vec::new();
    for n in 0..MOST_WAITING / MOST_OF_CELL {
        let cell = world.cell(&format!("cell-{n}"), 1);
        waiting.extend((0..MOST_OF_CELL).map(|_| cell.tries(pay())));
    }
    let all = world.questions(MOST_WAITING).await;
    assert!(serde_json::to_vec(&all).unwrap().len() < 8 << 20);
    assert_eq!(refused(flooding.tries(pay())).await.code, RefusalCode::Limit);
    for waiting in waiting {
        waiting.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_an_end() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let mut first = None;
    for n in 0..=MOST_EDITS {
        let waiting = cell.tries(pay());
        let question = world.question().await;
        first.get_or_insert(question.clone());
        let edited = world.answer("uid:0", &question, edit(&format!("{{\"n\": {n}}}")));
        if n < MOST_EDITS {
            assert_eq!(edited, Ok(Answered::Edited));
        } else {
            assert_eq!(edited, Err(DeskError::TooManyEdits));
            world.answer("uid:0", &question, Answer::Deny { reason: "r".repeat(10_000) }).unwrap();
        }
        let refusal = refused(waiting).await;
        if n == MOST_EDITS {
            assert!(refusal.reason.ends_with("rrr…[+9488 bytes not shown]"), "{refusal}");
        }
    }
    let first = first.unwrap();
    assert_eq!(world.answer("uid:0", &first, Answer::Approve), Err(DeskError::Unknown(first.id.clone())));
    assert_eq!(world.desk.about(&first.id), None);
    // Those that were not made in time make room.
    tokio::time::advance(Duration::from_secs(300)).await;
    let waiting = cell.tries(call("pay", r#"{"n": 1}"#));
    assert_eq!(world.answer("uid:0", &world.question().await, edit("{}")), Ok(Answered::Edited));
    refused(waiting).await;
}

#[tokio::test]
async fn at_a_closed_desk_everything_is_refused_at_once() {
    let world = World::at(Desk::closed());
    let refusal = refused(world.cell("a", 1).tries(pay())).await;
    assert_eq!(refusal.reason, "payments need a person; nobody can be asked here");
    assert!(matches!(world.desk.answer("uid:0", "00000000", "", Answer::Approve), Err(DeskError::Unknown(_))));
}

#[test]
fn no_two_requests_have_one_digest() {
    let cell = |id| CellId::parse(id).unwrap();
    let run = |byte| SessionId::from_random([byte; 16]);
    let tool = |change: fn(&mut ProposedCall)| {
        let Action::ToolCall(mut call) = pay() else { unreachable!() };
        change(&mut call);
        Action::ToolCall(call)
    };
    let host = |text: &str| Destination { host: Host::parse(text).unwrap(), port: 443 };
    let connect = |change: fn(&mut Connect)| {
        let addresses = vec!["192.0.2.1".parse().unwrap()];
        let mut connect =
            Connect { destination: host("bank.test"), via: Via::Transparent, evidence: Evidence::Silent, addresses };
        change(&mut connect);
        Action::Connect(connect)
    };
    let model = |asked: &str, candidates: &[&str]| {
        Action::CallModel(ModelCall {
            operation: ModelOperation::Chat,
            asked: asked.to_owned(),
            candidates: candidates.iter().map(|name| (*name).to_owned()).collect(),
            stream: false,
            messages: 1,
            bytes: 1,
            digest: String::new(),
            reserved_tokens: 1,
        })
    };
    let http = |path: &str, query: Option<&str>| {
        let (connection, method, path, query) =
            (host("bank.test"), "POST".to_owned(), path.to_owned(), query.map(str::to_owned));
        Action::Http(HttpRequest { host: connection.clone(), connection, method, path, query })
    };
    let actions = [
        tool(|_| {}),
        tool(|call| call.tool = "pay2".to_owned()),
        tool(|call| call.call = "call-2".to_owned()),
        tool(|call| call.arguments = None),
        tool(|call| call.arguments = Some(vec![("to".to_owned(), "\"DE02\"amount10".to_owned())])),
        tool(|call| call.written.push(' ')),
        tool(|call| call.digest.clear()),
        tool(|call| call.at_provider = true),
        tool(|call| {
            let (argument, value) = ("to".to_owned(), "DE02".to_owned());
            call.traced.push(Traced { argument, value, origin: nanoclaw_request::Origin::User });
        }),
        connect(|_| {}),
        connect(|connect| connect.destination.port = 80),
        connect(|connect| connect.via = Via::HttpConnect),
        connect(|connect| connect.evidence = Evidence::Opaque),
        connect(|connect| connect.evidence = Evidence::Tls { sni: None, encrypted_hello: false }),
        connect(|connect| connect.evidence = Evidence::Tls { sni: Some(String::new()), encrypted_hello: false }),
        connect(|connect| connect.addresses.clear()),
        model("a", &["b", "c"]),
        model("a", &["bc"]),
        model("ab", &["c"]),
        model("a", &[]),
        http("/pay", None),
        http("/pay", Some("")),
        http("/pay", Some("to=evil")),
        http("/payto=evil", None),
    ];
    let mut digests: Vec<String> =
        actions.iter().map(|action| digest::of_request(&cell("a"), run(1), action).unwrap()).collect();
    digests.push(digest::of_request(&cell("b"), run(1), &actions[0]).unwrap());
    digests.push(digest::of_request(&cell("a"), run(2), &actions[0]).unwrap());
    digests.push(digest::of_call(&cell("a"), run(1), "pay", &Value::Null));
    let count = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), count);
}
