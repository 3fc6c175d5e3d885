//! Waiting for descriptors of our own kinds in the runtime.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers an owned descriptor with the runtime.
#[expect(
    deprecated,
    reason = "the safe constructor is deprecated for types that lend a foreign descriptor; every type here owns the one it lends, as AsFd says"
)]
pub(crate) fn watch<T: AsFd + AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, Interest::READABLE)
}
