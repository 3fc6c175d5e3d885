//! Server-sent events (HTML standard), as the API sends them: an id, and data on one line.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::error::RemoteError;

/// Longest event in bytes.
const LONGEST_EVENT: usize = 32 * 1024 * 1024;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The number to go on behind.
    pub id: Option<u64>,
    /// What it says.
    pub data: String,
}

/// Events as they come.
pub struct Stream {
    body: Incoming,
    server: String,
    come: Vec<u8>,
    /// Up to here there is no end of an event.
    looked: usize,
}

impl Stream {
    pub(super) fn of(body: Incoming, server: String) -> Self {
        Self { body, server, come: Vec::new(), looked: 0 }
    }

    /// The next one; `None` at the end. Where it is dropped before it is done, nothing is lost.
    ///
    /// # Errors
    /// The connection broke, or what comes is no event.
    pub async fn next(&mut self) -> Result<Option<Told>, RemoteError> {
        loop {
            while let Some(text) = taken(&mut self.come, &mut self.looked) {
                if let Some(told) = read(&text) {
                    return Ok(Some(told));
                }
            }
            if self.come.len() > LONGEST_EVENT {
                let why = format!("an event is longer than {LONGEST_EVENT} bytes");
                return Err(RemoteError::Unreadable { server: self.server.clone(), why });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.come.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(RemoteError::broken(&self.server, &error)),
            }
        }
    }
}

/// The first whole event of what has come.
fn taken(come: &mut Vec<u8>, looked: &mut usize) -> Option<String> {
    let from = looked.saturating_sub(1);
    let end = come.get(from..)?.windows(2).position(|two| two == b"\n\n").map(|at| from + at);
    let Some(end) = end else {
        *looked = come.len();
        return None;
    };
    *looked = 0;
    let rest = come.split_off(end + 2);
    let event = std::mem::replace(come, rest);
    Some(String::from_utf8_lossy(&event).into_owned())
}

/// What an event says; `None` where it is only there to keep the connection.
fn read(text: &str) -> Option<Told> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.strip_prefix(' ').unwrap_or(value))
    };
    Some(Told { data: field("data")?.to_owned(), id: field("id").and_then(|id| id.parse().ok()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_come_in_pieces_are_put_together() {
        let sent = "id: 7\ndata: {\"a\":\"é\"}\n\n: nothing new\n\ndata: {}\n\n";
        let (mut come, mut looked, mut all) = (Vec::new(), 0, Vec::new());
        for byte in sent.bytes() {
            come.push(byte);
            while let Some(text) = taken(&mut come, &mut looked) {
                all.extend(read(&text));
            }
        }
        assert_eq!(all, [Told { id: Some(7), data: "{\"a\":\"é\"}".into() }, Told { id: None, data: "{}".into() }]);
        assert!(come.is_empty());
    }
}
