//! Moving bytes between a cell and the outside once that is allowed.
//!
//! A transfer begins as copies through a small buffer. One that turns out to be long goes on through a pipe with
//! splice(2), which moves pages instead of copying them; `SPLICE_F_MORE` stays off because it delays small writes
//! by 200 ms.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nanoclaw_request::Refusal;
use rustix::pipe::{PipeFlags, SpliceFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::Inner;
use crate::standing::Standing;
use crate::traffic::{Direction, Traffic};
use crate::wire::{Reader, Wire, finish_writing, write_all};

const SMALL_BUFFER: usize = 16 * 1024;
const LARGE_BUFFER: usize = 64 * 1024;
const PIPE: usize = 1024 * 1024;

/// From how many bytes on a transfer is long.
const LONG: u64 = 1024 * 1024;

/// Why bytes no longer move.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The side that they come from.
    Reading(io::Error),
    /// The side that they go to.
    Writing(io::Error),
    /// They are not allowed to any more.
    Lost(Refusal),
}

/// One direction of a connection.
pub(crate) struct Flow<'a> {
    pub(crate) from: Reader<'a>,
    pub(crate) to: &'a TcpStream,
    pub(crate) direction: Direction,
    pub(crate) traffic: &'a Traffic,
    pub(crate) standing: &'a Standing,
    pub(crate) pipes: &'a Arc<Semaphore>,
}

impl Flow<'_> {
    /// Moves `limit` bytes, and fewer only where the stream ends. Gives the number moved.
    pub(crate) async fn copy(&mut self, limit: u64) -> Result<u64, Broken> {
        let ahead = self.from.ahead.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        self.pass_ahead(ahead).await?;
        let mut moved = ahead as u64;
        let mut buffer = vec![0; SMALL_BUFFER];
        while moved < limit {
            if moved >= LONG
                && let Some(pipe) = Pipe::open(self.pipes)
            {
                return self.splice(&pipe, limit - moved).await.map(|spliced| moved + spliced);
            }
            let want = buffer.len().min(usize::try_from(limit - moved).unwrap_or(usize::MAX));
            let space = buffer.get_mut(..want).unwrap_or_default();
            let count = read(self.from.stream, space).await.map_err(Broken::Reading)?;
            if count == 0 {
                break;
            }
            self.write(buffer.get(..count).unwrap_or_default()).await?;
            moved += count as u64;
            if count == buffer.len() && count < LARGE_BUFFER {
                buffer.resize(LARGE_BUFFER, 0);
            }
        }
        Ok(moved)
    }

    /// Passes on the first `count` bytes of what was read ahead.
    pub(crate) async fn pass_ahead(&mut self, count: usize) -> Result<(), Broken> {
        self.write(self.from.ahead.get(..count).unwrap_or_default()).await?;
        self.from.consume(count);
        Ok(())
    }

    /// Writes all of `bytes`, if they still may go there.
    pub(crate) async fn write(&self, bytes: &[u8]) -> Result<(), Broken> {
        self.standing.check().map_err(Broken::Lost)?;
        write_all(self.to, bytes).await.map_err(Broken::Writing)?;
        self.traffic.moved(self.direction, bytes.len());
        Ok(())
    }

    async fn splice(&mut self, pipe: &Pipe, limit: u64) -> Result<u64, Broken> {
        let mut moved = 0;
        while moved < limit {
            let want = PIPE.min(usize::try_from(limit - moved).unwrap_or(usize::MAX));
            let taken = splice(self.from.stream, Interest::READABLE, || {
                rustix::pipe::splice(self.from.stream, None, &pipe.write, None, want, SpliceFlags::NONBLOCK)
            });
            let taken = taken.await.map_err(Broken::Reading)?;
            if taken == 0 {
                break;
            }
            let mut left = taken;
            while left > 0 {
                self.standing.check().map_err(Broken::Lost)?;
                let given = splice(self.to, Interest::WRITABLE, || {
                    rustix::pipe::splice(&pipe.read, None, self.to, None, left, SpliceFlags::NONBLOCK)
                });
                let given = given.await.map_err(Broken::Writing)?;
                self.traffic.moved(self.direction, given);
                left = left.saturating_sub(given);
            }
            moved += taken as u64;
        }
        Ok(moved)
    }
}

/// Where pages wait between two sockets.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    _permit: OwnedSemaphorePermit,
}

impl Pipe {
    /// `None` where there are too many already, or the system has no more: then bytes are copied.
    fn open(pipes: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(pipes).try_acquire_owned().ok()?;
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A pipe of the default size works as well, only slower.
        let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE);
        Some(Self { read, write, _permit: permit })
    }
}

async fn splice(
    stream: &TcpStream,
    interest: Interest,
    mut once: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    stream.async_io(interest, || Ok(once()?)).await
}

async fn read(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(space) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum Relayed {
    /// Both sides said all they had to say.
    Whole,
    /// The cell's side broke.
    ByCell,
    /// The outside broke.
    ByOutside(io::Error),
    /// Nothing moved for too long.
    Idle,
    /// It is not allowed any more.
    Lost(Refusal),
}

/// Moves bytes both ways until both sides have ended. One side ending first is passed on, and the other goes on. When
/// the cell has ended nobody reads an answer: then it is over once all that the cell sent is passed on.
pub(crate) async fn relay(
    door: &Inner,
    cell: &mut Wire,
    outside: &mut Wire,
    traffic: &Traffic,
    standing: &Standing,
) -> Relayed {
    let ((from_cell, to_cell), (from_outside, to_outside)) = (cell.split(), outside.split());
    let one_way = async |from, to, direction| {
        Flow { from, to, direction, traffic, standing, pipes: &door.pipes }.copy(u64::MAX).await?;
        finish_writing(to);
        Ok(())
    };
    let all_sent = Notify::new();
    let sending = async {
        one_way(from_cell, to_outside, Direction::Out).await.map_err(Relayed::of_sending)?;
        all_sent.notify_one();
        Ok(())
    };
    let receiving = async { one_way(from_outside, to_cell, Direction::In).await.map_err(Relayed::of_receiving) };
    let result = tokio::select! {
        both = async { tokio::try_join!(sending, receiving).map(|_| ()) } => both,
        () = traffic.idle(door.limits.idle) => Err(Relayed::Idle),
        why = standing.lost() => Err(Relayed::Lost(why)),
        () = async { door.gone().await; all_sent.notified().await } => Ok(()),
    };
    let Err(broken) = result else { return Relayed::Whole };
    // A broken connection is passed on as one: half an answer must not look whole.
    let _ = cell.stream.set_zero_linger();
    let _ = outside.stream.set_zero_linger();
    broken
}

impl Relayed {
    fn of_sending(broken: Broken) -> Self {
        match broken {
            Broken::Reading(_) => Relayed::ByCell,
            Broken::Writing(error) => Relayed::ByOutside(error),
            Broken::Lost(why) => Relayed::Lost(why),
        }
    }

    fn of_receiving(broken: Broken) -> Self {
        match broken {
            Broken::Reading(error) => Relayed::ByOutside(error),
            Broken::Writing(_) => Relayed::ByCell,
            Broken::Lost(why) => Relayed::Lost(why),
        }
    }
}
