//! Whether letters are chosen at random, or by people who write an example.

/// Words of which examples consist. Those of AWS end with `EXAMPLE` and are found all the same: their form is that of a key.
const EXAMPLES: &[&[u8]] = &[
    b"example",
    b"xxxx",
    b"your",
    b"placeholder",
    b"changeme",
    b"change_me",
    b"change-me",
    b"dummy",
    b"redacted",
    b"insert",
    b"goes_here",
    b"goes-here",
    b"goeshere",
    b"replace",
    b"****",
    b"....",
    b"secret_here",
    b"key_here",
    b"key-here",
    b"token_here",
    b"token-here",
    b"masked",
    b"sample",
    b"000000000000",
];

/// Whether it is written to be replaced.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    if text.ends_with(b"EXAMPLE") || text.ends_with(b"EXAMPLEKEY") {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    EXAMPLES.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// How many different bytes there are.
pub(super) fn variety(text: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in text {
        if let Some(place) = seen.get_mut(usize::from(*byte)) {
            *place = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Bits for each byte, from how often each occurs.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = text.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Whether the rest of a token may have been made by a machine.
pub(super) fn is_random(body: &[u8]) -> bool {
    let digit = body.iter().any(u8::is_ascii_digit);
    let mixed = body.iter().any(u8::is_ascii_lowercase) && body.iter().any(u8::is_ascii_uppercase);
    (digit || mixed || body.iter().all(u8::is_ascii_uppercase)) && variety(body) >= 6 && !is_placeholder(body)
}

/// Whether a value may be a key without a mark: letters and digits in disorder.
pub(super) fn is_key(value: &[u8]) -> bool {
    let has = |is: fn(&u8) -> bool| value.iter().any(is);
    let (digit, upper, lower) = (has(u8::is_ascii_digit), has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
    if !digit || !(upper || lower) || is_placeholder(value) {
        return false;
    }
    let mixed = |part: &[u8]| {
        let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
        part.len() >= 12 && digits >= 2 && digits < part.len()
    };
    let part = value.split(|byte| !byte.is_ascii_alphanumeric()).any(mixed);
    let bits = entropy(value);
    (part && bits >= 3.0) || (upper && lower && bits >= 4.0)
}

/// Whether a value may be a password: letters with digits or with signs; no word, no code, no reference to one.
pub(super) fn is_password(value: &[u8], quoted: bool) -> bool {
    const SIGNS: &[u8] = b"!@#$%^&*+?~";
    const NAMES: &[&[u8]] = &[
        b"sha256",
        b"sha512",
        b"sha1",
        b"md5",
        b"base64",
        b"bcrypt",
        b"argon2",
        b"argon2id",
        b"oauth2",
        b"utf8",
        b"utf-8",
        b"password1",
        b"auth0",
        b"pbkdf2",
        b"hmac-sha256",
        b"sha-256",
        b"x25519",
        b"rsa2048",
        b"aes256",
        b"aes-256",
        b"base32",
        b"ed25519",
        b"hs256",
        b"rs256",
        b"string1",
        b"scram-sha-256",
    ];
    let has = |set: &[u8]| value.iter().any(|byte| set.contains(byte));
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    let code = has(b"(){}[]<>;|\\\"'`")
        || value.starts_with(b"$")
        || value.starts_with(b"%")
        || value.starts_with(b"/")
        || value.starts_with(b"./")
        || value.starts_with(b"-")
        || value.starts_with(b"@")
        || value.starts_with(b"&")
        || value.starts_with(b"#")
        || value.starts_with(b"=");
    let path = memchr::memmem::find(value, b"://").is_some()
        || memchr::memmem::find(value, b"::").is_some()
        || memchr::memmem::find(value, b"...").is_some();
    let lower = value.to_ascii_lowercase();
    let name = NAMES.contains(&lower.as_slice());
    // A name of a variable or a file: words with dots, or with underscores and a digit at the end.
    let dotted = !quoted
        && value.contains(&b'.')
        && !has(SIGNS)
        && value.split(|byte| *byte == b'.').all(|part| part.first().is_none_or(u8::is_ascii_alphabetic));
    let numbered = !has(SIGNS)
        && value.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
        && value.contains(&b'_')
        && !quoted;
    letter
        && (digit || has(SIGNS))
        && variety(value) >= 4
        && !code
        && !path
        && !name
        && !dotted
        && !numbered
        && !is_placeholder(value)
}
