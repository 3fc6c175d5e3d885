//! Texts that keys vouch for (C2SP signed-note), and the keys (its `vkey`s).

use std::fmt::{self, Write as _};
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, ML_DSA_44, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::Checkpoint;
use crate::merkle::sha256;

/// Most bytes of a note: a checkpoint with many signatures of 2.5 KB.
pub const MAX_NOTE: usize = 1 << 18;
/// Most signatures of a note.
pub const MOST_SIGNATURES: usize = 64;

/// What kind of statement a key makes. The byte is the one of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `0x01`: Ed25519 over the text.
    Ed25519,
    /// `0x04`: Ed25519 by somebody else than the log, with the time (C2SP tlog-cosignature).
    Ed25519Cosignature,
    /// `0x06`: ML-DSA-44 over a checkpoint, with the time (C2SP tlog-cosignature).
    MlDsa44Cosignature,
}

impl Algorithm {
    /// Its byte.
    pub const fn byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::Ed25519Cosignature => 0x04,
            Algorithm::MlDsa44Cosignature => 0x06,
        }
    }

    const fn key_length(self) -> usize {
        match self {
            Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => 32,
            Algorithm::MlDsa44Cosignature => 1312,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => "Ed25519",
            Algorithm::MlDsa44Cosignature => "ML-DSA-44",
        })
    }
}

/// A text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key for verifying (NAME+ID+KEY, as in `log.vkey`): {0}")]
pub struct NotAKey(&'static str);

/// A public key and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    algorithm: Algorithm,
    public: Vec<u8>,
}

impl VerifierKey {
    /// The key `public` of `name`.
    ///
    /// # Errors
    /// The name is empty or holds spaces, `+` or control characters, or the key has the wrong length.
    pub fn new(name: &str, algorithm: Algorithm, public: &[u8]) -> Result<Self, NotAKey> {
        if !is_name(name) {
            return Err(NotAKey("its name is empty, or holds a space, a `+` or a control character"));
        }
        if public.len() != algorithm.key_length() {
            return Err(NotAKey("the key has the wrong length"));
        }
        let hash = sha256(&[name.as_bytes(), b"\n", &[algorithm.byte()], public].concat());
        let [a, b, c, d, ..] = hash;
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], algorithm, public: public.to_vec() })
    }

    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of its hash.
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What it states.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is its statement about `text`; the time of the statement, in seconds since 1970, where it has
    /// one.
    ///
    /// # Errors
    /// It is not.
    fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, NoteError> {
        let failed = || NoteError::Forged(self.name.clone());
        let (time, signature) = match self.algorithm {
            Algorithm::Ed25519 => (None, signature),
            Algorithm::Ed25519Cosignature | Algorithm::MlDsa44Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>().ok_or_else(failed)?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        let message = statement(self.algorithm, &self.name, text, time.unwrap_or(0)).ok_or_else(failed)?;
        let verified = match self.algorithm {
            Algorithm::Ed25519 | Algorithm::Ed25519Cosignature => {
                UnparsedPublicKey::new(&ED25519, &self.public).verify(&message, signature)
            }
            Algorithm::MlDsa44Cosignature => {
                UnparsedPublicKey::new(&ML_DSA_44, &self.public).verify(&message, signature)
            }
        };
        verified.map(|()| time).map_err(|_| failed())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() < 256 && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// What is really signed. `None` where the text is no checkpoint and the algorithm signs only those.
pub(crate) fn statement(algorithm: Algorithm, name: &str, text: &str, time: u64) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Ed25519 => Some(text.as_bytes().to_vec()),
        Algorithm::Ed25519Cosignature => Some(format!("cosignature/v1\ntime {time}\n{text}").into_bytes()),
        Algorithm::MlDsa44Cosignature => {
            let checkpoint: Checkpoint = text.parse().ok()?;
            let mut message = b"subtree/v1\n\0".to_vec();
            message.push(u8::try_from(name.len()).ok()?);
            message.extend_from_slice(name.as_bytes());
            message.extend_from_slice(&time.to_be_bytes());
            message.push(u8::try_from(checkpoint.origin.len()).ok()?);
            message.extend_from_slice(checkpoint.origin.as_bytes());
            message.extend_from_slice(&0_u64.to_be_bytes());
            message.extend_from_slice(&checkpoint.size.to_be_bytes());
            message.extend_from_slice(&checkpoint.root);
            Some(message)
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.algorithm.byte()], self.public.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAKey("it has not three parts"));
        };
        let key = STANDARD.decode(key).map_err(|_| NotAKey("its last part is not base64"))?;
        let algorithm = match key.first() {
            Some(0x01) => Algorithm::Ed25519,
            Some(0x04) => Algorithm::Ed25519Cosignature,
            Some(0x06) => Algorithm::MlDsa44Cosignature,
            _ => return Err(NotAKey("it is neither Ed25519 (1), nor a cosigner's Ed25519 (4) or ML-DSA-44 (6)")),
        };
        let key = Self::new(name, algorithm, key.get(1..).unwrap_or_default())?;
        match key.to_string() == text {
            true => Ok(key),
            false if id.len() == 8 => Err(NotAKey("its id is not the one of this name and key")),
            false => Err(NotAKey("its id is not eight hex digits")),
        }
    }
}

