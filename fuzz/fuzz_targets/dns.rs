//! The DNS query parser on arbitrary bytes: it never panics, it answers no response, and its own answers are short and
//! repeat the question.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use nanoclaw_egress::inspect::dns::{Answer, Rcode, parse_query, reverse_address};

fuzz_target!(|bytes: &[u8]| {
    match parse_query(bytes) {
        Ok(query) => {
            for answer in [Answer::Address(Ipv4Addr::LOCALHOST.into()), Answer::Nothing(Rcode::NameError)] {
                let message = query.answer(&answer, 60);
                assert!(message.len() <= 512);
                assert_eq!(message[..2], bytes[..2]);
                let record = 16 * usize::from(message[7]);
                assert!(bytes[12..].starts_with(&message[12..message.len() - record]), "the question comes back");
            }
            if let Ok(name) = &query.name {
                let _ = reverse_address(name);
                assert!(query.answer(&Answer::Name(name.clone()), 60).len() <= 12 + 259 + 12 + 255);
            }
        }
        Err(error) => {
            if let Some(message) = error.answer {
                assert_eq!(message.len(), 12);
                assert_eq!(bytes[2] & 0x80, 0, "a response is not answered");
            }
        }
    }
});
