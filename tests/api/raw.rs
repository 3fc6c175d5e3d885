//! Requests that no good client sends, and clients whom nobody invited.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use nanoclaw_identity::ca::Authority;

use crate::client::Client;
use crate::world::World;

/// Sends these bytes on a connection of its own, and gives what comes back until it is closed, which may be nothing.
pub fn exchange(client: &Client, bytes: &[u8]) -> String {
    let mut connection = client.connect();
    // The other side may hang up before it has read all, and end without a good-bye.
    let _ = connection.write_all(bytes);
    let _ = connection.flush();
    let mut came = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = connection.read(&mut piece) {
        came.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&came).into_owned()
}

/// The status of each answer that came back, in order.
pub fn statuses(came: &str) -> Vec<u16> {
    let lines = came.split("HTTP/1.1 ").skip(1);
    lines.map(|rest| rest.get(..3).and_then(|status| status.parse().ok()).expect("a status")).collect()
}

/// What somebody gets who asks who they are: the status, or nothing where there is no answer at all.
pub fn known(client: &Client) -> Option<u16> {
    let came = exchange(client, b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    statuses(&came).first().copied()
}

/// A copy of the server's authority, as somebody has it who stole its key. Kept as long as the directory is.
pub fn stolen_authority(world: &World) -> (Authority, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let copy: PathBuf = directory.path().join("ca");
    fs::create_dir(&copy).expect("a directory");
    for entry in fs::read_dir(world.host.path("state/ca")).expect("the authority") {
        let path = entry.expect("a file").path();
        fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("a copy");
    }
    (Authority::open(&copy, Timestamp::now()).expect("the authority"), directory)
}
