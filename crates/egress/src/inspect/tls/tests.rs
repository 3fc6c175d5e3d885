use super::*;

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}

fn sni(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut data = (length + 3).to_be_bytes().to_vec();
    data.push(0);
    data.extend(length.to_be_bytes());
    data.extend(name);
    extension(0, &data)
}

fn message(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut out = vec![1];
    out.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    out.extend(body);
    out
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let mut out = vec![22, 3, 1];
    out.extend(u16::try_from(fragment.len()).unwrap().to_be_bytes());
    out.extend(fragment);
    out
}

fn named(name: &str) -> Hello {
    Hello::Complete(ClientHello { server_name: Some(name.to_owned()), encrypted_hello: false })
}

#[test]
fn server_name_is_read_verbatim() {
    assert_eq!(client_hello(&record(&message(&sni(b"API.bank.com")))), named("API.bank.com"));
    assert_eq!(
        client_hello(&record(&message(&extension(43, &[2, 3, 4])))),
        Hello::Complete(ClientHello { server_name: None, encrypted_hello: false })
    );
}

#[test]
fn every_prefix_is_incomplete_and_every_split_reads_the_same() {
    let whole = record(&message(&sni(b"a.com")));
    for end in 0..whole.len() {
        assert_eq!(client_hello(&whole[..end]), Hello::Incomplete, "{end}");
    }
    let message = message(&sni(b"a.com"));
    let single: Vec<u8> = message.iter().flat_map(|byte| record(&[*byte])).collect();
    assert_eq!(client_hello(&single), named("a.com"));
}

#[test]
fn early_data_after_the_record_is_let_be() {
    let mut bytes = record(&message(&sni(b"a.com")));
    bytes.extend([20, 3, 3, 0, 1, 1, 23, 3, 3]);
    assert_eq!(client_hello(&bytes), named("a.com"));
}

#[test]
fn encrypted_hello_is_seen() {
    let mut extensions = sni(b"cover.com");
    extensions.extend(extension(0xfe0d, &[0, 1, 2]));
    assert!(matches!(client_hello(&record(&message(&extensions))), Hello::Complete(hello) if hello.encrypted_hello));
}

#[test]
fn contradictions_are_malformed() {
    let twice = [sni(b"a.com"), sni(b"b.com")].concat();
    let two_names = extension(0, &[0, 10, 0, 0, 1, b'a', 0, 0, 1, b'b', 0, 0]);
    let wrong_list = extension(0, &[0, 3, 0, 0, 1, b'a']);
    let other_type = extension(0, &[0, 4, 1, 0, 1, b'a']);
    for extensions in [twice, two_names, wrong_list, other_type, sni(b""), sni("ä.com".as_bytes()), vec![0, 0, 0, 9]] {
        let hello = client_hello(&record(&message(&extensions)));
        assert!(matches!(hello, Hello::Malformed(_)), "{extensions:?} gave {hello:?}");
    }
    let mut trailing = message(&sni(b"a.com"));
    trailing.push(0);
    assert!(matches!(client_hello(&record(&trailing)), Hello::Malformed(_)));
    let mut interrupted = record(&message(&sni(b"a.com"))[..10]);
    interrupted.extend([21, 3, 3, 0, 2, 1, 0]);
    assert!(matches!(client_hello(&interrupted), Hello::Malformed(_)));
    assert!(matches!(client_hello(&record(&[2, 0, 0, 0])), Hello::Malformed(_)));
    assert!(matches!(client_hello(&record(&[1, 0xff, 0xff, 0xff])), Hello::Malformed(_)));
    assert!(matches!(client_hello(&[22, 3, 1, 0, 0]), Hello::Malformed(_)));
}

#[test]
fn a_hello_without_end_is_given_up() {
    let mut endless = vec![1, 0, 0x3f, 0xff];
    endless.resize(MAX_HELLO, 0);
    let bytes: Vec<u8> = endless.chunks(100).flat_map(record).collect();
    assert_eq!(client_hello(&bytes[..MAX_HELLO]), Hello::Malformed("the hello is too long"));
}

#[test]
fn other_protocols_are_not_tls() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"SSH-2.0-x\r\n", &[0x80, 0x2e, 1, 0, 2], &[22, 2, 0]] {
        assert_eq!(client_hello(bytes), Hello::NotTls);
    }
}
