//! The HTTP head and chunk parsers on arbitrary bytes: they never panic, cuts change nothing, and a request that is
//! written out again reads back as the same request, with nothing smuggled into it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_egress::inspect::chunked::ChunkedBody;
use nanoclaw_egress::inspect::head::{HeadError, HeadScanner, RequestHead, ResponseHead, claims_http};

fuzz_target!(|bytes: &[u8]| {
    claims_http(bytes);
    let found = HeadScanner::default().scan(bytes);
    let mut piecewise = HeadScanner::default();
    let steps = (1..=bytes.len()).map(|end| piecewise.scan(&bytes[..end]));
    assert_eq!(steps.into_iter().find(|step| !matches!(step, Ok(None))).unwrap_or(Ok(None)), found);

    if let Ok(Some(end)) = found {
        let _ = ResponseHead::parse(&bytes[..end], "GET").map(|head| head.to_bytes(true));
        if let Ok(head) = RequestHead::parse(&bytes[..end]) {
            let written = head.to_bytes();
            assert_eq!(HeadScanner::default().scan(&written), Ok(Some(written.len())));
            match RequestHead::parse(&written) {
                Ok(again) => assert_eq!(
                    (&again.method, again.path(), &again.host, again.framing, again.is_persistent()),
                    (&head.method, head.path(), &head.host, head.framing, head.is_persistent()),
                ),
                // The door adds up to two fields of its own.
                Err(error) => assert_eq!(error, HeadError::TooManyFields),
            }
        }
    }

    for mut body in [ChunkedBody::of_request(), ChunkedBody::of_response()] {
        if let Ok(used) = body.advance(bytes) {
            assert!(used == bytes.len() || body.is_done());
        }
    }
});
