//! The record of everything that was asked for, and the only way from a decision to an act.
//!
//! [`Recorder::record`] takes a verdict of `policy` and writes it down. Only then, and only for what was allowed, does
//! it hand out a [`Warrant`], which a door spends to act, once. The record of a consequential action
//! ([`Action::is_consequential`](nanoclaw_request::Action::is_consequential)) is on disk before its warrant exists; the
//! rest is queued in order and reaches the disk with the next batch. When a record cannot be written, no further
//! warrant is made: the doors close.
//!
//! One thread per recorder does group commit: whatever was queued while the disk was busy shares the next write and
//! `fdatasync`. Several processes may append to one log; a file lock held for each batch keeps the sequence numbers
//! gapless. A flood of like refusals is folded into counted records, so that a cell cannot fill the disk with them.
//!
//! A warrant is made nowhere else:
//! ```compile_fail,E0451
//! fn forge(permit: nanoclaw_policy::Permit) -> nanoclaw_audit::Warrant {
//!     nanoclaw_audit::Warrant { permit, seq: Default::default() }
//! }
//! ```
//! it cannot be copied, nor spent twice:
//! ```compile_fail,E0599
//! fn twice(warrant: nanoclaw_audit::Warrant) -> [nanoclaw_audit::Warrant; 2] {
//!     [warrant.clone(), warrant]
//! }
//! ```
//! ```compile_fail,E0382
//! fn twice(warrant: nanoclaw_audit::Warrant) {
//!     warrant.spend();
//!     warrant.spend();
//! }
//! ```
//! and the permit that it comes from is made only by `policy`:
//! ```compile_fail,E0451
//! fn forge(proposal: nanoclaw_identity::Proposal) -> nanoclaw_policy::Permit {
//!     nanoclaw_policy::Permit { proposal, rules: Vec::new() }
//! }
//! ```
#![forbid(unsafe_code)]

mod blocking;
mod error;
mod export;
mod files;
mod flood;
mod log;
mod model_use;
mod note;
mod query;
mod queue;
mod read;
mod record;
mod recorder;
mod recovery;
mod render;
mod text;
mod tree;
mod warrant;

pub use error::AuditError;
pub use export::{CSV_HEADER, Report, csv, ocsf};
pub use flood::{Counters, FirstRefusal, Flood, RefusalCount};
pub use model_use::{ModelUse, Screened};
pub use note::{Exit, Fact, IdentityChange, LimitKind, Note, Outcome};
pub use query::{Query, search};
pub use read::{Filter, ReadError, Reader};
pub use record::{ResultKind, Severity, UnknownResult};
pub use recorder::{Options, Recorded, Recorder};
pub use render::render;
pub use text::{shown, shown_json};
pub use tree::{KeyError, TreeError, TreeOptions, add_cosignatures, seeds};
pub use warrant::{Ticket, Warrant};
