//! The stub DNS: nothing that a cell asks goes anywhere.

use std::net::Ipv6Addr;

use crate::world::{World, host, query, quick};

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;
const ANY: u16 = 255;

fn rcode(answer: &[u8]) -> u8 {
    answer[3] & 0xf
}

fn records(answer: &[u8]) -> u16 {
    u16::from_be_bytes([answer[6], answer[7]])
}

#[tokio::test]
async fn allowed_name_has_two_lasting_synthetic_addresses() {
    let world = World::new([host("api.bank.com"), host("log.bank.com")]);
    let v4 = world.ask("api.bank.com", A).await;
    assert_eq!((rcode(&v4), records(&v4)), (0, 1));
    assert_eq!(v4[v4.len() - 10..], [0, 0, 0, 60, 0, 4, 198, 18, 0, 1]);
    let other = world.ask("log.bank.com", A).await;
    assert_eq!(other[other.len() - 4..], [198, 18, 0, 2]);
    let v6 = world.ask("api.bank.com", AAAA).await;
    let expected: Ipv6Addr = "fd6e:6e6f:636c::1".parse().unwrap();
    assert_eq!(v6[v6.len() - 16..], expected.octets());
    assert_eq!(world.ask("api.bank.com", A).await, v4);
    assert_eq!(world.story().await, ["net_resolve allowed", "net_resolve allowed"], "one for each name");
    assert!(world.lookups().is_empty());
}

#[tokio::test]
async fn question_comes_back_letter_for_letter() {
    let world = World::new([host("api.bank.com")]);
    let question = query("aPi.BaNk.CoM", A);
    let answer = world.ask_raw(&question).await.unwrap();
    assert_eq!((&answer[..2], &answer[12..question.len()]), (&question[..2], &question[12..]));
}

#[tokio::test]
async fn allowed_name_has_no_other_records() {
    let world = World::new([host("api.bank.com")]);
    for kind in [TXT, HTTPS, 64, 5, 15, ANY] {
        let answer = world.ask("api.bank.com", kind).await;
        assert_eq!((rcode(&answer), records(&answer)), (0, 0), "type {kind}");
    }
}

#[tokio::test]
async fn denied_name_does_not_exist_and_is_on_record() {
    let world = World::new([host("api.bank.com")]);
    let name = "c2VjcmV0LWRhdGE.exfil.evil.com";
    for kind in [A, AAAA, TXT, HTTPS, ANY] {
        let answer = world.ask(name, kind).await;
        assert_eq!((rcode(&answer), records(&answer)), (3, 0), "type {kind}");
    }
    let records = world.records().await;
    assert_eq!(records.len(), 5);
    for record in records {
        assert_eq!((&record["action"], &record["result"]), (&"net_resolve".into(), &"denied".into()));
        assert_eq!(record["resource"], name.to_ascii_lowercase());
    }
    assert!(world.lookups().is_empty(), "the name never leaves this machine");
    assert_eq!(world.door.usage().refused, 5);
}

#[tokio::test]
async fn wildcard_takes_subdomains_only() {
    let world = World::new([host("**.bank.com")]);
    assert_eq!(rcode(&world.ask("a.b.bank.com", A).await), 0);
    assert_eq!(rcode(&world.ask("bank.com", A).await), 3);
    assert_eq!(rcode(&world.ask("notbank.com", A).await), 3);
}

#[tokio::test]
async fn reverse_lookups_know_synthetic_addresses_only() {
    let world = World::new([host("api.bank.com")]);
    world.ask("api.bank.com", A).await;
    for name in ["1.0.18.198.in-addr.arpa", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.6.3.6.f.6.e.6.e.6.d.f.ip6.arpa"]
    {
        let answer = world.ask(name, PTR).await;
        assert!(answer.ends_with(b"\x03api\x04bank\x03com\0"), "{}", answer.escape_ascii());
    }
    for name in ["2.0.18.198.in-addr.arpa", "8.8.8.8.in-addr.arpa", "1.0.0.127.in-addr.arpa"] {
        assert_eq!(rcode(&world.ask(name, PTR).await), 3, "{name}");
    }
}

#[tokio::test]
async fn localhost_is_here() {
    let world = World::new([]);
    let answer = world.ask("localhost", A).await;
    assert_eq!(answer[answer.len() - 4..], [127, 0, 0, 1]);
    let answer = world.ask("x.localhost", AAAA).await;
    assert_eq!(answer[answer.len() - 16..], Ipv6Addr::LOCALHOST.octets());
    assert!(world.records().await.is_empty());
}

#[tokio::test]
async fn malformed_datagrams_are_answered_shortly_or_not_at_all_and_recorded() {
    let world = World::new([host("api.bank.com")]);
    let good = query("api.bank.com", A);
    let mut loops = good[..12].to_vec();
    loops.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01");
    let mut response = good.clone();
    response[2] |= 0x80;
    let mut oversized = good.clone();
    oversized.resize(4000, 0);
    let dotted = query("api", A);
    let dotted = [&dotted[..12], b"\x0capi.bank.com\x00\x00\x01\x00\x01"].concat();
    for (datagram, expected) in [
        (loops, Some(1)),
        (oversized, Some(1)),
        (good[..20].to_vec(), Some(1)),
        (dotted, Some(3)),
        (Vec::new(), None),
        (b"\0\x01\x02".to_vec(), None),
        (response, None),
    ] {
        let answer = world.ask_raw(&datagram).await;
        assert_eq!(answer.as_deref().map(rcode), expected, "{}", datagram.escape_ascii());
    }
    let story = world.story().await;
    assert_eq!(story, ["net_datagram denied malformed"; 7]);
}

#[tokio::test]
async fn full_table_takes_no_further_name() {
    let limits = nanoclaw_egress::DoorLimits { names: 2, ..quick() };
    let world = World::with_limits([host("**.bank.com")], limits);
    for name in ["a.bank.com", "b.bank.com", "a.bank.com"] {
        assert_eq!(rcode(&world.ask(name, A).await), 0, "{name}");
    }
    assert_eq!(rcode(&world.ask("c.bank.com", A).await), 5);
    assert_eq!(world.story().await.last().unwrap(), "net_resolve failed limit");
}
