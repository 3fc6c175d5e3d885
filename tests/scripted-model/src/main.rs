//! The scripted model server, a mock, on 127.0.0.1. See the library for what it does.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use nanoclaw_scripted_model::{Options, serve};
use tokio::net::TcpListener;

/// A mock of model providers on 127.0.0.1. The first line of its output is its port.
#[derive(Parser)]
struct Arguments {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File to append one JSON line for each request to.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Answer 401 to requests without this key.
    #[arg(long)]
    require_key: Option<String>,
    /// End after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let log = match &arguments.log {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port))).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let serving = serve(listener, Options { require_key: arguments.require_key, log });
    match arguments.seconds {
        Some(seconds) => tokio::time::timeout(Duration::from_secs(seconds), serving).await.unwrap_or(Ok(())),
        None => serving.await,
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scripted model: {error}");
            ExitCode::FAILURE
        }
    }
}
