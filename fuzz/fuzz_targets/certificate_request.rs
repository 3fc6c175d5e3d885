//! The reader of requests for a certificate on arbitrary bytes, as PEM and as the DER inside of it: it never panics, and
//! what it takes is signed, so a change of one bit is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_vault::x509::RequestedKey;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE REQUEST-----\n");
    for group in der.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let written = digit <= group.len();
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if written { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text + "\n-----END CERTIFICATE REQUEST-----\n"
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = RequestedKey::from_pem(text);
    }
    if RequestedKey::from_pem(&pem(bytes)).is_ok() {
        for at in [0, bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(RequestedKey::from_pem(&pem(&changed)).is_err());
        }
    }
});
