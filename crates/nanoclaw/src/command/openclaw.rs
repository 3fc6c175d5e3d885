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
            if output != Path::new("-") && output.symlink_metadata().is_ok() {
                return Err(is_there(output));
            }
            let imported = import::file(file, &Surroundings::of_this_user())?;
            // The list first: it is wanted also where nothing can be written.
            let _nobody_reads = write!(io::stderr(), "{}", imported.report).is_err();
            let text = imported.configuration?;
            write(&text, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_there(output: &Path) -> Failure {
    let output = output.display();
    let message = format!("`{output}` is there already; name another file with `--output`, or move it away");
    Failure::with_status(message, FAILED)
}

/// Writes to a file that is not there yet, or to standard output.
fn write(text: &str, output: &Path) -> Result<(), Failure> {
    if output == Path::new("-") {
        io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(output),
        _ => Failure::with_status(format!("`{}`: {error}", output.display()), FAILED),
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(output).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    say(format_args!(
        "wrote `{0}`; `nanoclaw config check {0}` checks it, `nanoclaw up -c {0}` runs it",
        output.display()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_told_of_before_anything_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.yaml");
        std::fs::write(&output, "mine").unwrap();
        let import = |output: &Path| {
            let file = directory.path().join("no-such-file");
            main(None, &OpenClaw::Import { file, output: output.to_path_buf() }).unwrap_err()
        };
        assert!(format!("{:?}", import(&output)).contains("is there already"));
        assert!(format!("{:?}", import(&directory.path().join("new.yaml"))).contains("no-such-file"));
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "mine");
    }
}
