//! What is kept of a password: PBKDF2 (SP 800-132) with HMAC-SHA-512, a salt and a number of iterations of its own.
//!
//! Not Argon2id: the FIPS module has none, and a second library for it would be a second set of flaws. So the number of
//! iterations is what a guess costs, and [`ITERATIONS`] is three times what OWASP's cheat sheet asks for (2023).

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA512, derive};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::random::{self, RandomError};

/// Iterations of new hashes.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(640_000).unwrap();
/// Most iterations that a stored hash may ask for: about ten seconds.
const MAX_ITERATIONS: u32 = 20_000_000;

/// What a stored hash begins with.
const SCHEME: &str = "pbkdf2-sha512";
const SALT_BYTES: usize = 16;
const DIGEST_BYTES: usize = 64;

/// The hash of a password. As text: `pbkdf2-sha512$ITERATIONS$SALT$DIGEST`, the last two in base64 without padding.
#[derive(Clone)]
pub struct PasswordHash {
    iterations: NonZeroU32,
    salt: [u8; SALT_BYTES],
    digest: [u8; DIGEST_BYTES],
}

impl PasswordHash {
    /// Hashes `password`, with a new salt. Takes about half a second with [`ITERATIONS`].
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn new(password: &str, iterations: NonZeroU32) -> Result<Self, RandomError> {
        let salt = random::bytes()?;
        let mut digest = [0; DIGEST_BYTES];
        derive(PBKDF2_HMAC_SHA512, iterations, &salt, password.as_bytes(), &mut digest);
        Ok(Self { iterations, salt, digest })
    }

    /// A hash that no password has and that takes as long to compare with as any other.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn of_nobody(iterations: NonZeroU32) -> Result<Self, RandomError> {
        Ok(Self { iterations, salt: random::bytes()?, digest: random::bytes()? })
    }

    /// Reads the text form. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (scheme, iterations) = (parts.next()?, parts.next()?);
        let (salt, digest) = (parts.next()?, parts.next()?);
        let iterations = NonZeroU32::new(iterations.parse().ok()?)?;
        if scheme != SCHEME || parts.next().is_some() || iterations.get() > MAX_ITERATIONS {
            return None;
        }
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).ok();
        Some(Self { iterations, salt: decode(salt)?.try_into().ok()?, digest: decode(digest)?.try_into().ok()? })
    }

    /// Whether this is the hash of `password`. The time that it takes depends on the number of iterations only.
    pub fn matches(&self, password: &str) -> bool {
        let mut digest = Zeroizing::new([0; DIGEST_BYTES]);
        derive(PBKDF2_HMAC_SHA512, self.iterations, &self.salt, password.as_bytes(), &mut *digest);
        verify_slices_are_equal(&self.digest, &*digest).is_ok()
    }

    /// How many iterations it was made with.
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, digest] = [&self.salt[..], &self.digest[..]].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        write!(f, "{SCHEME}${}${salt}${digest}", self.iterations)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

    /// Made with another implementation: Python's `hashlib.pbkdf2_hmac("sha512", …)`.
    const KNOWN: &str = include_str!("../tests/data/pbkdf2.txt");

    #[test]
    fn hashes_are_those_of_another_implementation() {
        let hash = PasswordHash::parse(KNOWN.trim_end()).unwrap();
        assert_eq!(hash.iterations(), FEW);
        assert!(hash.matches("correct horse battery"));
        assert!(!hash.matches("correct horse batterz"));
        assert_eq!(hash.to_string(), KNOWN.trim_end());
    }

    #[test]
    fn one_password_has_many_hashes() {
        let [one, other] = [(); 2].map(|()| PasswordHash::new("correct horse battery", FEW).unwrap());
        assert_ne!(one.to_string(), other.to_string());
        assert!(one.matches("correct horse battery") && other.matches("correct horse battery"));
    }

    #[test]
    fn nobody_has_no_password_and_costs_the_same() {
        let nobody = PasswordHash::of_nobody(FEW).unwrap();
        assert_eq!(nobody.iterations(), FEW);
        assert!(!nobody.matches("") && !nobody.matches("correct horse battery"));
    }

    #[test]
    fn what_is_no_hash_is_not_read() {
        let good = PasswordHash::new("x", FEW).unwrap().to_string();
        assert!(PasswordHash::parse(&good).is_some());
        for bad in [
            String::new(),
            good.replace("1000", "0"),
            good.replace("1000", "99999999"),
            good.replace("sha512", "sha1"),
            format!("{good}$"),
            good[..good.len() - 4].to_owned(),
        ] {
            assert!(PasswordHash::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_hash_masks_itself() {
        assert_eq!(format!("{:?}", PasswordHash::of_nobody(FEW).unwrap()), "***");
    }
}
