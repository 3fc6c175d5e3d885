//! What sinks promise, against servers that break, refuse and lie.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use nanoclaw_sinks::SinkError;
use world::{Act, World, items, lines, serve, until};

#[test]
fn a_network_that_breaks_loses_and_reorders_nothing() {
    let world = World::new();
    // At first every second delivery fails: before it counts, after it counts, by a status, and in a part of it.
    let (url, asked) = serve(|count, asked| {
        let bulk = asked.bulk().len();
        match if count < 20 { count % 8 } else { 0 } {
            1 | 3 => Act::Close,
            5 => Act::Answer(503, "busy".to_owned()),
            7 => Act::Answer(200, items((0..bulk).map(|at| if at % 3 == 0 { 429 } else { 201 }))),
            _ => Act::Answer(200, items(std::iter::repeat_n(201, bulk))),
        }
    });
    let sinks = world.start(&format!("{{ name: a, kind: elasticsearch, url: '{url}', index: i }}"));
    for _ in 0..4 {
        world.grow(300);
        world.delivered(&sinks);
    }
    drop(sinks);
    let mut ids = BTreeMap::new();
    let mut last = 0;
    for (id, document) in asked.lock().unwrap().iter().flat_map(world::Asked::bulk) {
        let seq = document["seq"].as_u64().unwrap();
        // Never past a record that was not sent before.
        assert!(seq <= last + 1, "{seq} behind {last}");
        last = last.max(seq);
        assert_eq!(*ids.entry(seq).or_insert_with(|| id.clone()), id, "the same record has the same id");
        assert!(document["@timestamp"].is_string() && document["host"]["name"].is_string());
    }
    let records = world.records();
    assert!(records.len() >= 1200);
    assert_eq!(ids.len(), records.len());
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), records.len(), "each record has an id of its own");
    let told = records.iter().filter(|record| record["detail"].as_str().unwrap().contains("sink `a` is")).count();
    assert!(told >= 2, "that it was not reached, and that it is reached again");
}

#[test]
fn what_is_refused_is_kept_with_its_reason_and_the_rest_goes_on() {
    let world = World::new();
    world.grow(40);
    let (url, asked) = serve(|_, asked| {
        let bulk = asked.bulk();
        if bulk.len() > 8 {
            return Act::Answer(413, "too large".to_owned());
        }
        let refused = |seq: u64| seq == 7 || seq == 8;
        Act::Answer(200, items(bulk.iter().map(|(_, at)| if refused(at["seq"].as_u64().unwrap()) { 400 } else { 201 })))
    });
    let sinks = world.start(&format!("{{ name: a, kind: elasticsearch, url: '{url}' }}"));
    world.delivered(&sinks);
    assert_eq!((sinks.progress()[0].rejected(), sinks.progress()[0].failures()), (2, 0));
    let kept = lines(&world.path("sinks/a/rejected.jsonl"));
    let log = std::fs::read_to_string(world.path("audit/audit.jsonl")).unwrap();
    for (kept, seq) in kept.iter().zip([7, 8]) {
        assert_eq!((&kept["seq"], &kept["reason"]), (&seq.into(), &"status 400: not so".into()));
        assert_eq!(kept["record"], log.lines().nth(seq - 1).unwrap());
    }
    assert_eq!(kept.len(), 2);
    assert!(world.records().iter().any(|record| record["detail"].as_str().unwrap().contains("refuses record 7")));
    // One that no server takes in any company is refused alone.
    drop(sinks);
    let (url, _) = serve(|_, asked| {
        let poison = asked.body.contains("\\\"number 5\\\"");
        if poison { Act::Answer(400, "\u{1b}[31mno".to_owned()) } else { Act::Answer(204, String::new()) }
    });
    let loki = world.start(&format!("{{ name: b, kind: loki, url: '{url}' }}"));
    world.delivered(&loki);
    let kept = lines(&world.path("sinks/b/rejected.jsonl"));
    assert_eq!((kept.len(), &kept[0]["seq"], &kept[0]["reason"]), (1, &6.into(), &"status 400: [31mno".into()));
    assert!(asked.lock().unwrap().len() > 5);
}

