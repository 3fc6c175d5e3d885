//! `nanoclaw firewall explain`: what the firewall knows, and what it makes of a text, in words.

mod known;
mod text;

use std::path::Path;
use std::process::ExitCode;

use super::{MAX_TEXT, failed};
use crate::output::Failure;

/// The name under which a text is read from standard input.
const STANDARD_INPUT: &str = "-";

/// Says what is asked for; without a name, everything.
pub(super) fn main(config: Option<&Path>, names: &[String]) -> Result<ExitCode, Failure> {
    let firewall = super::firewall(config)?;
    if names.is_empty() {
        known::all(&firewall);
    }
    for name in names {
        if name == STANDARD_INPUT {
            let bytes = super::read(Path::new(STANDARD_INPUT), MAX_TEXT)?;
            text::explain(&firewall, &String::from_utf8_lossy(&bytes));
        } else if !known::one(&firewall, name) {
            let help = "`nanoclaw firewall explain` lists all of them";
            return Err(failed(format_args!(
                "`{}` is no rule, kind of data, filter, intent, channel or level; {help}",
                crate::terminal::visible(name)
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}
