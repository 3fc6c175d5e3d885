//! What is asked of a cell, before anything is known about the host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use nanoclaw_config::{Limits, Mount, Rootfs, SandboxMode};
use nanoclaw_request::CellId;

/// One cell to start.
#[derive(Clone, Debug)]
pub struct CellSpec {
    /// Its name; also its host name.
    pub id: CellId,
    /// How strict.
    pub mode: SandboxMode,
    /// Program and arguments, at least one element.
    pub command: Vec<String>,
    /// What it sees as `/`.
    pub rootfs: Rootfs,
    /// What it sees besides.
    pub mounts: Vec<Mount>,
    /// Environment on top of the default one.
    pub env: BTreeMap<String, String>,
    /// Directory to start in; `None` means `/workspace` where mounted, else `/tmp`.
    pub workdir: Option<PathBuf>,
    /// Limits that were asked for; what is `None` takes the built-in default.
    pub limits: Limits,
    /// Services on the host's loopback that the cell may reach.
    pub host_services: Vec<SocketAddr>,
    /// A terminal of this size for the command, instead of the standard descriptors that are handed over.
    pub terminal: Option<TerminalSize>,
    /// What NanoClaw itself puts into it.
    pub fittings: Fittings,
}

/// What NanoClaw puts into a cell for its own agents, besides what was asked for.
#[derive(Clone, Debug, Default)]
pub struct Fittings {
    /// Read-only files and their text.
    pub files: BTreeMap<PathBuf, String>,
    /// Places of NanoClaw's own state. They are not checked against the deny list, which keeps that state from cells.
    pub places: Vec<Mount>,
}

/// Rows and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}
