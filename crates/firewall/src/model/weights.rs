//! The file of weights: made by `nanoclaw-firewall-train`, a part of the library.
//!
//! Little-endian: magic `NCFW`, version of the file (u16), version of the features (u16), bits of a feature (u32), digest of
//! all that follows (u64, FNV-1a over words of 8 bytes), then for each head its scale and its bias and the three logits of
//! the levels (f32 each), then the weights, those of one feature for all heads side by side (i8).

use super::features;

/// How many heads the model has; see [`Head`].
pub const HEADS: usize = 3;
/// The version of the file's layout.
pub const FORMAT: u16 = 1;
const MAGIC: [u8; 4] = *b"NCFW";
const HEADER: usize = 4 + 2 + 2 + 4 + 8;
const HEAD_BYTES: usize = 5 * 4;
const LENGTH: usize = HEADER + HEADS * HEAD_BYTES + features::COUNT * HEADS;

/// What the model looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// An attack of who speaks to the model.
    User,
    /// An attack in what the model is given to work on: one that says it overrides, or speaks to the model.
    Tool,
    /// Instructions of any kind.
    Instructs,
}

impl Head {
    /// All of them, in the order of the file.
    pub const ALL: [Self; HEADS] = [Self::User, Self::Tool, Self::Instructs];
}

/// How a sum of weights becomes a score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calibration {
    /// What one step of a weight is worth.
    pub scale: f32,
    /// What is added.
    pub bias: f32,
    /// Where each level begins, from [`crate::Level::Suspect`] on; strictly rising.
    pub levels: [f32; 3],
}

/// Why a file of weights is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// It does not begin as one.
    #[error("the file is no file of weights; make one with `nanoclaw-firewall-train`")]
    Magic,
    /// It was made for another layout or for other features.
    #[error("the weights are of another version; make them anew with `nanoclaw-firewall-train`")]
    Version,
    /// It is too short or too long.
    #[error("the file of weights is not as long as its header says; make it anew with `nanoclaw-firewall-train`")]
    Length,
    /// It is not what was written.
    #[error("the weights are damaged: their digest differs; make them anew with `nanoclaw-firewall-train`")]
    Digest,
    /// Its levels do not rise.
    #[error("the weights have levels that do not rise; make them anew with `nanoclaw-firewall-train`")]
    Levels,
}

/// Weights, and what their sums mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights<'a> {
    /// One for each of [`Head::ALL`].
    pub heads: [Calibration; HEADS],
    /// The digest of the file, which names the model.
    pub digest: u64,
    table: &'a [[u8; HEADS]],
}

impl<'a> Weights<'a> {
    /// Weights of a file.
    pub fn parse(file: &'a [u8]) -> Result<Self, WeightsError> {
        let mut rest = file.strip_prefix(&MAGIC).ok_or(WeightsError::Magic)?;
        let (format, version) = (u16::from_le_bytes(take(&mut rest)?), u16::from_le_bytes(take(&mut rest)?));
        let bits = u32::from_le_bytes(take(&mut rest)?);
        if (format, version, bits) != (FORMAT, features::VERSION, features::BITS) {
            return Err(WeightsError::Version);
        }
        let digest = u64::from_le_bytes(take(&mut rest)?);
        if file.len() != LENGTH {
            return Err(WeightsError::Length);
        }
        if digest_of(rest) != digest {
            return Err(WeightsError::Digest);
        }
        let mut heads = [Calibration::default(); HEADS];
        for head in &mut heads {
            let mut next = || take(&mut rest).map(f32::from_le_bytes);
            *head = Calibration { scale: next()?, bias: next()?, levels: [next()?, next()?, next()?] };
            let [suspect, likely, certain] = head.levels;
            if !(suspect < likely && likely < certain && head.scale.is_finite() && head.bias.is_finite()) {
                return Err(WeightsError::Levels);
            }
        }
        let (table, _) = rest.as_chunks();
        Ok(Self { heads, digest, table })
    }

    /// Adds the weights of features, one for each head.
    pub(super) fn add(&self, features: &[u32], sums: &mut [i32; HEADS]) {
        let [mut user, mut tool, mut instructs] = *sums;
        for feature in features {
            let [one, two, three] = self.table.get(*feature as usize).copied().unwrap_or_default();
            user = user.wrapping_add(i32::from(one.cast_signed()));
            tool = tool.wrapping_add(i32::from(two.cast_signed()));
            instructs = instructs.wrapping_add(i32::from(three.cast_signed()));
        }
        *sums = [user, tool, instructs];
    }
}

/// The file of these weights: `table` holds those of one feature for all heads side by side.
pub fn file(heads: &[Calibration; HEADS], table: &[[i8; HEADS]]) -> Vec<u8> {
    let mut body = Vec::with_capacity(LENGTH);
    for head in heads {
        let [suspect, likely, certain] = head.levels;
        for number in [head.scale, head.bias, suspect, likely, certain] {
            body.extend(number.to_le_bytes());
        }
    }
    body.extend(table.iter().flatten().map(|weight| weight.cast_unsigned()));
    let mut file = MAGIC.to_vec();
    file.extend(FORMAT.to_le_bytes());
    file.extend(features::VERSION.to_le_bytes());
    file.extend(features::BITS.to_le_bytes());
    file.extend(digest_of(&body).to_le_bytes());
    file.extend(body);
    file
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WeightsError> {
    let (first, behind) = rest.split_first_chunk().ok_or(WeightsError::Length)?;
    *rest = behind;
    Ok(*first)
}

fn digest_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let all = words.chain(rest.iter().map(|byte| u64::from(*byte)));
    all.fold(0xcbf2_9ce4_8422_2325, |digest, word| (digest ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23))
}
