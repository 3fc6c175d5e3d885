//! `nanoclaw openclaw`: install OpenClaw, and take over its configuration.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::say;

use crate::cli::OpenClaw;
use crate::openclaw::import::{self, Surroundings};
use crate::openclaw::install::Installation;
use crate::output::{FAILED, Failure};

/// Installs, or imports.
pub fn main(state_dir: Option<&Path>, arguments: &OpenClaw) -> Result<ExitCode, Failure> {
    match arguments {
        OpenClaw::Install { directory } => {
            let state = super::state(state_dir)?;
            let own = state.directory().join("openclaw");
            Installation::new(directory.as_deref().unwrap_or(&own), state.directory())?.make()?;
            if directory.is_some() {
                say("agents of kind `openclaw` find it with `openclaw: DIR` in the configuration");
            }
        }
        OpenClaw::Import { file, output } => {
            let imported = import::file(file, &Surroundings::of_this_user())?;
            // The list first: it is wanted also where nothing can be written.
            let _nobody_reads = write!(io::stderr(), "{}", imported.report).is_err();
            let text = imported.configuration?;
            write(&text, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to a file that is not there yet, or to standard output.
fn write(text: &str, output: &Path) -> Result<(), Failure> {
    if output == Path::new("-") {
        io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    let failed = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("`{}` is there already; name another file with `--output`, or move it away", output.display())
            }
            _ => format!("`{}`: {error}", output.display()),
        };
        Failure::with_status(message, FAILED)
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(output).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    say(format_args!(
        "wrote `{0}`; `nanoclaw config check {0}` checks it, `nanoclaw up -c {0}` runs it",
        output.display()
    ));
    Ok(())
}
