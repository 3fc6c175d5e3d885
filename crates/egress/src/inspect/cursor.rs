//! Reads big-endian fields off the front of a byte slice.

/// What is left to read. Every method returns `None` where the bytes run out, and then reads nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        self.0 = tail;
        Some(*first)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u16::from_be_bytes(*head))
    }

    pub(super) fn u24(&mut self) -> Option<usize> {
        let (&[a, b, c], tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some((usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c))
    }

    /// A vector with a one-byte length in front (RFC 8446 section 3.4).
    pub(super) fn vector8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u8()?;
        let body = ahead.take(length.into())?;
        *self = ahead;
        Some(body)
    }

    /// A vector with a two-byte length in front.
    pub(super) fn vector16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u16()?;
        let body = ahead.take(length.into())?;
        *self = ahead;
        Some(body)
    }
}
