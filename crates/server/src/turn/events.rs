//! Events on their way from an agent to whoever waits for them.

use std::sync::{Arc, OnceLock};

use nanoclaw_agent::protocol::{Event, LONGEST_SESSION_NAME};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::TurnError;

/// Events that wait for somebody who reads slowly; then the agent waits.
const WAITING: usize = 64;
/// The same, in bytes. A longer event waits alone.
const WAITING_BYTES: u32 = 5 * 1024 * 1024;

/// Where events go. When the other end is dropped, the turn is interrupted.
pub(crate) struct Events {
    sender: mpsc::Sender<(Event, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    session: OnceLock<String>,
}

/// Where they come out.
pub(crate) struct Heard(mpsc::Receiver<(Event, OwnedSemaphorePermit)>);

/// A channel for events.
pub(crate) fn events() -> (Events, Heard) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let room = Arc::new(Semaphore::new(WAITING_BYTES as usize));
    (Events { sender, room, session: OnceLock::new() }, Heard(receiver))
}

impl Events {
    /// Passes an event on that takes about so many bytes.
    pub(super) async fn tell(&self, event: Event, bytes: usize) -> Result<(), TurnError> {
        if let Event::Session { id, .. } = &event
            && is_plain(id)
        {
            let _the_first_counts = self.session.set(id.clone()).is_err();
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| TurnError::Left)?;
        self.sender.send((event, room)).await.map_err(|_| TurnError::Left)
    }

    /// Waits until nobody hears them any more.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// The session that the agent named, where that is a name.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.get().map(String::as_str)
    }
}

impl Heard {
    /// The next one; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.0.recv().await.map(|(event, _room)| event)
    }
}

/// Whether it can stand in a command that a person is told to type.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_SESSION_NAME).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Event {
        Event::Text { text: String::new() }
    }

    /// How many events of so many bytes are taken while nobody reads them.
    async fn taken(bytes: usize) -> usize {
        let (events, heard) = events();
        let mut taken = 0;
        loop {
            tokio::select! {
                biased;
                told = events.tell(text(), bytes) => told.unwrap(),
                () = std::future::ready(()) => break,
            }
            taken += 1;
        }
        drop(heard);
        assert!(matches!(events.tell(text(), bytes).await, Err(TurnError::Left)));
        taken
    }

    #[tokio::test]
    async fn events_that_nobody_reads_are_bounded_in_number_and_bytes() {
        assert_eq!(taken(10).await, WAITING);
        assert_eq!(taken(1024 * 1024).await, 5);
        assert_eq!(taken(usize::MAX).await, 1);
    }

    #[tokio::test]
    async fn only_a_plain_name_of_a_session_is_repeated() {
        for (id, known) in [("20260101-a.b_c", true), ("a'; rm -rf /", false), ("--json", false), ("", false)] {
            let (events, _heard) = events();
            events.tell(Event::Session { id: id.into(), title: String::new(), new: true }, 0).await.unwrap();
            assert_eq!(events.session().is_some(), known, "{id}");
        }
    }
}
