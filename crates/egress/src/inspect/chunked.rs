//! The chunked transfer coding (RFC 9112 section 7.1), followed byte by byte to know where a body ends.

/// Longest line between chunks: size and extension, or one trailer field.
const MAX_LINE: usize = 4096;

/// Most bytes of trailer fields.
const MAX_TRAILER: usize = 16 * 1024;

/// Why bytes are not chunked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed: {0}")]
pub struct ChunkError(&'static str);

/// Follows one chunked body.
#[derive(Debug)]
pub struct ChunkedBody {
    state: State,
    line: Vec<u8>,
    trailer: usize,
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

impl ChunkedBody {
    /// A request body: no chunk extensions and no trailer fields, which servers read in different ways.
    pub fn of_request() -> Self {
        Self { state: State::Size, line: Vec::new(), trailer: 0, strict: true }
    }

    /// A response body: extensions and trailer fields are let through.
    pub fn of_response() -> Self {
        Self { strict: false, ..Self::of_request() }
    }

    /// Whether the last byte of the body has been seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Follows the next bytes and says how many of them belong to the body: all, until it is done.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_done() {
            rest = match self.state {
                State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - here as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    rest.get(here..).unwrap_or_default()
                }
                State::Size | State::DataEnd | State::Trailer | State::Done => self.line_byte(rest)?,
            };
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes one byte of a line, and the line when that ends it.
    fn line_byte<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ChunkError> {
        let Some((byte, rest)) = bytes.split_first() else { return Ok(bytes) };
        let after_cr = self.line.last() == Some(&b'\r');
        if after_cr != (*byte == b'\n') {
            return Err(ChunkError("a line does not end in CR LF"));
        }
        if self.line.len() >= MAX_LINE {
            return Err(ChunkError("a line is too long"));
        }
        self.line.push(*byte);
        if *byte == b'\n' {
            let line = std::mem::take(&mut self.line);
            self.state = self.after_line(line.strip_suffix(b"\r\n").unwrap_or(&line))?;
        }
        Ok(rest)
    }

    fn after_line(&mut self, line: &[u8]) -> Result<State, ChunkError> {
        match self.state {
            State::Size => match self.chunk_size(line)? {
                0 => Ok(State::Trailer),
                size => Ok(State::Data(size)),
            },
            State::DataEnd if line.is_empty() => Ok(State::Size),
            State::DataEnd => Err(ChunkError("a chunk is longer than it said")),
            State::Trailer if line.is_empty() => Ok(State::Done),
            State::Trailer if self.strict => Err(ChunkError("a request has trailer fields")),
            State::Trailer => {
                self.trailer += line.len();
                if self.trailer > MAX_TRAILER { Err(ChunkError("the trailer is too long")) } else { Ok(State::Trailer) }
            }
            state @ (State::Data(_) | State::Done) => Ok(state),
        }
    }

    fn chunk_size(&self, line: &[u8]) -> Result<u64, ChunkError> {
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        if self.strict && digits.len() != line.len() {
            return Err(ChunkError("a request has chunk extensions"));
        }
        let digits = if self.strict { digits } else { digits.trim_ascii_end() };
        if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(ChunkError("a chunk size is not a hexadecimal number"));
        }
        let size = str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        size.ok_or(ChunkError("a chunk size is not a hexadecimal number"))
    }
}

/// What a whole body holds that [`ChunkedBody::of_request`] has followed to its end.
pub fn content(raw: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = rest.get(..end).unwrap_or_default().trim_ascii_end();
        let size = str::from_utf8(line).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let Some(size @ 1..) = size else { break };
        let data = rest.get(end + 1..).unwrap_or_default();
        content.extend_from_slice(data.get(..size).unwrap_or(data));
        rest = data.get(size + 2..).unwrap_or_default();
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_what_the_chunks_hold_together() {
        let raw = b"4\r\n4111\r\n00C\r\n111111111111\r\n0\r\n\r\n";
        assert_eq!(whole(ChunkedBody::of_request(), raw), Ok(Some(raw.len())));
        assert_eq!(content(raw), b"4111111111111111");
        assert_eq!(content(b"0\r\n\r\n"), b"");
        assert_eq!(content(b"9\r\nab"), b"ab");
    }

    fn whole(mut body: ChunkedBody, bytes: &[u8]) -> Result<Option<usize>, ChunkError> {
        let used = body.advance(bytes)?;
        Ok(body.is_done().then_some(used))
    }

    #[test]
    fn the_end_is_found_however_the_bytes_are_cut() {
        let bytes = b"4\r\nWiki\r\nA\r\n0123456789\r\n0\r\n\r\nGET /";
        assert_eq!(whole(ChunkedBody::of_request(), bytes), Ok(Some(bytes.len() - 5)));
        for cut in 1..bytes.len() - 5 {
            let mut body = ChunkedBody::of_request();
            assert_eq!(body.advance(&bytes[..cut]), Ok(cut), "{cut}");
            assert!(!body.is_done());
            assert_eq!(body.advance(&bytes[cut..]), Ok(bytes.len() - 5 - cut), "{cut}");
            assert!(body.is_done());
        }
    }

    #[test]
    fn ambiguous_chunks_are_malformed() {
        for bytes in [
            &b"4\nWiki"[..],
            b"4\r\nWikixx\r\n",
            b"0x4\r\n",
            b"+4\r\n",
            b" 4\r\n",
            b"4 \r\n",
            b"-1\r\n",
            b"\r\n",
            b"4;a=b\r\n",
            b"fffffffffffffffff\r\n",
            b"0\r\nHost: evil.com\r\n",
            b"4\r\r\n",
        ] {
            assert!(ChunkedBody::of_request().advance(bytes).is_err(), "{:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn responses_may_have_extensions_and_trailers() {
        let bytes = b"4 ;a=b\r\nWiki\r\n0\r\nDigest: x\r\n\r\n";
        assert_eq!(whole(ChunkedBody::of_response(), bytes), Ok(Some(bytes.len())));
        let mut endless = b"0\r\n".to_vec();
        for _ in 0..300 {
            endless.extend_from_slice(&[b'a'; 100]);
            endless.extend_from_slice(b"\r\n");
        }
        assert_eq!(ChunkedBody::of_response().advance(&endless), Err(ChunkError("the trailer is too long")));
    }
}
