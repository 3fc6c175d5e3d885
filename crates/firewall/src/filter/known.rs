//! The organisation's own values, known by digests alone.
//!
//! A list is a text: a header with the salt and the count, the lengths that occur, a filter that says of most texts that they
//! are no such value, and one keyed digest a value, cut to 64 bits. Values and texts are compared without regard to case,
//! script variants, and what stands between letters and digits. Whoever has the file can try values against it, so it is to
//! be kept as what it stands for.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{LONGEST_GAP, folded, is_unspaced};

/// Bytes of a salt.
pub const SALT: usize = 16;
/// Most values of a list.
pub const MOST_VALUES: usize = 1_000_000;
/// Longest value, in bytes of its letters and digits.
pub const LONGEST_VALUE: usize = 64;
/// Shortest value, in bytes of its letters and digits: less would stand in every text.
pub const LEAST_VALUE: usize = 6;
/// Most bytes of a text that a value takes up, with what stands between its parts.
pub(super) const LONGEST_PLACE: usize = 2 * LONGEST_VALUE;
/// Bits of the filter for one value: one text of eight goes on to a digest.
const BITS: usize = 8;
const MAGIC: &str = "nanoclaw-known-values 1";

/// A keyed digest: of a key and a message. HMAC-SHA-256 in NanoClaw; this crate has no cryptography of its own.
#[derive(Clone, Copy)]
pub struct Keyed(pub fn(&[u8], &[u8]) -> [u8; 32]);

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyed")
    }
}

/// Why a list of values is none. No message holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// It does not begin as one.
    #[error("it does not begin with `{MAGIC}`; `nanoclaw firewall hash` writes such files")]
    Other,
    /// A line is wrong.
    #[error("line {0} is not what `nanoclaw firewall hash` writes; write the file anew")]
    Line(usize),
    /// The count in the header is another one.
    #[error("it has {found} digests, and its header says {said}; it was cut, so write it anew")]
    Count {
        /// What the header says.
        said: usize,
        /// What there is.
        found: usize,
    },
    /// Too many.
    #[error("it has more than {MOST_VALUES} values; split it")]
    Many,
    /// None.
    #[error("it has no values")]
    None,
    /// A value is too short.
    #[error(
        "the value on line {0} has fewer than {LEAST_VALUE} bytes of letters and digits, and would be found everywhere"
    )]
    Short(usize),
    /// A value is too long.
    #[error("the value on line {0} has more than {LONGEST_VALUE} bytes of letters and digits")]
    Long(usize),
}

/// A list of values, ready to be looked for.
#[derive(Clone)]
pub struct KnownValues {
    keyed: Keyed,
    list: Arc<List>,
}

struct List {
    salt: [u8; SALT],
    /// Bit `n`: there is a value of `n` bytes.
    lengths: u128,
    longest: usize,
    filter: Vec<u8>,
    /// Ascending.
    digests: Vec<u64>,
}

impl fmt::Debug for KnownValues {
    /// The salt, the count and a sum that two different lists hardly share.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let List { salt, digests, .. } = &*self.list;
        let sum = digests.iter().fold(0, |sum: u64, digest| sum.rotate_left(1) ^ digest);
        write!(f, "KnownValues({} values, salt {}, sum {sum:016x})", digests.len(), hex(salt))
    }
}

/// The file with the digests of these values, one a line; empty lines are left out. The salt is to be random.
///
/// # Errors
/// A value cannot be one.
pub fn known_values(values: &str, salt: [u8; SALT], keyed: Keyed) -> Result<String, KnownError> {
    let mut list = List { salt, lengths: 0, longest: 0, filter: Vec::new(), digests: Vec::new() };
    let mut hashes = Vec::new();
    for (number, line) in values.lines().enumerate() {
        let text = folded(line.trim());
        let value: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
        if value.is_empty() {
            continue;
        }
        match value.len() {
            short if short < LEAST_VALUE => return Err(KnownError::Short(number + 1)),
            long if long > LONGEST_VALUE => return Err(KnownError::Long(number + 1)),
            length => list.lengths |= 1 << length,
        }
        list.digests.push(digest(keyed, &salt, value.as_bytes()));
        hashes.push(Cheap::of(&salt, value.as_bytes()).0);
        if hashes.len() > MOST_VALUES {
            return Err(KnownError::Many);
        }
    }
    list.digests.sort_unstable();
    list.digests.dedup();
    if list.digests.is_empty() {
        return Err(KnownError::None);
    }
    list.filter = vec![0; (list.digests.len() * BITS / 8).next_power_of_two()];
    for hash in hashes {
        let (byte, bit) = place(hash, list.filter.len());
        if let Some(byte) = list.filter.get_mut(byte) {
            *byte |= bit;
        }
    }
    Ok(list.to_string())
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}\nsalt {}\nvalues {}\nlengths {:x}", hex(&self.salt), self.digests.len(), self.lengths)?;
        writeln!(f, "filter {}", hex(&self.filter))?;
        self.digests.iter().try_for_each(|digest| writeln!(f, "{digest:016x}"))
    }
}

