//! `nanoclaw audit witness` and `nanoclaw audit cosign`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nanoclaw_server::say;
use nanoclaw_tlog::verify::Trust;
use tokio::net::TcpListener;

use crate::cli::{Cosign, Witness};
use crate::output::{self, FAILED, Failure};

/// Serves until it is ended.
pub fn serve(arguments: &Witness) -> Result<ExitCode, Failure> {
    let logs = Trust::read(&arguments.logs, &[], &[])?.log;
    let witness = Arc::new(nanoclaw_witness::Witness::open(&arguments.directory, &arguments.name, logs)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
            Failure::with_status(format!("`--listen {}`: {error}; choose another address", arguments.listen), FAILED)
        })?;
        let keys = witness.public_keys();
        say(format_args!(
            "witness {} on http://{}, its keys in `{}`",
            witness.name(),
            listener.local_addr()?,
            keys.display()
        ));
        nanoclaw_witness::serve(listener, witness, |message| say(message)).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Ends with an error where the witness does not vouch; with `--every` only where it says that the log was changed.
pub fn cosign(state_dir: Option<&Path>, arguments: &Cosign) -> Result<ExitCode, Failure> {
    use nanoclaw_witness::AskError;
    let directory = super::super::fleet(state_dir)?.audit();
    let keys = Trust::read(&[], std::slice::from_ref(&arguments.key), &[])?.witnesses;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut old = 0;
    loop {
        let asked = nanoclaw_witness::cosign(&directory, &arguments.witness, arguments.ca.as_deref(), &keys, old);
        match (runtime.block_on(asked), arguments.every) {
            (Ok(size), None) => {
                output::line(format_args!("the witness vouches for the first {size} records"));
                return Ok(ExitCode::SUCCESS);
            }
            (Ok(size), Some(_)) => old = size,
            (Err(error @ (AskError::Unreachable { .. } | AskError::Snapshot(_))), Some(_)) => output::notice(error),
            (Err(error), _) => return Err(error.into()),
        }
        std::thread::sleep(arguments.every.unwrap_or_default());
    }
}
