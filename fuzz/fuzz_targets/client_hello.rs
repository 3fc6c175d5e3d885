//! The ClientHello parser on arbitrary bytes: it never panics, a longer input never changes a final answer, and what
//! it calls a name is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_egress::inspect::tls::{Hello, MAX_HELLO, client_hello};

fuzz_target!(|bytes: &[u8]| {
    let whole = client_hello(bytes);
    if let Hello::Complete(hello) = &whole {
        assert!(hello.server_name.as_ref().is_none_or(|name| name.is_ascii() && !name.is_empty() && name.len() <= 255));
    }
    if bytes.len() >= MAX_HELLO {
        assert_ne!(whole, Hello::Incomplete);
    }
    let half = client_hello(&bytes[..bytes.len() / 2]);
    if half != Hello::Incomplete {
        assert_eq!(half, whole);
    }
});
