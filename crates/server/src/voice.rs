//! What is said to whoever started the control plane.

use std::fmt::Display;
use std::io::Write;

/// One line on standard error. Where nobody reads it any more, the work goes on all the same.
pub fn say(text: impl Display) {
    let _nobody_reads = writeln!(std::io::stderr(), "nanoclaw: {text}").is_err();
}
