//! Much at once: long transfers, many connections, floods.

use serde_json::json;

use crate::support::finish;
use crate::world::World;

const BANK: &str = r#"["api.bank.test", "tcp://api.bank.test:7000", "tcp://api.bank.test:7001"]"#;
const OK: &str = "HTTP/1.1 200 OK";
/// Connections of one cell at once.
const CONNECTIONS: usize = 256;

/// How often something was refused, by the records: written one by one and folded.
fn refused(world: &World, action: &str, code: &str) -> (u64, u64) {
    let records = world.host.records();
    let like = records.iter().filter(|r| r["action"] == action && r["code"] == code && r["result"] == "denied");
    like.fold((0, 0), |(single, folded), record| match record["folded"].as_u64() {
        Some(count) => (single, folded + count),
        None => (single + 1, folded),
    })
}

#[test]
fn two_hundred_megabytes_each_way_at_once_arrive_whole() {
    let Some(world) = World::new() else { return };
    let script = r#"
size, sent, back, count = 200_000_000, hashlib.sha256(), hashlib.sha256(), 0
with connect("api.bank.test", 7000) as connection:
    def send():
        for block in blocks(size):
            sent.update(block)
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    while part := connection.recv(BLOCK):
        back.update(part)
        count += len(part)
    sender.join()
say([count, sent.hexdigest(), sent.digest() == back.digest()])
"#;
    let said = world.python(BANK, script);
    assert_eq!((&said[0][0], &said[0][2]), (&200_000_000.into(), &true.into()));
    let end = world.seen_by("echo").into_iter().find(|event| event["event"] == "end").unwrap();
    assert_eq!((&end["count"], &end["sha256"]), (&200_000_000.into(), &said[0][1]));
    let done = world.door().into_iter().find(|record| record["result"] == "done").unwrap();
    assert_eq!((&done["bytes_sent"], &done["bytes_received"]), (&200_000_000.into(), &200_000_000.into()));
}

#[test]
fn two_hundred_megabytes_up_and_down_arrive_whole_over_http_and_https() {
    let Some(world) = World::new() else { return };
    let curl = "curl -sS --cacert /client/ca.pem --noproxy '*'";
    let script = format!(
        r#"/usr/bin/python3 -c 'from client import *
for block in blocks(200_000_000): sys.stdout.buffer.write(block)' > /tmp/data
sha256sum < /tmp/data | cut -d' ' -f1
for scheme in http https; do
  {curl} -H 'Expect:' --data-binary @/tmp/data $scheme://api.bank.test/up
  {curl} $scheme://api.bank.test/blocks/200000000 | sha256sum | cut -d' ' -f1
done"#
    );
    let config = format!("allowed_networks: {BANK}\nlimits: {{ memory: 2Gi }}\n");
    let said = world.run(&config, &["sh", "-c", &script]).good();
    let lines: Vec<&str> = said.lines().collect();
    let up = format!("200000000 {}", lines[0]);
    assert_eq!(lines[1..], [&up, lines[0], &up, lines[0]]);
}

