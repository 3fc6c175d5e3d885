//! Verifying signatures of JSON Web Signatures (RFC 7515), with keys as in RFC 7517 and RFC 7518.
//!
//! Only signatures with a public key: with `HS256` whoever knows the public key could sign, with `none` anybody. A key
//! says what it is, so a signature never chooses how it is verified beyond the paddings of RSA.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};

/// Shortest modulus of an RSA key, in bytes.
const MIN_RSA_BYTES: usize = 256;
/// Longest modulus of an RSA key, in bytes.
const MAX_RSA_BYTES: usize = 1024;
/// Longest exponent of an RSA key, in bytes.
const MAX_RSA_EXPONENT_BYTES: usize = 4;

/// How something was signed (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// ECDSA with P-384 and SHA-384.
    Es384,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384];

    /// As it stands in a header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
        }
    }

    /// The algorithm of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Somebody's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Big-endian, without leading zeros.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// The uncompressed point (SEC 1, section 2.3.3).
    P256(Vec<u8>),
    P384(Vec<u8>),
}

impl PublicKey {
    /// An RSA key of 2,048 to 8,192 bits; both numbers are big-endian. `None` if they cannot be one.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let bare = |number: &[u8]| -> Vec<u8> { number.iter().copied().skip_while(|byte| *byte == 0).collect() };
        let (modulus, exponent) = (bare(modulus), bare(exponent));
        let fits = (MIN_RSA_BYTES..=MAX_RSA_BYTES).contains(&modulus.len())
            && (1..=MAX_RSA_EXPONENT_BYTES).contains(&exponent.len());
        fits.then_some(Self(Kind::Rsa { modulus, exponent }))
    }

    /// The point of P-256 with these coordinates, 32 bytes each. `None` if they are longer or shorter.
    pub fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        point::<32>(x, y).map(|point| Self(Kind::P256(point)))
    }

    /// The point of P-384 with these coordinates, 48 bytes each. `None` if they are longer or shorter.
    pub fn p384(x: &[u8], y: &[u8]) -> Option<Self> {
        point::<48>(x, y).map(|point| Self(Kind::P384(point)))
    }

    /// Whether this is a key for `algorithm`.
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        matches!(
            (&self.0, algorithm),
            (Kind::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256)
                | (Kind::P256(_), Algorithm::Es256)
                | (Kind::P384(_), Algorithm::Es384)
        )
    }

    /// Whether `signature` is this key's signature of `message`. A point that is not on the curve has signed nothing.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.0, algorithm) {
            (Kind::Rsa { modulus, exponent }, Algorithm::Rs256) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (Kind::Rsa { modulus, exponent }, Algorithm::Ps256) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            (Kind::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Kind::P384(point), Algorithm::Es384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Kind::Rsa { .. } | Kind::P256(_) | Kind::P384(_), _) => return false,
        };
        verified.is_ok()
    }
}

fn point<const N: usize>(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == N && y.len() == N).then(|| [&[4], x, y].concat())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    };

    use super::*;

    const MESSAGE: &[u8] = b"header.payload";

    fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> (Vec<u8>, Vec<u8>) {
        let key = EcdsaKeyPair::generate(algorithm).unwrap();
        let signature = key.sign(&SystemRandom::new(), MESSAGE).unwrap();
        (key.public_key().as_ref()[1..].to_vec(), signature.as_ref().to_vec())
    }

    fn with_rsa(encoding: &'static dyn RsaEncoding) -> (PublicKey, Vec<u8>) {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
        // An `RSAPublicKey` (RFC 8017, appendix A.1.1): two integers, of which the first takes 257 bytes.
        let public = key.public_key().as_ref();
        (PublicKey::rsa(&public[8..265], &public[267..]).unwrap(), signature)
    }

    #[test]
    fn each_algorithm_verifies_its_own_signatures_only() {
        let (small, small_signature) = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let (large, large_signature) = elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING);
        let (pkcs1, pkcs1_signature) = with_rsa(&RSA_PKCS1_SHA256);
        let (pss, pss_signature) = with_rsa(&RSA_PSS_SHA256);
        let p256 = PublicKey::p256(&small[..32], &small[32..]).unwrap();
        let p384 = PublicKey::p384(&large[..48], &large[48..]).unwrap();
        let signed = [
            (p256, Algorithm::Es256, small_signature),
            (p384, Algorithm::Es384, large_signature),
            (pkcs1, Algorithm::Rs256, pkcs1_signature),
            (pss, Algorithm::Ps256, pss_signature),
        ];
        for (key, right, signature) in &signed {
            for algorithm in Algorithm::ALL {
                let verified = key.verifies(algorithm, MESSAGE, signature);
                assert_eq!(verified, algorithm == *right, "{key:?} {algorithm:?}");
            }
            assert!(!key.verifies(*right, b"header.another", signature));
            assert!(!key.verifies(*right, MESSAGE, &signature[1..]));
            assert!(!key.verifies(*right, MESSAGE, &[]));
            for (other, ..) in signed.iter().filter(|(other, ..)| other != key) {
                assert!(!other.verifies(*right, MESSAGE, signature));
            }
        }
    }

    #[test]
    fn a_point_off_the_curve_has_signed_nothing() {
        let (_, signature) = elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = PublicKey::p256(&[1; 32], &[1; 32]).unwrap();
        assert!(!key.verifies(Algorithm::Es256, MESSAGE, &signature));
    }

    #[test]
    fn keys_of_other_sizes_are_none() {
        assert!(PublicKey::rsa(&[1; 256], &[1, 0, 1]).is_some());
        assert!(PublicKey::rsa(&[1; 128], &[1, 0, 1]).is_none());
        assert!(PublicKey::rsa(&[1; 1025], &[1, 0, 1]).is_none());
        assert!(PublicKey::rsa(&[1; 256], &[]).is_none());
        assert!(PublicKey::rsa(&[1; 256], &[1; 5]).is_none());
        assert!(PublicKey::p256(&[1; 31], &[1; 32]).is_none());
        assert!(PublicKey::p384(&[1; 48], &[1; 32]).is_none());
    }

    #[test]
    fn names_of_secret_and_of_no_algorithms_are_not_known() {
        for name in ["none", "None", "HS256", "HS384", "RS512", "EdDSA", "rs256", ""] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
        assert_eq!(Algorithm::parse("ES384"), Some(Algorithm::Es384));
    }
}