#[test]
fn a_sink_is_sent_nothing_that_no_checkpoint_covers() {
    let world = World::new();
    let audit = world.path("audit");
    let (url, asked) = serve(move |_, asked| {
        let checkpoint = std::fs::read_to_string(audit.join("checkpoint")).unwrap();
        let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
        let unsealed = asked.bulk().iter().any(|(_, at)| at["seq"].as_u64().unwrap() > size);
        assert!(!unsealed, "a record that could still be changed");
        Act::Answer(200, items(std::iter::repeat_n(201, asked.bulk().len())))
    });
    let sinks = world.start(&format!("{{ name: a, kind: elasticsearch, url: '{url}' }}"));
    for _ in 0..5 {
        world.grow(200);
        std::thread::sleep(Duration::from_millis(50));
    }
    world.delivered(&sinks);
    assert_eq!(asked.lock().unwrap().iter().map(|asked| asked.bulk().len()).sum::<usize>(), world.records().len());
}

#[test]
fn secrets_go_to_the_sink_and_into_no_message() {
    let world = World::new();
    world.grow(3);
    let secret = world.path("secret");
    std::fs::write(&secret, "a-secret-of-a-sink").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (name, more, header) in [
        ("a", "token: { file: ./secret }", "authorization: Bearer a-secret-of-a-sink\r\n"),
        ("b", "api_key: { file: ./secret }", "authorization: ApiKey a-secret-of-a-sink\r\n"),
        ("c", "user: u, password: { file: ./secret }", "authorization: Basic dTphLXNlY3JldC1vZi1hLXNpbms=\r\n"),
    ] {
        let (url, asked) = serve(|count, asked| match count {
            1 => Act::Answer(401, "who are you?".to_owned()),
            _ => Act::Answer(200, items(std::iter::repeat_n(201, asked.bulk().len()))),
        });
        let sinks = world.start(&format!("{{ name: {name}, kind: elasticsearch, url: '{url}', {more} }}"));
        world.delivered(&sinks);
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|asked| asked.head.contains(header) && asked.path == "/_bulk"), "{asked:?}");
    }
    let log = std::fs::read_to_string(world.path("audit/audit.jsonl")).unwrap();
    assert!(log.contains("status 401: who are you?") && !log.contains("a-secret-of"), "{log}");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.try_start("{ name: a, kind: otlp, url: 'http://localhost:1', token: { file: ./secret } }");
    assert!(matches!(refused, Err(SinkError::Secret { .. })));
}

#[test]
fn loki_gets_few_streams_and_open_telemetry_its_own_form() {
    let world = World::new();
    world.grow(3);
    let (url, asked) = serve(|_, _| Act::Answer(200, String::new()));
    let sinks = world.start(&format!(
        "{{ name: l, kind: loki, url: '{url}', tenant: bank }}, {{ name: o, kind: otlp, url: '{url}', format: ocsf }}"
    ));
    world.delivered(&sinks);
    let asked = asked.lock().unwrap();
    let loki = asked.iter().find(|asked| asked.path == "/loki/api/v1/push").unwrap();
    assert!(loki.head.contains("x-scope-orgid: bank\r\n"));
    let stream = &loki.json()["streams"][0];
    let labels: Vec<&String> = stream["stream"].as_object().unwrap().keys().collect();
    assert_eq!(labels, ["service_name", "host", "result"]);
    let first = &world.records()[0];
    let value = &stream["values"][0];
    assert_eq!(serde_json::from_str::<serde_json::Value>(value[1].as_str().unwrap()).unwrap(), *first);
    assert_eq!(value[2]["seq"], "1");
    let nanoseconds = value[0].as_str().unwrap();
    assert!(nanoseconds.len() == 19 && nanoseconds.bytes().all(|byte| byte.is_ascii_digit()), "{nanoseconds}");
    let otlp = asked.iter().find(|asked| asked.path == "/v1/logs").unwrap().json();
    let log = &otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    assert_eq!((&log["eventName"], &log["timeUnixNano"]), (&"nanoclaw.notice".into(), &nanoseconds.into()));
    let event: serde_json::Value = serde_json::from_str(log["body"]["stringValue"].as_str().unwrap()).unwrap();
    assert_eq!((&event["class_uid"], &event["unmapped"]), (&5002.into(), first), "an event of OCSF");
}

