//! Speaking to NanoClaw's own agent: one connection for an order, JSON lines both ways.

use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_agent::settings::PORT;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::{Events, Target, TurnError, tell};

/// Longest event in bytes.
const LONGEST_EVENT: u64 = 16 * 1024 * 1024;

pub(super) async fn carry_out(target: &Target, order: &Order, events: &Events) -> Result<(), TurnError> {
    let stream = target.steering.dial(PORT).await?;
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(order).map_err(|error| TurnError::Answer(error.to_string()))?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LONGEST_EVENT);
        tokio::select! {
            read = bounded.read_until(b'\n', &mut line) => { read?; }
            // The connection closes with this, which interrupts the agent.
            () = events.closed() => return Ok(()),
        }
        if line.last() != Some(&b'\n') {
            let what = if line.is_empty() { "it ended before the turn did" } else { "a line is too long or cut off" };
            return Err(TurnError::Answer(what.to_owned()));
        }
        let event: Event = serde_json::from_slice(&line).map_err(|error| TurnError::Answer(error.to_string()))?;
        let last = event.is_last();
        if tell(events, event).await.is_err() || last {
            return Ok(());
        }
    }
}
