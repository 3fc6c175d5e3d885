//! TLS: the name in the hello is the name that was dialled.

use tokio::io::AsyncWriteExt as _;

use crate::origin::{Origin, Script};
use crate::world::{End, PUBLIC, World, cidr, host, impatient, rest, until};

const ACCESS_DENIED: &[u8] = &[21, 3, 3, 0, 2, 2, 49];

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
}

pub fn sni(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let data = [&(length + 3).to_be_bytes()[..], &[0], &length.to_be_bytes(), name.as_bytes()].concat();
    extension(0, &data)
}

/// A ClientHello in one record.
pub fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let extensions = extensions.concat();
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let message = [&[1, 0][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat();
    [&[22, 3, 1][..], &u16::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

/// Sends `bytes` on a connection to api.bank.com:443 and asserts that it is refused with an alert and this code.
async fn is_refused(bytes: &[u8], code: &str) {
    let world = World::with_limits([host("api.bank.com")], impatient());
    let origin = Origin::new(Script::Echo).await;
    world.publish("api.bank.com", 443, origin.address);
    let mut stream = world.connect_to("api.bank.com", 443).await;
    stream.write_all(bytes).await.unwrap();
    assert_eq!(rest(&mut stream).await, (ACCESS_DENIED.to_vec(), End::Closed), "{code}");
    let record = world.refusal("net_connect", code).await;
    assert_eq!(record["resource"], "api.bank.com:443");
    assert_eq!(record["via"], "transparent");
    assert_eq!((world.dials(), origin.seen()), (Vec::new(), Vec::new()));
    assert_eq!(world.door.usage().refused, 1);
}

#[tokio::test]
async fn matching_name_is_carried_byte_for_byte() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Echo).await;
    world.publish("api.bank.com", 443, origin.address);
    let mut stream = world.connect_to("api.bank.com", 443).await;
    let bytes = [hello(&[sni("API.bank.com")]), b"early data".to_vec()].concat();
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (bytes.clone(), End::Closed));
    assert_eq!(world.dials(), [format!("{PUBLIC}:443")]);
    assert_eq!(
        world.story().await,
        ["net_resolve allowed", "net_resolve allowed", "net_connect allowed", "net_connect done"]
    );
    let records = world.records().await;
    assert_eq!(records[2]["addresses"], serde_json::json!([PUBLIC]));
    assert_eq!(records[2]["policy_ids"], serde_json::json!(["allow api.bank.com"]));
    assert_eq!((&records[3]["bytes_sent"], &records[3]["bytes_received"]), (&bytes.len().into(), &bytes.len().into()));
    let usage = world.door.usage();
    assert_eq!((usage.connections, usage.refused), (1, 0));
    assert_eq!((usage.bytes_in, usage.bytes_out), (bytes.len() as u64, bytes.len() as u64));
}

#[tokio::test]
async fn hello_in_single_bytes_is_read_whole() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Echo).await;
    world.publish("api.bank.com", 443, origin.address);
    let mut stream = world.connect_to("api.bank.com", 443).await;
    stream.set_nodelay(true).unwrap();
    let bytes = hello(&[sni("api.bank.com")]);
    for byte in &bytes {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await.0, bytes);
}

#[tokio::test]
async fn fragmented_hello_with_another_name_is_refused() {
    let whole = hello(&[sni("evil.com")]);
    let fragments: Vec<u8> = whole[5..].iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    is_refused(&fragments, "sni-mismatch").await;
}

#[tokio::test]
async fn another_name_is_refused() {
    is_refused(&hello(&[sni("evil.com")]), "sni-mismatch").await;
}

#[tokio::test]
async fn name_with_something_behind_it_is_refused() {
    is_refused(&hello(&[sni("api.bank.com\0.evil.com")]), "sni-mismatch").await;
}

#[tokio::test]
async fn missing_name_is_refused() {
    is_refused(&hello(&[extension(43, &[2, 3, 4])]), "sni-mismatch").await;
}

#[tokio::test]
async fn encrypted_hello_is_refused() {
    is_refused(&hello(&[sni("api.bank.com"), extension(0xfe0d, &[0; 64])]), "encrypted-hello").await;
}

#[tokio::test]
async fn two_names_are_refused() {
    is_refused(&hello(&[sni("api.bank.com"), sni("evil.com")]), "malformed").await;
}

#[tokio::test]
async fn hello_that_never_ends_is_refused() {
    is_refused(&hello(&[sni("api.bank.com")])[..40], "malformed").await;
}

#[tokio::test]
async fn address_takes_no_name() {
    let world = World::new([cidr(PUBLIC, 32)]);
    let origin = Origin::new(Script::Echo).await;
    world.serves(&format!("{PUBLIC}:443"), origin.address);
    let target = format!("{PUBLIC}:443");
    let plain = hello(&[extension(43, &[2, 3, 4])]);
    let mut stream = world.connect(&target).await;
    stream.write_all(&plain).await.unwrap();
    stream.write_all(b"END").await.unwrap();
    until(&mut stream, "END").await;
    let mut stream = world.connect(&target).await;
    stream.write_all(&hello(&[sni("evil.com")])).await.unwrap();
    assert_eq!(rest(&mut stream).await.0, ACCESS_DENIED);
    world.refusal("net_connect", "sni-mismatch").await;
    assert_eq!(world.dials().len(), 1);
}

#[tokio::test]
async fn denied_address_is_told_by_an_alert() {
    let world = World::new([host("api.bank.com")]);
    let mut stream = world.connect("8.8.8.8:443").await;
    stream.write_all(&hello(&[sni("api.bank.com")])).await.unwrap();
    assert_eq!(rest(&mut stream).await, (ACCESS_DENIED.to_vec(), End::Closed));
    let record = world.refusal("net_connect", "host-not-allowed").await;
    assert_eq!(record["detail"], "TLS for api.bank.com");
    assert_eq!(record["help"], "to allow it, add \"8.8.8.8:443\" to allowed_networks of agent nano-001");
    assert!(world.dials().is_empty());
}
