//! Keeping texts short, with a mark where something is missing.

/// Room for the mark of a cut, in bytes.
const MARK: usize = 80;

/// The beginning of `text`, at most `most` bytes with the mark.
pub(super) fn head(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let total = text.len();
    let mut kept = text;
    kept.truncate(floor(&kept, most.saturating_sub(MARK)));
    let shown = kept.len();
    kept.push_str(&format!("\n[cut: the first {shown} of {total} bytes are shown]"));
    kept
}

/// The largest place up to `at` where `text` can be cut.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Keeps the beginning and the end of a stream of bytes, in memory of twice the room.
#[derive(Debug)]
pub(super) struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    half: usize,
    total: u64,
}

impl Ends {
    /// Whose text is at most `most` bytes, if these are valid UTF-8.
    pub(super) fn new(most: usize) -> Self {
        Self { head: Vec::new(), tail: Vec::new(), half: most.saturating_sub(MARK) / 2, total: 0 }
    }

    /// More of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.head.extend_from_slice(first);
        let last = rest.get(rest.len().saturating_sub(self.half)..).unwrap_or_default();
        self.tail.extend_from_slice(last);
        if self.tail.len() > self.half.saturating_mul(2) {
            self.tail.drain(..self.tail.len() - self.half);
        }
    }

    /// Both ends, with a mark between them where something is missing.
    pub(super) fn text(mut self) -> String {
        let surplus = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..surplus);
        let kept = (self.head.len() + self.tail.len()) as u64;
        if kept == self.total {
            self.head.append(&mut self.tail);
            return String::from_utf8_lossy(&self.head).into_owned();
        }
        let left_out = self.total - kept;
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.tail));
        format!("{head}\n[cut: {left_out} bytes are left out here]\n{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_cut_between_characters_and_says_so() {
        assert_eq!(head("short".into(), 5), "short");
        let cut = head("é".repeat(100), 101);
        assert_eq!(cut, format!("{}\n[cut: the first 20 of 200 bytes are shown]", "é".repeat(10)));
        assert!(head("x".repeat(1000), 100).len() <= 100);
    }

    #[test]
    fn ends_keep_the_beginning_and_the_end() {
        let mut whole = Ends::new(1000);
        whole.push(b"one ");
        whole.push(b"two");
        assert_eq!(whole.text(), "one two");

        let mut ends = Ends::new(MARK + 20);
        for piece in ["0123456789", "abc", &"-".repeat(5000), "xyz", "9876543"] {
            ends.push(piece.as_bytes());
        }
        assert_eq!(ends.text(), "0123456789\n[cut: 5003 bytes are left out here]\nxyz9876543");
    }

    #[test]
    fn ends_stay_small_whatever_comes() {
        let mut ends = Ends::new(1000);
        for _ in 0..1000 {
            ends.push(&[b'x'; 777]);
            assert!(ends.head.len() + ends.tail.len() <= 3000);
        }
        assert!(ends.text().len() <= 1000);
    }
}
