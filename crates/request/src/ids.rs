//! Identifiers: of a cell (chosen by the operator) and of one run of it (chosen by NanoClaw).

use std::fmt;

/// The name of a cell: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit.
///
/// It is a DNS label (RFC 1123), so that it can stand in host names, file names and SPIFFE IDs unescaped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellId(String);

/// Why a text is not a [`CellId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("an id must not be empty")]
    Empty,
    /// Longer than a DNS label.
    #[error("an id has at most 63 characters, this one has {0}")]
    TooLong(usize),
    /// A character that a DNS label cannot have.
    #[error("`{}` cannot stand in an id; use a-z, 0-9 and `-`", .0.escape_debug())]
    Character(char),
    /// A dash at an end.
    #[error("an id begins and ends with a letter or a digit")]
    Dash,
}

impl CellId {
    /// Longest id, in bytes.
    pub const MAX: usize = 63;

    /// Checks `text` and takes it as an id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if let Some(c) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(IdError::Character(c));
        }
        if text.len() > Self::MAX {
            return Err(IdError::TooLong(text.len()));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(IdError::Dash);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CellId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<CellId> for String {
    fn from(id: CellId) -> String {
        id.0
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One run of a cell: 128 random bits. A cell that is restarted gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// Takes 16 random bytes, which the caller has drawn from the kernel.
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_dns_labels() {
        assert!(CellId::parse("nano-001").is_ok());
        assert_eq!(CellId::parse(""), Err(IdError::Empty));
        assert_eq!(CellId::parse("Nano"), Err(IdError::Character('N')));
        assert_eq!(CellId::parse("a/b"), Err(IdError::Character('/')));
        assert_eq!(CellId::parse("-a"), Err(IdError::Dash));
        assert_eq!(CellId::parse(&"a".repeat(64)), Err(IdError::TooLong(64)));
    }
}