impl KnownValues {
    /// Reads what [`known_values`] wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn read(text: &str, keyed: Keyed) -> Result<Self, KnownError> {
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, line)| line != MAGIC) {
            return Err(KnownError::Other);
        }
        let mut header = |name: &str| {
            let (number, line) = lines.next().ok_or(KnownError::Other)?;
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
            value.map(|value| (KnownError::Line(number + 1), value)).ok_or(KnownError::Line(number + 1))
        };
        let (wrong, salt) = header("salt")?;
        let salt = unhex(salt).and_then(|salt| salt.try_into().ok()).ok_or(wrong)?;
        let (wrong, said) = header("values")?;
        let said: usize = said.parse().map_err(|_| wrong)?;
        if said > MOST_VALUES {
            return Err(KnownError::Many);
        }
        let (wrong, lengths) = header("lengths")?;
        let lengths = u128::from_str_radix(lengths, 16).map_err(|_| wrong.clone())?;
        let longest = (lengths.checked_ilog2().ok_or_else(|| wrong.clone())? as usize).min(LONGEST_VALUE + 1);
        if longest > LONGEST_VALUE || (lengths.trailing_zeros() as usize) < LEAST_VALUE {
            return Err(wrong);
        }
        let (wrong, filter) = header("filter")?;
        let filter = unhex(filter).filter(|filter| filter.len().is_power_of_two()).ok_or(wrong)?;
        let mut digests = Vec::with_capacity(said);
        for (number, line) in lines {
            if digests.len() > said {
                break;
            }
            let digest = (line.len() == 16).then(|| u64::from_str_radix(line, 16).ok()).flatten();
            digests.push(digest.ok_or(KnownError::Line(number + 1))?);
        }
        if digests.len() != said || said == 0 {
            return Err(KnownError::Count { said, found: digests.len() });
        }
        digests.sort_unstable();
        Ok(Self { keyed, list: Arc::new(List { salt, lengths, longest, filter, digests }) })
    }

    /// Where values of the list stand in a folded text, from left to right, not overlapping.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let tokens: Vec<Range<usize>> = tokens(text).collect();
        let mut places: Vec<Range<usize>> = Vec::new();
        for (number, first) in tokens.iter().enumerate() {
            if places.last().is_some_and(|last| first.start < last.end) {
                continue;
            }
            places.extend(self.longest_at(text, tokens.get(number..).unwrap_or_default()));
        }
        places
    }

    /// The longest value that begins with the first of these tokens.
    fn longest_at(&self, text: &str, tokens: &[Range<usize>]) -> Option<Range<usize>> {
        let list = &*self.list;
        let start = tokens.first()?.start;
        let (mut value, mut cheap, mut last, mut found) = (Vec::new(), Cheap::new(&list.salt), start, None);
        for token in tokens {
            if token.start - last > LONGEST_GAP || value.len() + token.len() > list.longest {
                break;
            }
            let part = text.get(token.clone())?.as_bytes();
            value.extend_from_slice(part);
            cheap.add(part);
            last = token.end;
            let (byte, bit) = place(cheap.0, list.filter.len());
            let is_length = list.lengths >> value.len() & 1 == 1;
            if is_length
                && list.filter.get(byte).is_some_and(|byte| byte & bit != 0)
                && list.digests.binary_search(&digest(self.keyed, &list.salt, &value)).is_ok()
            {
                found = Some(start..last);
            }
        }
        found
    }
}

/// The first 64 bits of the keyed digest.
fn digest(keyed: Keyed, salt: &[u8; SALT], value: &[u8]) -> u64 {
    let digest = (keyed.0)(salt, value);
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Words, numbers, and single characters of scripts without spaces.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = rest.find(|(_, c)| c.is_alphanumeric())?;
        let mut end = start + first.len_utf8();
        if !is_unspaced(first) {
            while let Some((at, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() && !is_unspaced(*c)) {
                end = at + c.len_utf8();
            }
        }
        Some(start..end)
    })
}

/// A quick hash (FNV-1a), salted, which can go on.
#[derive(Clone, Copy)]
struct Cheap(u64);

impl Cheap {
    fn new(salt: &[u8; SALT]) -> Self {
        let mut hash = Self(0xcbf2_9ce4_8422_2325);
        hash.add(salt);
        hash
    }

    fn of(salt: &[u8; SALT], value: &[u8]) -> Self {
        let mut hash = Self::new(salt);
        hash.add(value);
        hash
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The byte and the bit of a filter of so many bytes, a power of two.
fn place(hash: u64, bytes: usize) -> (usize, u8) {
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    (usize::try_from(mixed >> 3).unwrap_or_default() & (bytes.max(1) - 1), 1 << (mixed & 7))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}
