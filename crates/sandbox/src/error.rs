//! Why a cell does not start.

use serde::{Deserialize, Serialize};

/// A step of building a cell that failed. It crosses process borders, so it holds no `io::Error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {cause}{}{help}", if .help.is_empty() { "" } else { "; " })]
pub struct StepError {
    /// What was being done, such as "mount /proc".
    pub step: String,
    /// What the kernel or a check said.
    pub cause: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl StepError {
    /// An error with advice.
    pub fn new(step: impl Into<String>, cause: impl ToString, help: impl Into<String>) -> Self {
        Self { step: step.into(), cause: cause.to_string(), help: help.into() }
    }
}

/// Names the step that an error happened in.
pub(crate) trait Step<T> {
    /// With the step's name.
    fn step(self, step: impl Into<String>) -> Result<T, StepError>;
    /// With the step's name and what to do.
    fn step_help(self, step: impl Into<String>, help: &str) -> Result<T, StepError>;
}

impl<T, E: ToString> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, StepError> {
        self.step_help(step, "")
    }

    fn step_help(self, step: impl Into<String>, help: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::new(step, error.to_string(), help))
    }
}
