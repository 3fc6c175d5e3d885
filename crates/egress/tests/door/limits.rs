//! What one cell cannot make the door do.

use std::time::Duration;

use nanoclaw_egress::{DoorError, DoorLimits};
use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::world::{End, World, host, impatient, quick, raw, rest, until};

#[tokio::test]
async fn connections_beyond_the_limit_are_reset_and_recorded() {
    let limits = DoorLimits { connections: 2, ..DoorLimits::default() };
    let world = World::with_limits([raw("db.bank.com", 5432)], limits);
    let origin = Origin::new(Script::Greet("hi")).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut first = world.connect_to("db.bank.com", 5432).await;
    until(&mut first, "hi").await;
    let mut second = world.connect_to("db.bank.com", 5432).await;
    until(&mut second, "hi").await;
    let mut third = world.connect_to("db.bank.com", 5432).await;
    assert_eq!(rest(&mut third).await, (Vec::new(), End::Reset));
    let mut fourth = world.connect_to_proxy().await;
    assert_eq!(rest(&mut fourth).await, (Vec::new(), End::Reset), "both entrances share the limit");
    let records = world.records().await;
    let denied: Vec<_> = records.iter().filter(|record| record["result"] == "denied").collect();
    assert_eq!(denied.len(), 2);
    assert_eq!((&denied[0]["code"], &denied[0]["resource"]), (&"limit".into(), &"db.bank.com:5432".into()));
    // A place that becomes free is taken again.
    drop(first);
    loop {
        let mut next = world.connect_to("db.bank.com", 5432).await;
        let mut byte = [0];
        if matches!(tokio::io::AsyncReadExt::read(&mut next, &mut byte).await, Ok(1)) {
            break;
        }
    }
}

#[tokio::test]
async fn silent_client_is_reset() {
    let world = World::with_limits([host("api.bank.com")], impatient());
    let mut stream = world.connect_to("api.bank.com", 443).await;
    world.resolves("api.bank.com", &[&["9.9.9.9"]]);
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset));
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn client_that_leaves_without_a_word_is_no_refusal() {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[&["9.9.9.9"]]);
    let mut stream = world.connect_to("api.bank.com", 443).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Closed));
    assert_eq!(world.story().await, ["net_resolve allowed", "net_resolve allowed"]);
}

#[tokio::test]
async fn connection_without_traffic_ends() {
    let limits = DoorLimits { idle: Duration::from_millis(100), ..DoorLimits::default() };
    let world = World::with_limits([raw("db.bank.com", 5432), host("api.bank.com")], limits);
    let origin = Origin::new(Script::Greet("hi")).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    assert_eq!(rest(&mut stream).await, (b"hi".to_vec(), End::Reset));
    assert_eq!(world.story().await.last().unwrap(), "net_connect failed unreachable");

    let mute = Origin::new(Script::AfterEnd("")).await;
    world.publish("api.bank.com", 80, mute.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    let (answer, _) = rest(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 502 "), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn unused_keep_alive_connection_is_closed() {
    let limits = DoorLimits { keep_alive: Duration::from_millis(100), ..quick() };
    let world = World::with_limits([host("api.bank.com")], limits);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await.0, OK.as_bytes());
}

#[tokio::test]
async fn door_ends_in_time_when_the_cell_is_gone() {
    let forever = Duration::from_secs(1_000_000);
    let limits = DoorLimits { first_bytes: forever, leave: Duration::from_millis(100), ..DoorLimits::default() };
    let world = World::with_limits([host("api.bank.com")], limits);
    world.resolves("api.bank.com", &[&["9.9.9.9"]]);
    // Something of the cell that neither speaks nor closes.
    let mut stuck = world.connect_to("api.bank.com", 443).await;
    world.leave();
    assert_eq!(rest(&mut stuck).await.0, b"");
    world.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_sent_before_the_cell_ended_is_passed_on_and_no_answer_is_waited_for() {
    let mut world = World::new([raw("db.bank.com", 5432), host("api.bank.com")]);
    let mute = Origin::new(Script::AfterEnd("")).await;
    world.publish("db.bank.com", 5432, mute.address);
    world.publish("api.bank.com", 80, mute.address);
    let mut asking = world.connect_to("api.bank.com", 80).await;
    asking.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    while !mute.seen().iter().any(|seen| seen.ends_with("\r\n\r\n")) {
        tokio::task::yield_now().await;
    }
    let mut last = world.connect_to("db.bank.com", 5432).await;
    last.write_all(b"last words").await.unwrap();
    drop((asking, last));
    world.leave();
    (&mut world.serving).await.unwrap().unwrap();
    let story = world.story().await;
    assert!(story.contains(&"http_request failed malformed".to_owned()), "{story:?}");
    let done = world.records().await.into_iter().find(|r| r["result"] == "done" && r["resource"] == "db.bank.com:5432");
    assert_eq!(done.unwrap()["bytes_sent"], 10);
}

#[tokio::test]
async fn door_that_cannot_record_closes() {
    let world = World::new([raw("db.bank.com", 5432)]);
    let origin = Origin::new(Script::Echo).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut open = world.connect_to("db.bank.com", 5432).await;
    open.write_all(b"END").await.unwrap();
    until(&mut open, "END").await;
    world.break_log();
    let mut next = world.connect_to("db.bank.com", 5432).await;
    rest(&mut next).await;
    let (after, _) = rest(&mut open).await;
    assert_eq!(after, b"", "connections that were open end with it");
    assert_eq!(world.dials().len(), 1);
    assert!(matches!(world.serving.await.unwrap(), Err(DoorError::Audit(_))));
}
