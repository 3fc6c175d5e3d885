//! The door's parsers: bytes from a cell in, facts out. No I/O and no decisions.
//!
//! Each reads one canonical form and calls everything else malformed, because a text that two parsers read
//! differently is how filters are passed. They are public so that the fuzz targets can reach them.

pub mod chunked;
pub mod dns;
pub mod head;
pub mod tls;

mod cursor;
