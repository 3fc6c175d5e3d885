//! What an allowed name may resolve to, and that nobody asks twice.

use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::world::{PUBLIC, World, host, private, raw, say, until};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";

/// Lets api.bank.com resolve to `addresses` and asserts that it is refused on every way in, without a connection.
async fn is_forbidden(addresses: &[&str]) {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[addresses]);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, GET).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{addresses:?}: {answer}");
    assert!(answer.contains("\r\nx-nanoclaw-refusal: address-forbidden\r\n"), "{addresses:?}: {answer}");
    let record = world.refusal("net_connect", "address-forbidden").await;
    assert_eq!(record["addresses"].as_array().unwrap().len(), addresses.len());

    let mut stream = world.connect_to_proxy().await;
    let answer = say(&mut stream, b"CONNECT api.bank.com:443 HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "before the tunnel opens: {answer}");
    let mut stream = world.connect_to_proxy().await;
    let answer = say(&mut stream, b"GET http://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(world.dials().is_empty(), "{addresses:?}");
}

#[tokio::test]
async fn special_addresses_behind_an_allowed_name_are_refused() {
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "10.0.0.5",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "fd6e:6e6f:636c::1",
        "fe80::1",
    ] {
        is_forbidden(&[address]).await;
    }
}

#[tokio::test]
async fn one_special_address_among_public_ones_is_enough() {
    is_forbidden(&[PUBLIC, "10.0.0.5"]).await;
    is_forbidden(&["2606:4700::1111", "::ffff:169.254.169.254"]).await;
}

#[tokio::test]
async fn private_network_that_the_rule_names_is_reached() {
    let world = World::new([private("api.bank.com", "10.0.0.0", 8)]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.resolves("api.bank.com", &[&["10.0.0.5"]]);
    world.serves("10.0.0.5:80", origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(GET).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    // The same rule does not open another private network.
    world.resolves("api.bank.com", &[&["192.168.1.1"]]);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    assert!(say(&mut stream, GET).await.contains("address-forbidden"));
    assert_eq!(world.dials(), ["10.0.0.5:80"]);
}

#[tokio::test]
async fn raw_bytes_of_one_rule_do_not_reach_the_private_network_of_another() {
    let world = World::new([raw("db.bank.com", 80), private("db.bank.com", "10.0.0.0", 8)]);
    world.resolves("db.bank.com", &[&["10.1.2.3"]]);
    let mut stream = world.connect_to("db.bank.com", 80).await;
    say(&mut stream, b"neither TLS nor HTTP\r\n").await;
    world.refusal("net_connect", "protocol-not-allowed").await;
    assert_eq!(world.dials(), [""; 0]);
}

#[tokio::test]
async fn name_is_looked_up_once_and_that_answer_is_dialled() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.resolves("api.bank.com", &[&[PUBLIC], &["169.254.169.254"]]);
    world.serves(&format!("{PUBLIC}:80"), origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    for _ in 0..2 {
        stream.write_all(GET).await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    }
    assert_eq!(world.lookups(), ["api.bank.com"]);
    assert_eq!(world.dials(), [format!("{PUBLIC}:80")]);
}

#[tokio::test]
async fn addresses_are_tried_in_order_until_one_answers() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.resolves("api.bank.com", &[&["9.9.9.9", PUBLIC, "8.8.8.8"]]);
    world.serves(&format!("{PUBLIC}:80"), origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(GET).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    assert_eq!(world.dials(), ["9.9.9.9:80".to_owned(), format!("{PUBLIC}:80")]);
}

#[tokio::test]
async fn name_that_does_not_resolve_is_a_failure_and_one_without_address_is_refused() {
    let world = World::new([host("api.bank.com")]);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, GET).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.ends_with("api.bank.com could not be looked up: no such name\n"), "{answer}");
    assert_eq!(world.story().await[2], "net_resolve failed name-not-found");

    world.resolves("api.bank.com", &[&[]]);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    assert!(say(&mut stream, GET).await.contains("\r\nx-nanoclaw-refusal: name-not-found\r\n"));
    world.refusal("net_connect", "name-not-found").await;
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn synthetic_address_that_was_never_given_out_leads_nowhere() {
    let world = World::new([host("api.bank.com")]);
    for address in ["198.18.0.77:80", "[fd6e:6e6f:636c::77]:80"] {
        let mut stream = world.connect(address).await;
        assert!(say(&mut stream, GET).await.contains("\r\nx-nanoclaw-refusal: host-not-allowed\r\n"), "{address}");
    }
    assert_eq!((world.lookups(), world.dials()), (Vec::new(), Vec::new()));
}