#[test]
fn a_hundred_connections_at_once_each_get_their_own_answer() {
    let Some(world) = World::new() else { return };
    let script = r#"
answers = [None] * 100
ready = threading.Barrier(100)
def one(n):
    with connect("api.bank.test", 7001) as connection:
        ready.wait()
        data = b"%d " % n * (n + 1)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answers[n] = rest(connection) == [f"{len(data)} {hashlib.sha256(data).hexdigest()}\n", "end"]
threads = [threading.Thread(target=one, args=(n,)) for n in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join()
say(answers.count(True))
"#;
    assert_eq!(world.python(BANK, script), [100]);
    let opened = world.story().iter().filter(|line| *line == "net_connect allowed api.bank.test:7001").count();
    let closed = world.story().iter().filter(|line| *line == "net_connect done api.bank.test:7001").count();
    assert_eq!((opened, closed), (100, 100));
}

#[test]
fn connections_beyond_the_limit_are_reset_and_the_door_works_on() {
    let Some(world) = World::new() else { return };
    let script = r#"
held, refused = [], 0
for _ in range(300):
    try:
        connection = connect("api.bank.test", 7000)
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        held.append(connection)
    except OSError:
        refused += 1
say([len(held), refused])
for connection in held:
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    connection.close()
# A place is free again once the door has seen the end of the connection that held it.
while True:
    try:
        say(exchange("api.bank.test", 80, get("api.bank.test"))[0].splitlines()[0])
        break
    except OSError:
        pass
"#;
    let said = world.python(BANK, script);
    assert_eq!(said, [json!([CONNECTIONS, 300 - CONNECTIONS]), json!(OK)]);
    let (single, folded) = refused(&world, "net_connect", "limit");
    assert!(single + folded >= (300 - CONNECTIONS) as u64, "{single} + {folded}");
}

#[test]
fn clients_that_dawdle_do_not_hold_others_up() {
    let Some(world) = World::new() else { return };
    let script = r#"
slow = []
for n in range(100):
    connection = connect("api.bank.test", 80 if n % 2 else 443)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: api." if n % 2 else b"\x16\x03\x01\x02\x00\x01")
    slow.append(connection)
slow += [connect(*PROXY) for _ in range(20)]
say(exchange("api.bank.test", 80, get("api.bank.test"))[0].splitlines()[0])
say(https("api.bank.test", "api.bank.test")[0].splitlines()[0])
say(query("api.bank.test", 1)[0])
# Nobody waits for them for ever.
say([rest(connection)[0][:12] for connection in slow[:2]])
"#;
    let said = world.python(BANK, script);
    assert_eq!(said[..3], [json!(OK), json!(OK), json!(0)]);
    // A hello that is cut short is told in TLS, a head that does not come in HTTP.
    let alert = "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}1";
    assert_eq!(said[3], json!([alert, "HTTP/1.1 400"]));
}

#[test]
fn a_flood_of_refusals_is_counted_to_the_last() {
    let Some(world) = World::new() else { return };
    let script = r#"
def names(n):
    for m in range(1250):
        assert query(f"n{n}-{m}.exfiltration.test", 1)[0] == 3
def ways(n):
    for m in range(250):
        assert exchange("10.9.8.7", 80, get("10.9.8.7"))[0].startswith("HTTP/1.1 403")
for what in names, ways:
    threads = [threading.Thread(target=what, args=(n,)) for n in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
say("done")
"#;
    assert_eq!(world.python(BANK, script), ["done"]);
    world.nothing_left();
    let (single, folded) = refused(&world, "net_resolve", "host-not-allowed");
    assert_eq!(single + folded, 5000, "{single} + {folded}");
    assert!(folded > 0, "so many records are not written one by one");
    let (single, folded) = refused(&world, "net_connect", "host-not-allowed");
    assert_eq!(single + folded, 1000, "{single} + {folded}");
}

#[test]
fn a_flood_of_datagrams_is_counted_to_the_last() {
    World::new().into_iter().for_each(|world| flood_with_datagrams(&world));
}

#[test]
fn an_ordinary_users_flood_of_datagrams_is_counted_to_the_last() {
    World::rootless().into_iter().for_each(|world| flood_with_datagrams(&world));
}

fn flood_with_datagrams(world: &World) {
    let script = r#"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    refused = sum(tell(lambda: one.sendto(b"x", ("8.8.8.8", 123))) == "PermissionError" for _ in range(50_000))
say(refused)
"#;
    assert_eq!(world.python(BANK, script), [50_000]);
    world.nothing_left();
    let (single, folded) = refused(world, "net_datagram", "datagram-not-allowed");
    let told: u64 = world
        .host
        .records()
        .iter()
        .filter(|record| record["action"] == "notice")
        .filter_map(|record| record["detail"].as_str()?.split_once(" more packets")?.0.parse::<u64>().ok())
        .sum();
    assert_eq!(single + folded + told, 50_000, "{single} + {folded} + {told}");
}

#[test]
fn the_summary_counts_what_the_door_refused() {
    let Some(world) = World::new() else { return };
    let script = "for n in 1 2 3; do curl -s -o /dev/null http://other.test/; done; exit 7";
    let done = finish(world.prepare("allowed_networks: []\n", &["--json"], &["sh", "-c", script]), b"");
    assert_eq!(done.code(), Some(7));
    let refusals = done.summary()["refusals"].clone();
    let summary =
        json!([refusals[0]["action"], refusals[0]["code"], refusals[0]["count"], refusals[0]["first"]["resource"]]);
    assert_eq!(summary, json!(["net_resolve", "host-not-allowed", 3, "other.test:80"]));
    assert_eq!(refusals.as_array().unwrap().len(), 1);
}