/// One line below a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose.
    pub name: String,
    /// Of which of the name's keys.
    pub id: [u8; 4],
    /// What the algorithm makes.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\u{2014} {} {}", self.name, STANDARD.encode([self.id.as_slice(), &self.bytes].concat()))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads a line, without its end.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let parts = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' '));
        let (name, text) = parts.ok_or(NoteError::Malformed("a signature's line is not `— NAME BASE64`"))?;
        let bytes = STANDARD.decode(text).map_err(|_| NoteError::Malformed("a signature is not base64"))?;
        match bytes.split_first_chunk::<4>() {
            Some((id, bytes)) if is_name(name) && !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(NoteError::Malformed("a signature has no name, no key or no bytes")),
        }
    }
}

/// A text and those who vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// With the end of its last line.
    pub text: String,
    /// At least one.
    pub signatures: Vec<Signature>,
}

/// A note is none, or nobody known vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A line claims to be a known key's and is not.
    #[error("the signature of `{0}` does not fit the text")]
    Forged(String),
    /// No known key has signed.
    #[error("no key that is trusted has signed it")]
    Unsigned,
    /// A key that must have signed has not.
    #[error("`{0}` has not signed it with {1}")]
    Missing(String, Algorithm),
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Malformed("it is too long"));
        }
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed("it holds control characters"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed("it has no empty line"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("its last line has no end"))?;
        let signatures = lines.split('\n').take(MOST_SIGNATURES + 1).map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        f.write_char('\n')?;
        self.signatures.iter().try_for_each(|signature| write!(f, "{signature}"))
    }
}

/// A key that vouches for a note, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher<'a> {
    /// Whose.
    pub key: &'a VerifierKey,
    /// In seconds since 1970, where the statement has a time.
    pub time: Option<u64>,
}

impl SignedNote {
    /// Which of `keys` vouch for it: at least one. Lines of other keys are let be.
    ///
    /// # Errors
    /// A line claims to be by one of the keys and is not, or none of them has signed.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<Voucher<'a>>, NoteError> {
        let mut vouchers: Vec<Voucher<'a>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.name == signature.name && key.id == signature.id) else {
                continue;
            };
            let time = key.verify(&self.text, &signature.bytes)?;
            if !vouchers.iter().any(|voucher| voucher.key == key) {
                vouchers.push(Voucher { key, time });
            }
        }
        if vouchers.is_empty() { Err(NoteError::Unsigned) } else { Ok(vouchers) }
    }

    /// As [`SignedNote::verify`], where each of `keys` must have signed: whoever has broken one algorithm cannot leave the
    /// other out.
    ///
    /// # Errors
    /// As well: one of them has not.
    pub fn verify_all<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<Voucher<'a>>, NoteError> {
        let vouchers = self.verify(keys)?;
        match keys.iter().find(|key| !vouchers.iter().any(|voucher| voucher.key == *key)) {
            Some(key) => Err(NoteError::Missing(key.name.clone(), key.algorithm)),
            None => Ok(vouchers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let key: VerifierKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        let note: SignedNote = NOTE.parse().unwrap();
        assert_eq!(note.to_string(), NOTE);
        assert_eq!(note.verify(std::slice::from_ref(&key)).unwrap(), [Voucher { key: &key, time: None }]);
    }

    #[test]
    fn a_changed_text_or_signature_is_refused() {
        let keys = [KEY.parse::<VerifierKey>().unwrap()];
        let changed: SignedNote = NOTE.replace("example message", "exbmple message").parse().unwrap();
        assert_eq!(changed.verify(&keys), Err(NoteError::Forged("example.com/foo".to_owned())));
        let changed: SignedNote = NOTE.replace("kn8srV1", "kn8srW1").parse().unwrap();
        assert_eq!(changed.verify(&keys), Err(NoteError::Forged("example.com/foo".to_owned())));
        let other: SignedNote = NOTE.replace("\u{2014} example.com/foo", "\u{2014} example.com/bar").parse().unwrap();
        assert_eq!(other.verify(&keys), Err(NoteError::Unsigned));
    }

    #[test]
    fn what_is_no_note_or_key_is_refused() {
        for text in [
            "",
            "a\n",
            "a\n\n",
            "a\n\nb\n",
            "a\n\n\u{2014} x\n",
            "a\n\n\u{2014} x AAAA\n",
            "a\r\n\n\u{2014} x AAAAAAA=\n",
        ] {
            assert!(matches!(text.parse::<SignedNote>(), Err(NoteError::Malformed(_))), "{text:?}");
        }
        for key in [
            "",
            "a+b",
            "a+b+c",
            &KEY.replace("530d903a", "530d903b"),
            &KEY.replace("530d903a", "530D903A"),
            &KEY.replace("+Ae", "+Be"),
        ] {
            assert!(key.parse::<VerifierKey>().is_err(), "{key}");
        }
        assert!(VerifierKey::new("a b", Algorithm::Ed25519, &[0; 32]).is_err());
        assert!(VerifierKey::new("a", Algorithm::Ed25519, &[0; 31]).is_err());
    }
}
