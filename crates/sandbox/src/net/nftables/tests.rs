//! The bytes were taken from `nft` 1.0.6 by strace, for the rules that stand in each test.

use super::*;

/// The attributes of a batch's last message, without the name of its table.
fn last_rule(rule: &Rule, chain: Chain) -> Vec<u8> {
    let mut batch = Batch::new(true);
    batch.rule(chain, rule);
    let bytes = batch.messages.bytes().unwrap();
    let mut message = netlink::records(bytes).last().unwrap().body.to_vec();
    assert_eq!(message[..4], [1, 0, 0, 0], "the inet family");
    assert_eq!(message[4..20], *b"\x0d\0\x01\0nanoclaw\0\0\0\0");
    message.split_off(20)
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn a_redirection_is_what_nft_writes() {
    // ip daddr 127.0.0.1 meta l4proto tcp tcp dport 8080 redirect to :5000
    let rule = (
        vec![
            Match::Family(FAMILY_V4),
            Match::Address { offset: 16, bytes: vec![127, 0, 0, 1] },
            Match::Protocol(6),
            Match::Port(8080),
        ],
        Act::Redirect(5000),
    );
    let expected = "09 00 02 00 64 6f 6f 72 00 00 00 00 b4 01 04 80
        24 00 01 80 09 00 01 00 6d 65 74 61 00 00 00 00 14 00 02 80 08 00 02 00 00 00 00 0f 08 00 01 00 00 00 00 01
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 05 00 01 00 02 00 00 00
        34 00 01 80 0c 00 01 00 70 61 79 6c 6f 61 64 00 24 00 02 80 08 00 01 00 00 00 00 01
        08 00 02 00 00 00 00 01 08 00 03 00 00 00 00 10 08 00 04 00 00 00 00 04
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 08 00 01 00 7f 00 00 01
        24 00 01 80 09 00 01 00 6d 65 74 61 00 00 00 00 14 00 02 80 08 00 02 00 00 00 00 10 08 00 01 00 00 00 00 01
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 05 00 01 00 06 00 00 00
        34 00 01 80 0c 00 01 00 70 61 79 6c 6f 61 64 00 24 00 02 80 08 00 01 00 00 00 00 01
        08 00 02 00 00 00 00 02 08 00 03 00 00 00 00 02 08 00 04 00 00 00 00 02
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 06 00 01 00 1f 90 00 00
        2c 00 01 80 0e 00 01 00 69 6d 6d 65 64 69 61 74 65 00 00 00 18 00 02 80 08 00 01 00 00 00 00 01
        0c 00 02 80 06 00 01 00 13 88 00 00
        24 00 01 80 0a 00 01 00 72 65 64 69 72 00 00 00 14 00 02 80 08 00 01 00 00 00 00 01 08 00 03 00 00 00 00 02";
    assert_eq!(last_rule(&rule, Chain::Door), bytes(expected));
}

#[cfg(target_endian = "little")]
#[test]
fn connection_tracking_is_what_nft_writes() {
    // meta l4proto icmp ct state related accept
    let rule = (vec![Match::Protocol(1), Match::Related], Act::Accept);
    let expected = "0a 00 02 00 66 65 6e 63 65 00 00 00 14 01 04 80
        24 00 01 80 09 00 01 00 6d 65 74 61 00 00 00 00 14 00 02 80 08 00 02 00 00 00 00 10 08 00 01 00 00 00 00 01
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 05 00 01 00 01 00 00 00
        20 00 01 80 07 00 01 00 63 74 00 00 14 00 02 80 08 00 02 00 00 00 00 00 08 00 01 00 00 00 00 01
        44 00 01 80 0c 00 01 00 62 69 74 77 69 73 65 00 34 00 02 80 08 00 01 00 00 00 00 01
        08 00 02 00 00 00 00 01 08 00 03 00 00 00 00 04
        0c 00 04 80 08 00 01 00 04 00 00 00 0c 00 05 80 08 00 01 00 00 00 00 00
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 01
        0c 00 03 80 08 00 01 00 00 00 00 00
        30 00 01 80 0e 00 01 00 69 6d 6d 65 64 69 61 74 65 00 00 00 1c 00 02 80 08 00 01 00 00 00 00 00
        10 00 02 80 0c 00 02 80 08 00 01 00 00 00 00 01";
    assert_eq!(last_rule(&rule, Chain::Fence), bytes(expected));
    // ct direction reply accept
    let rule = (vec![Match::Reply], Act::Accept);
    let expected = "0a 00 02 00 66 65 6e 63 65 00 00 00 80 00 04 80
        20 00 01 80 07 00 01 00 63 74 00 00 14 00 02 80 08 00 02 00 00 00 00 01 08 00 01 00 00 00 00 01
        2c 00 01 80 08 00 01 00 63 6d 70 00 20 00 02 80 08 00 01 00 00 00 00 01 08 00 02 00 00 00 00 00
        0c 00 03 80 05 00 01 00 01 00 00 00
        30 00 01 80 0e 00 01 00 69 6d 6d 65 64 69 61 74 65 00 00 00 1c 00 02 80 08 00 01 00 00 00 00 00
        10 00 02 80 0c 00 02 80 08 00 01 00 00 00 00 01";
    assert_eq!(last_rule(&rule, Chain::Fence), bytes(expected));
}

#[test]
fn a_refusal_is_what_nft_writes() {
    // log group 1 snaplen 64 drop
    let expected = "0a 00 02 00 66 65 6e 63 65 00 00 00 54 00 04 80
        20 00 01 80 08 00 01 00 6c 6f 67 00 14 00 02 80 06 00 01 00 00 01 00 00 08 00 03 00 00 00 00 40
        30 00 01 80 0e 00 01 00 69 6d 6d 65 64 69 61 74 65 00 00 00 1c 00 02 80 08 00 01 00 00 00 00 00
        10 00 02 80 0c 00 02 80 08 00 01 00 00 00 00 00";
    assert_eq!(last_rule(&(vec![], Act::Refuse), Chain::Fence), bytes(expected));
}

#[test]
fn a_kernel_without_ipv6_gets_a_table_for_ipv4_without_rules_for_ipv6() {
    let mut batch = Batch::new(false);
    batch.rule(Chain::Fence, &(vec![Match::Family(FAMILY_V6)], Act::Accept));
    batch.rule(Chain::Fence, &(vec![Match::Family(FAMILY_V4)], Act::Accept));
    let families: Vec<_> =
        netlink::records(batch.messages.bytes().unwrap()).map(|record| (record.kind, record.body[0])).collect();
    assert_eq!(families, [(BATCH_BEGIN, 0), (NEW_TABLE, FAMILY_V4), (NEW_RULE, FAMILY_V4)]);
}
