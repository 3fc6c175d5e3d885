//! Bundles of entries: each entry behind its length, two bytes, the high one first (C2SP tlog-tiles).

use std::ops::Range;

/// An entry is longer than a bundle can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of {0} bytes is longer than the 65535 that a bundle holds")]
pub struct TooLong(pub usize);

/// A bundle ends within an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bundle ends within an entry, at byte {0}")]
pub struct Torn(pub usize);

/// Adds an entry to a bundle.
///
/// # Errors
/// It is too long.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(entry.len()).map_err(|_| TooLong(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle. The iterator ends with the first that is torn.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], Torn>> {
    let mut rest = Some(bundle);
    std::iter::from_fn(move || {
        let now = rest.filter(|now| !now.is_empty())?;
        match split(now) {
            Some((entry, after)) => {
                rest = Some(after);
                Some(Ok(entry))
            }
            None => {
                rest = None;
                Some(Err(Torn(bundle.len() - now.len())))
            }
        }
    })
}

/// How many bytes the first `count` entries take, where there are as many.
pub(crate) fn length(bundle: &[u8], count: u16) -> Option<usize> {
    let mut rest = bundle;
    for _ in 0..count {
        (_, rest) = split(rest)?;
    }
    Some(bundle.len() - rest.len())
}

/// The number of the record that an entry is, if it is one.
pub fn seq(entry: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        seq: u64,
    }
    serde_json::from_slice::<Numbered>(entry).ok().map(|record| record.seq)
}

/// Where the entry lies whose length stands at byte `at`, if it is whole.
pub(crate) fn at(bundle: &[u8], at: usize) -> Option<Range<usize>> {
    let (entry, _) = split(bundle.get(at..)?)?;
    Some(at + 2..at + 2 + entry.len())
}

fn split(bundle: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bundle.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_back_up_to_the_torn_one() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push_entry(&mut bundle, entry).unwrap();
        }
        let read: Vec<_> = entries(&bundle).collect();
        assert_eq!(read, [Ok(&b"one"[..]), Ok(b""), Ok(b"three")]);
        assert_eq!(length(&bundle, 2), Some(7));
        assert_eq!(length(&bundle, 4), None);
        bundle.pop();
        let read: Vec<_> = entries(&bundle).collect();
        assert_eq!(read, [Ok(&b"one"[..]), Ok(b""), Err(Torn(7))]);
        assert_eq!(push_entry(&mut Vec::new(), &[0; 65536]), Err(TooLong(65536)));
    }
}
