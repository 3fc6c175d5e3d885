//! Where questions wait for people.

use nanoclaw_audit::{AuditError, Recorder};
use nanoclaw_policy::{Asked, Engine, Verdict};

/// The questions of a fleet that wait for people. Clones are the same desk.
#[derive(Clone, Debug, Default)]
pub struct Desk;

impl Desk {
    /// Waits for people's answer.
    ///
    /// # Errors
    /// Question or answer cannot be recorded.
    pub async fn settle(&self, _engine: &Engine, _recorder: &Recorder, asked: Asked) -> Result<Verdict, AuditError> {
        Ok(asked.refuse("nobody is there to answer"))
    }
}
