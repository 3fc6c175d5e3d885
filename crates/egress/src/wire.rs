//! A TCP connection and what has been read from it too early.

use std::io;
use std::os::fd::AsFd as _;

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How much one read asks for.
const READ: usize = 16 * 1024;

/// One end of a connection. Bytes are read ahead to be inspected, and stay in front of the rest.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) ahead: Vec<u8>,
}

/// The reading half, apart from the stream to write to.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) ahead: &'a mut Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // Only a matter of latency; a connection that refuses the option still works.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// Both halves.
    pub(crate) fn split(&mut self) -> (Reader<'_>, &TcpStream) {
        (Reader { stream: &self.stream, ahead: &mut self.ahead }, &self.stream)
    }

    pub(crate) fn reader(&mut self) -> Reader<'_> {
        Reader { stream: &self.stream, ahead: &mut self.ahead }
    }
}

impl Reader<'_> {
    /// Appends what has arrived to `ahead`; 0 at the end of the stream.
    pub(crate) async fn read_more(&mut self) -> io::Result<usize> {
        let before = self.ahead.len();
        loop {
            self.stream.readable().await?;
            self.ahead.resize(before + READ, 0);
            let space = self.ahead.get_mut(before..).unwrap_or_default();
            let result = self.stream.try_read(space);
            self.ahead.truncate(before + *result.as_ref().unwrap_or(&0));
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Drops the first `count` bytes of `ahead`.
    pub(crate) fn consume(&mut self, count: usize) {
        self.ahead.drain(..count.min(self.ahead.len()));
    }
}

/// Writes all of `bytes`.
pub(crate) async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells the far end that nothing follows. A peer that is gone already need not be told.
pub(crate) fn finish_writing(stream: &TcpStream) {
    let _ = rustix::net::shutdown(stream, Shutdown::Write);
}

/// Ends when the far end has ended its side or broken the connection, however much of what it sent is still to be read. Where
/// that cannot be seen, never.
pub(crate) async fn left(stream: &TcpStream) {
    // A registration of its own: readiness of the stream itself tells nothing while something is to be read.
    let watched = stream.as_fd().try_clone_to_owned().map(std::net::TcpStream::from).and_then(TcpStream::from_std);
    if let Ok(watched) = watched {
        while let Ok(seen) = watched.ready(Interest::READABLE).await {
            if seen.is_read_closed() {
                return;
            }
            // Nothing is read: this only waits for the next news.
            let _ = watched.try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
    }
    std::future::pending().await
}