#[test]
fn a_receiver_of_syslog_that_has_not_read_everything_gets_everything_again() {
    let world = World::new();
    world.grow(2000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, read) = channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            if count % 2 == 0 && count < 6 {
                // It reads a part, and is gone.
                stream.read_exact(&mut [0; 1000]).unwrap();
                continue;
            }
            let mut frames = String::new();
            stream.read_to_string(&mut frames).unwrap();
            told.send(frames).unwrap();
        }
    });
    let sinks = world.start(&format!("{{ name: a, kind: syslog, address: '127.0.0.1:{port}', tls: false }}"));
    world.delivered(&sinks);
    drop(sinks);
    let mut seqs = Vec::new();
    for frames in read.try_iter() {
        let mut rest = frames.as_str();
        while let Some((length, behind)) = rest.split_once(' ') {
            let (message, next) = behind.split_at(length.parse().unwrap());
            assert!(
                message.starts_with("<10") && message.contains(" nanoclaw - notice [meta sequenceId=\""),
                "{message}"
            );
            let record: serde_json::Value = serde_json::from_str(&message[message.find('{').unwrap()..]).unwrap();
            seqs.push(record["seq"].as_u64().unwrap());
            rest = next;
        }
    }
    assert_eq!(seqs, (1..=world.records().len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_file_goes_on_where_it_was_and_half_a_line_is_cut_off() {
    let world = World::new();
    let sink = "{ name: a, kind: file, path: ./copy.jsonl }";
    world.grow(10);
    let sinks = world.start(sink);
    world.delivered(&sinks);
    drop(sinks);
    // A crash between the lines and the position, and in a line.
    let copy = world.path("copy.jsonl");
    world.set_position("4\n");
    let text = std::fs::read_to_string(&copy).unwrap();
    std::fs::write(&copy, &text[..text.len() - 20]).unwrap();
    world.grow(5);
    let sinks = world.start(sink);
    world.delivered(&sinks);
    assert_eq!(lines(&copy), world.records());
    // It is moved away.
    std::fs::rename(&copy, world.path("old.jsonl")).unwrap();
    world.grow(5);
    world.delivered(&sinks);
    assert_eq!([lines(&world.path("old.jsonl")), lines(&copy)].concat(), world.records());
    // What is no file is not written to, and nothing is lost by it.
    std::fs::remove_file(&copy).unwrap();
    std::os::unix::fs::symlink("/dev/null", &copy).unwrap();
    world.grow(1);
    until("a failure", || !sinks.progress()[0].is_reached());
    std::fs::remove_file(&copy).unwrap();
    world.delivered(&sinks);
    assert_eq!(lines(&copy).first(), world.records().get(20));
}

#[test]
fn a_log_that_was_rolled_back_is_not_sent() {
    let world = World::new();
    world.grow(3);
    let sink = "{ name: a, kind: file, path: ./copy.jsonl }";
    let sinks = world.start(sink);
    world.delivered(&sinks);
    drop(sinks);
    world.set_position("4\n");
    let refused = world.try_start(sink).err().unwrap().to_string();
    assert!(refused.contains("was sent 4 records") && refused.contains("counts 3"), "{refused}");
    for nonsense in ["", "3", "-3\n", "3\n\n", "99999999999999999999\n", "x\n"] {
        world.set_position(nonsense);
        assert!(matches!(world.try_start(sink), Err(SinkError::Position(_))), "{nonsense:?}");
    }
    world.set_position("3\n");
    world.start(sink);
}
