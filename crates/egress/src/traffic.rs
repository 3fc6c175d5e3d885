//! Counting: what a door has let through, and when something last moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// What has gone through a door since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// TCP connections that the cell opened.
    pub connections: u64,
    /// Things that were refused: connections, requests and lookups.
    pub refused: u64,
    /// Bytes from the outside to the cell.
    pub bytes_in: u64,
    /// Bytes from the cell to the outside.
    pub bytes_out: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    connections: AtomicU64,
    refused: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Meter {
    pub(crate) fn connection(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            connections: self.connections.load(Relaxed),
            refused: self.refused.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the cell.
    Out,
    /// To the cell.
    In,
}

/// The bytes of one connection to the outside.
#[derive(Debug)]
pub(crate) struct Traffic {
    meter: Arc<Meter>,
    sent: AtomicU64,
    received: AtomicU64,
    begun: Instant,
    /// Milliseconds from `begun` to the last byte.
    last: AtomicU64,
}

impl Traffic {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        let (sent, received, last) = Default::default();
        Self { meter, sent, received, begun: Instant::now(), last }
    }

    pub(crate) fn moved(&self, direction: Direction, bytes: usize) {
        let bytes = bytes as u64;
        let (own, all) = match direction {
            Direction::Out => (&self.sent, &self.meter.bytes_out),
            Direction::In => (&self.received, &self.meter.bytes_in),
        };
        own.fetch_add(bytes, Relaxed);
        all.fetch_add(bytes, Relaxed);
        self.touch();
    }

    /// Something happened just now.
    pub(crate) fn touch(&self) {
        self.last.store(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Bytes sent to the outside so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Bytes received from the outside so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Ends when nothing has moved for `limit`.
    pub(crate) async fn idle(&self, limit: Duration) {
        loop {
            let end = self.begun + Duration::from_millis(self.last.load(Relaxed)) + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}
