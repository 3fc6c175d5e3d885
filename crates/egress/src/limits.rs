//! The numbers that bound what one cell can make the door do.

use std::time::Duration;

/// Bounds of one door. `docs/LIMITS.md` says what happens at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections at once. Further ones are reset and recorded.
    pub connections: usize,
    /// Names that the stub DNS has synthetic addresses for, besides those of services. Further ones are answered REFUSED.
    pub names: usize,
    /// Addresses of one name that are dialled, in the order of the resolver.
    pub addresses: usize,
    /// Transfers at once that bypass user space, at two file descriptors each. Further ones are copied.
    pub pipes: usize,
    /// From the connection to the client's first bytes, complete enough to tell what they are.
    pub first_bytes: Duration,
    /// From the connection to the first bytes, where they only decide in which protocol a refusal is told.
    pub refusal_bytes: Duration,
    /// From the first byte of a request head to its last.
    pub head: Duration,
    /// From one HTTP request to the next on a connection.
    pub keep_alive: Duration,
    /// One name lookup.
    pub resolve: Duration,
    /// One connection attempt to one address.
    pub dial: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// From an in-band refusal to the reset, for the client to read it.
    pub farewell: Duration,
    /// Bytes of a request body that is held until it is known that it may leave, where something may not. Longer ones are
    /// refused then.
    pub held_body: usize,
    /// From the end of the cell to the end of the door, for what the cell has sent to be passed on.
    pub leave: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            names: 4096,
            addresses: 8,
            pipes: 32,
            first_bytes: Duration::from_secs(5),
            refusal_bytes: Duration::from_secs(1),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            resolve: Duration::from_secs(5),
            dial: Duration::from_secs(10),
            idle: Duration::from_secs(15 * 60),
            farewell: Duration::from_secs(1),
            held_body: 1024 * 1024,
            leave: Duration::from_secs(5),
        }
    }
}
