use super::*;

fn query(flags: u16, counts: [u16; 4], question: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> =
        [0x1234, flags, counts[0], counts[1], counts[2], counts[3]].iter().flat_map(|f| f.to_be_bytes()).collect();
    out.extend_from_slice(question);
    out
}

fn ask(question: &[u8]) -> Result<Query, QueryError> {
    parse_query(&query(0x0100, [1, 0, 0, 0], question))
}

fn rcode(error: QueryError) -> Option<u8> {
    error.answer.map(|message| message[3] & 0xf)
}

#[test]
fn an_answer_repeats_the_question_byte_for_byte() {
    let question = b"\x03aPi\x04bAnK\x03com\x00\x00\x01\x00\x01";
    let query = ask(question).unwrap();
    assert_eq!(query.name.as_ref().unwrap().as_str(), "api.bank.com");
    let answer = query.answer(&Answer::Address("198.18.0.1".parse().unwrap()), 60);
    assert_eq!(&answer[..12], b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0");
    assert_eq!(&answer[12..12 + question.len()], question);
    assert_eq!(&answer[12 + question.len()..], b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x12\0\x01");
    let nothing = query.answer(&Answer::Nothing(Rcode::NameError), 60);
    assert_eq!((nothing[3] & 0xf, nothing.len()), (3, 12 + question.len()));
}

#[test]
fn a_name_answer_fits_in_512_bytes() {
    let name = DnsName::parse(&vec!["a".repeat(62); 4].join(".")).unwrap();
    let reverse = format!("{}ip6.arpa", "a.".repeat(32));
    let mut question = write_name(&DnsName::parse(&reverse).unwrap());
    question.extend_from_slice(b"\x00\x0c\x00\x01");
    let answer = ask(&question).unwrap().answer(&Answer::Name(name), 60);
    assert!(answer.len() <= 512, "{}", answer.len());
}

#[test]
fn edns_is_ignored() {
    let question = b"\x01a\x03com\x00\x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
    let query = parse_query(&query(0x0100, [1, 0, 0, 1], question)).unwrap();
    let answer = query.answer(&Answer::Nothing(Rcode::NoError), 60);
    assert_eq!(answer.len(), 12 + question.len() - 11);
}

#[test]
fn what_is_not_one_plain_question_is_malformed() {
    let question: &[u8] = b"\x01a\x03com\x00\x00\x01\x00\x01";
    for message in [&b""[..], b"\x12\x34\x01\x00\0\x01\0\0\0\0\0", &query(0x8100, [1, 0, 0, 0], question)] {
        assert_eq!(parse_query(message).map_err(rcode), Err(None));
    }
    for (message, code) in [
        (query(0x0100, [0, 0, 0, 0], b""), 1),
        (query(0x0100, [2, 0, 0, 0], question), 1),
        (query(0x0100, [1, 1, 0, 0], question), 1),
        (query(0x0100, [1, 0, 1, 0], question), 1),
        (query(0x0300, [1, 0, 0, 0], question), 1),
        (query(0x2800, [1, 0, 0, 0], question), 4),
        (query(0x0100, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01"), 1),
        (query(0x0100, [1, 0, 0, 0], b"\x01a\xc0\x0c\x00\x01\x00\x01"), 1),
        (query(0x0100, [1, 0, 0, 0], b"\x41a\x00\x00\x01\x00\x01"), 1),
        (query(0x0100, [1, 0, 0, 0], b"\x3fabc"), 1),
        (query(0x0100, [1, 0, 0, 0], b"\x01a\x00\x00\x01"), 1),
        (query(0x0100, [1, 0, 0, 0], b"\x01a\x00\x00\x01\x00\x03"), 5),
        (query(0x0100, [1, 0, 0, 0], &[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(5)), 1),
        (query(0x0100, [1, 0, 0, 0], &[0; 1300]), 1),
    ] {
        assert_eq!(parse_query(&message).map_err(rcode), Err(Some(code)), "{:?}", message.escape_ascii().to_string());
    }
}

#[test]
fn labels_that_no_host_has_are_not_read_as_others() {
    for question in [
        &b"\x09evil.com\x00\x03com\x00\x00\x01\x00\x01"[..],
        b"\x0aapi.bank\x00x\x03com\x00\x00\x01\x00\x01",
        b"\x08bank.com\x00\x00\x01\x00\x01",
        b"\x04\xffabc\x03com\x00\x00\x01\x00\x01",
        b"\x00\x00\x02\x00\x01",
    ] {
        assert!(ask(question).unwrap().name.is_err(), "{}", question.escape_ascii());
    }
}

#[test]
fn reverse_names_give_their_address() {
    let address = |text: &str| reverse_address(&DnsName::parse(text).unwrap());
    assert_eq!(address("1.0.18.198.in-addr.arpa"), Some("198.18.0.1".parse().unwrap()));
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.6.3.6.f.6.e.6.e.6.d.f.ip6.arpa";
    assert_eq!(address(v6), Some("fd6e:6e6f:636c::1".parse().unwrap()));
    for text in ["18.198.in-addr.arpa", "1.0.0.0.ip6.arpa", "a.b.c.d.in-addr.arpa", "bank.com"] {
        assert_eq!(address(text), None);
    }
}
