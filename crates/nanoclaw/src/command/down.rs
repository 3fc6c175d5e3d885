//! `nanoclaw down`: end the fleet.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::output::{FAILED, Failure};

/// Longest wait for the end of the fleet, in seconds.
const LONGEST_WAIT: i64 = 300;

/// Asks for it, and waits until the control plane has ended; every agent gets its grace period.
pub fn main(state_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let Reply::Ending { process } = Client::connect(&super::fleet(state_dir)?)?.ask(&Request::Down, &[])? else {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    };
    let time = Timespec { tv_sec: LONGEST_WAIT, tv_nsec: 0 };
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    if rustix::io::retry_on_intr(|| poll(&mut ended, Some(&time)))? == 0 {
        let message = format!(
            "the fleet is ending, but has not ended within {LONGEST_WAIT} s; `nanoclaw ps` shows which agent still uses its `stop_grace`"
        );
        return Err(Failure::with_status(message, FAILED));
    }
    Ok(ExitCode::SUCCESS)
}
