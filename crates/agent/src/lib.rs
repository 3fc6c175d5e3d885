//! The built-in agent: what runs in a cell of kind `builtin`.
//!
//! It is a loop around a model: the model is asked, the tools that it calls are executed, their results go back, until it
//! is done. It runs as the cell's ordinary user with what the cell gives it and nothing else; the walls are the cell's,
//! the doors are the control plane's, and nothing here is trusted by either. What is bounded here is bounded so that an
//! agent stays small.
//!
//! - [`settings`]: what the control plane tells it, once, in a file;
//! - [`protocol`]: what it can be asked for, and what it tells;
//! - [`main`]: the process.
//!
//! One thread does everything. A turn (`turn`) asks the door (`door`), executes calls (`tools`) and stores each step
//! (`store`) before the next one.
#![forbid(unsafe_code)]

mod answer;
mod conversation;
mod door;
mod group;
mod log;
mod mcp;
mod plain;
mod prompt;
pub mod protocol;
mod reach;
mod refusal;
mod serve;
pub mod settings;
mod skills;
mod store;
#[cfg(test)]
mod testing;
mod text_calls;
mod tools;
mod turn;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::rc::Rc;

use tokio::net::TcpListener;
use tokio::task::LocalSet;

pub use prompt::prompt;
pub use serve::new_name;
use settings::{Settings, SettingsError};
pub use store::StoreError;

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no event loop.
    #[error("cannot start the event loop: {0}")]
    Runtime(io::Error),
    /// Its port is taken, most likely.
    #[error("cannot listen on port {port}: {cause}")]
    Listen {
        /// Which port.
        port: u16,
        /// What the system says.
        cause: io::Error,
    },
}

/// Runs the agent with the settings file `path` until the process is ended. Ending it at any moment is safe.
///
/// # Errors
/// It cannot start.
pub fn main(path: &Path) -> Result<(), StartError> {
    let settings = Settings::read(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    LocalSet::new().block_on(&runtime, async {
        let port = settings.port;
        let agent = agent(settings)?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|cause| StartError::Listen { port, cause })?;
        serve::serve(listener, agent).await;
        Ok(())
    })
}

/// Everything that turns need.
fn agent(settings: Settings) -> Result<turn::Agent, StoreError> {
    let store = Rc::new(store::Store::open(&settings.data)?);
    let tools = Rc::new(tools::Toolbox::new(&settings, Rc::clone(&store)));
    Ok(turn::Agent { door: door::Door::new(&settings), store, tools, settings })
}
