//! How large a tree is, and what its root is (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Hash;

/// The text of a checkpoint, without those who vouch for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// In entries.
    pub size: u64,
    /// The root of the tree of so many entries.
    pub root: Hash,
}

/// A text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct NotACheckpoint(&'static str);

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = NotACheckpoint;

    /// Reads the text of a note. Lines behind the third are let be, as the specification asks.
    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let text = text.strip_suffix('\n').ok_or(NotACheckpoint("its last line has no end"))?;
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(NotACheckpoint("it names no log"))?;
        let digits = lines.next().unwrap_or_default();
        let size = digits.parse::<u64>().ok().filter(|size| size.to_string() == digits);
        let size = size.ok_or(NotACheckpoint("its second line is no size"))?;
        let root = lines.next().and_then(|line| STANDARD.decode(line).ok()).and_then(|root| root.try_into().ok());
        let root = root.ok_or(NotACheckpoint("its third line is no SHA-256 in base64"))?;
        if lines.any(str::is_empty) {
            return Err(NotACheckpoint("it has an empty line"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let checkpoint: Checkpoint = EXAMPLE.parse().unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("example.com/behind-the-sofa", 20_852_163));
        assert_eq!(checkpoint.to_string(), EXAMPLE);
        assert_eq!(format!("{EXAMPLE}extension\n").parse::<Checkpoint>().unwrap(), checkpoint);
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, why) in [
            ("", "its last line has no end"),
            ("\n1\n", "it names no log"),
            ("a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "its second line is no size"),
            ("a\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", "its second line is no size"),
            ("a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n", "its third line is no SHA-256 in base64"),
            ("a\n1\nAAAA\n", "its third line is no SHA-256 in base64"),
            ("a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nx\n", "it has an empty line"),
        ] {
            assert_eq!(text.parse::<Checkpoint>(), Err(NotACheckpoint(why)), "{text:?}");
        }
    }
}
