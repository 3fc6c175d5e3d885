//! The agent's port: orders in, events out. See [`crate::protocol`].

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::protocol::{Event, LONGEST_ORDER, LONGEST_SESSION_NAME, Order, is_session_name};
use crate::store::{SessionHead, StoreError};
use crate::turn::{Agent, Events, Task, Turn};

/// Most connections at once; further ones wait.
pub(crate) const MAX_CONNECTIONS: usize = 32;

/// Longest time until an order has come.
const LONGEST_ORDERING: Duration = Duration::from_secs(30);

/// Events that wait for the caller to read them; then the turn waits.
const EVENTS_WAITING: usize = 64;

/// Longest time until the caller has taken one event.
const LONGEST_TAKING: Duration = Duration::from_secs(60);

/// An agent that takes orders.
pub(crate) struct Server {
    agent: Agent,
    /// Sessions that a turn runs in.
    busy: RefCell<HashSet<String>>,
}

/// Says that a turn runs in a session, until it is dropped.
struct Busy<'a> {
    server: &'a Server,
    session: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.server.busy.borrow_mut().remove(&self.session);
    }
}

/// Takes orders until the process ends. Must run on a [`tokio::task::LocalSet`].
pub(crate) async fn serve(listener: TcpListener, agent: Agent) {
    let server = Rc::new(Server { agent, busy: RefCell::default() });
    let slots = std::sync::Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = std::sync::Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Rc::clone(&server);
                tokio::task::spawn_local(async move {
                    server.connection(stream).await;
                    drop(slot);
                });
            }
            // Out of descriptors, most likely: others must end first.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Server {
    async fn connection(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        let (sender, events) = mpsc::channel(EVENTS_WAITING);
        let work = self.work(BufReader::new(reader), Events::new(sender));
        let write = write(writer, events);
        tokio::pin!(work, write);
        tokio::select! {
            // Its end of the channel is closed now, so the writer ends when it has written what is left.
            () = &mut work => write.await,
            // Nobody takes events, so nobody waits for the work either.
            () = &mut write => {}
        }
    }

    async fn work(&self, mut reader: BufReader<OwnedReadHalf>, events: Events) {
        let order = match timeout(LONGEST_ORDERING, read_order(&mut reader)).await {
            Ok(Ok(Some(order))) => order,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => return events.tell(error).await,
        };
        tokio::select! {
            () = self.obey(order, &events) => {}
            // Whatever is under way is dropped, and so interrupted.
            () = until_closed(&mut reader) => {}
        }
    }

    async fn obey(&self, order: Order, events: &Events) {
        let end = match order {
            Order::Turn { session, prompt, untrusted, schema } => {
                self.turn(session, Task { prompt, untrusted, schema }, events).await
            }
            Order::Sessions => self.sessions(events).await.unwrap_or_else(|error| unstored(&error)),
            Order::Transcript { session } => {
                self.transcript(&session, events).await.unwrap_or_else(|error| unstored(&error))
            }
        };
        events.tell(end).await;
    }

    async fn turn(&self, session: Option<String>, task: Task, events: &Events) -> Event {
        let session = session.unwrap_or_else(new_name);
        if !is_session_name(&session) {
            return failed(
                format!("`{}` is no name of a session", session.chars().take(LONGEST_SESSION_NAME).collect::<String>()),
                format!("use at most {LONGEST_SESSION_NAME} letters, digits, `-`, `_` and `.`"),
            );
        }
        if !self.busy.borrow_mut().insert(session.clone()) {
            return failed(
                format!("a turn is under way in the session `{session}`"),
                "wait for it, interrupt it, or use another session".to_owned(),
            );
        }
        let busy = Busy { server: self, session };
        let session = busy.session.as_str();
        match self.open(session, &task.prompt) {
            Ok(event) => events.tell(event).await,
            Err(error) => return unstored(&error),
        }
        match Turn::run(&self.agent, events, session, task).await {
            Ok((stop, text)) => Event::Done { stop, text },
            Err(error) => failed(error.to_string(), error.help()),
        }
    }

    /// Begins the session if there is none.
    fn open(&self, session: &str, prompt: &str) -> Result<Event, StoreError> {
        let store = &self.agent.store;
        let (title, new) = match store.head(session)? {
            Some(head) => (head.title, false),
            None => (store.begin(session, prompt)?, true),
        };
        Ok(Event::Session { id: session.to_owned(), title, new })
    }

    async fn sessions(&self, events: &Events) -> Result<Event, StoreError> {
        for SessionHead { id, title, updated, entries } in self.agent.store.heads()? {
            events.tell(Event::Listed { id, title, updated, entries }).await;
        }
        Ok(Event::End)
    }

    async fn transcript(&self, session: &str, events: &Events) -> Result<Event, StoreError> {
        if self.agent.store.head(session)?.is_none() {
            return Ok(failed(
                format!("there is no session `{session}`"),
                "list the sessions to see which there are".to_owned(),
            ));
        }
        let mut after = 0;
        while let Some((seq, at, entry)) = self.agent.store.entry_after(session, after)? {
            events.tell(Event::Entry { at, entry }).await;
            after = seq;
        }
        Ok(Event::End)
    }
}

fn failed(error: String, help: String) -> Event {
    Event::Failed { error, help }
}

fn unstored(error: &StoreError) -> Event {
    failed(error.to_string(), "see whether the agent's /data can be written and has space left".to_owned())
}

/// A name that no session has: the time, and 32 random bits for those that begin at the same one.
pub fn new_name() -> String {
    let mut random = [0_u8; 4];
    // Without random bits a name could be taken, and the turn would go on in that session; the time alone makes that unlikely.
    let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    format!("{}-{:08x}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S"), u32::from_ne_bytes(random))
}

/// Reads the one line of an order; `None` if the caller went away instead.
async fn read_order(reader: &mut BufReader<OwnedReadHalf>) -> Result<Option<Order>, Event> {
    let mut line = Vec::new();
    // One byte more than there may be shows that the line is too long.
    let mut bounded = reader.take(LONGEST_ORDER as u64 + 1);
    if bounded.read_until(b'\n', &mut line).await.is_err() || !line.ends_with(b"\n") && line.len() <= LONGEST_ORDER {
        return Ok(None);
    }
    if line.len() > LONGEST_ORDER {
        return Err(failed(format!("the order is longer than {LONGEST_ORDER} bytes"), "send less".to_owned()));
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|error| failed(format!("the order cannot be read: {error}"), "see the protocol".to_owned()))
}

/// Waits until the caller closes its side. What it still sends means nothing.
async fn until_closed(reader: &mut BufReader<OwnedReadHalf>) {
    let mut buffer = [0; 256];
    while let Ok(1..) = reader.read(&mut buffer).await {}
}

/// Writes events until there are no more, or nobody takes them.
async fn write(mut writer: OwnedWriteHalf, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        // Every event can be written as JSON.
        let Ok(mut line) = serde_json::to_vec(&event) else { return };
        line.push(b'\n');
        match timeout(LONGEST_TAKING, writer.write_all(&line)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests;
