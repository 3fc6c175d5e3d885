//! The reader of `nanoclaw-config.yaml`: no text makes it panic, and what it says about one can be printed.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use nanoclaw_config::{Agent, AgentKind};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match nanoclaw_config::parse(text, Path::new("nanoclaw-config.yaml"), Path::new("/srv/fleet")) {
        Ok(loaded) => {
            let runs = |agent: &Agent| !matches!(&agent.kind, AgentKind::Command(command) if command.is_empty());
            assert!(loaded.config.agents.iter().all(runs));
        }
        Err(report) => {
            assert!(!report.mistakes().is_empty());
            assert!(report.to_string().chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
});
