//! Speaking to NanoClaw's own agent: one connection for an order, JSON lines both ways.

use std::time::Duration;

use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_agent::settings::PORT;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::{Events, Target, TurnError, events};

/// Longest event in bytes: one of a transcript can hold the longest order.
const LONGEST_EVENT: u64 = 5 * 1024 * 1024;
/// Longest time until the agent has taken its order.
const LONGEST_ORDERING: Duration = Duration::from_secs(30);

/// Whether it answers. It is asked for a session that there cannot be, which costs it next to nothing.
pub(super) async fn is_ready(target: &Target) -> bool {
    let (events, _heard) = events();
    carry_out(target, &Order::Transcript { session: String::new() }, &events).await.is_ok()
}

pub(super) async fn carry_out(target: &Target, order: &Order, events: &Events) -> Result<Event, TurnError> {
    speak(target.steering.dial(PORT).await?, order, events).await
}

/// Gives the last event, which is not told yet.
async fn speak(stream: impl AsyncRead + AsyncWrite, order: &Order, events: &Events) -> Result<Event, TurnError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut line = serde_json::to_vec(order).map_err(|error| TurnError::Answer(error.to_string()))?;
    line.push(b'\n');
    tokio::select! {
        written = timeout(LONGEST_ORDERING, writer.write_all(&line)) => written
            .map_err(|_| TurnError::Answer(format!("it has not taken the order within {LONGEST_ORDERING:?}")))??,
        () = events.closed() => return Err(TurnError::Left),
    }
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut reader).take(LONGEST_EVENT);
        tokio::select! {
            read = bounded.read_until(b'\n', &mut line) => { read?; }
            // The connection closes with this, which interrupts the agent.
            () = events.closed() => return Err(TurnError::Left),
        }
        if line.last() != Some(&b'\n') {
            return Err(if line.len() as u64 == LONGEST_EVENT {
                TurnError::Answer(format!("an event is longer than {LONGEST_EVENT} bytes"))
            } else {
                TurnError::BrokenOff("it ended before the turn did".to_owned())
            });
        }
        let event: Event = serde_json::from_slice(&line).map_err(|error| TurnError::Answer(error.to_string()))?;
        if !answers(&event, order) {
            return Err(TurnError::Answer("an event is no answer to what it was asked for".to_owned()));
        }
        if event.is_last() {
            return Ok(event);
        }
        events.tell(event, line.len()).await?;
    }
}

/// Whether an event can be part of the answer to an order.
fn answers(event: &Event, order: &Order) -> bool {
    match (event, order) {
        (Event::Failed { .. }, _) => true,
        (Event::End, _) => !matches!(order, Order::Turn { .. }),
        (Event::Listed { .. }, _) => *order == Order::Sessions,
        (Event::Entry { .. }, _) => matches!(order, Order::Transcript { .. }),
        (_, Order::Turn { .. }) => true,
        (_, Order::Sessions | Order::Transcript { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(prompt: &str) -> Order {
        Order::Turn { session: None, prompt: prompt.to_owned(), untrusted: None, schema: None }
    }

    /// What comes of an agent that takes the order and answers so.
    async fn answered(order: Order, answer: &[u8]) -> Result<Event, TurnError> {
        let (ours, theirs) = tokio::io::duplex(1024);
        let (events, mut heard) = events();
        let agent = async {
            let (reader, mut writer) = tokio::io::split(theirs);
            let mut line = String::new();
            BufReader::new(reader).read_line(&mut line).await.unwrap();
            let _left = writer.write_all(answer).await.is_err();
        };
        let hear = async { while heard.next().await.is_some() {} };
        let speak = async {
            let last = speak(ours, &order, &events).await;
            drop(events);
            last
        };
        tokio::join!(speak, agent, hear).0
    }

    fn wrong(answered: Result<Event, TurnError>) -> String {
        answered.expect_err("an error").to_string()
    }

    #[tokio::test]
    async fn an_event_over_the_limit_ends_the_turn() {
        let long = vec![b'a'; LONGEST_EVENT as usize + 1];
        assert!(wrong(answered(turn("p"), &long).await).contains("an event is longer than 5242880 bytes"));
    }

    #[tokio::test]
    async fn a_turn_that_breaks_off_has_failed() {
        let text = b"{\"event\":\"text\",\"text\":\"half\"}\n";
        assert!(matches!(answered(turn("p"), text).await, Err(TurnError::BrokenOff(_))));
        assert!(matches!(answered(turn("p"), b"{\"event\":\"do").await, Err(TurnError::BrokenOff(_))));
    }

    #[tokio::test]
    async fn only_what_answers_an_order_ends_it() {
        let done = b"{\"event\":\"done\",\"stop\":\"answered\",\"text\":\"t\"}\n";
        let listed =
            b"{\"event\":\"listed\",\"id\":\"a\",\"title\":\"b\",\"updated\":1,\"entries\":1}\n{\"event\":\"end\"}\n";
        let transcript = || Order::Transcript { session: "s".to_owned() };
        assert!(matches!(answered(turn("p"), done).await, Ok(Event::Done { .. })));
        assert!(matches!(answered(Order::Sessions, listed).await, Ok(Event::End)));
        assert!(matches!(answered(transcript(), b"{\"event\":\"end\"}\n").await, Ok(Event::End)));
        for (order, answer) in [
            (turn("p"), &b"{\"event\":\"end\"}\n"[..]),
            (turn("p"), listed),
            (Order::Sessions, done),
            (transcript(), listed),
        ] {
            assert!(wrong(answered(order, answer).await).contains("no answer to what it was asked for"));
        }
    }

    #[tokio::test]
    async fn a_turn_of_an_agent_that_does_not_read_ends_when_whoever_asked_leaves() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (events, heard) = events();
        let order = turn(&"p".repeat(1000));
        let speak = speak(ours, &order, &events);
        tokio::pin!(speak);
        tokio::select! {
            biased;
            _ = &mut speak => panic!("it cannot have taken the order"),
            () = tokio::task::yield_now() => {}
        }
        drop(heard);
        assert!(matches!(speak.await, Err(TurnError::Left)));
    }
}
