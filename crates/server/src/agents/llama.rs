//! The cell of a model on this machine: llama-server with a GGUF file, without a network.

use std::path::Path;

use nanoclaw_config::{LlamaServer, Mount, MountMode, Rootfs, SandboxMode};
use nanoclaw_request::{CellId, IdError};
use nanoclaw_sandbox::{CellSpec, Fittings};

use crate::cell::Order;

/// The server's port in its cell.
pub(crate) const PORT: u16 = 8_080;
/// Where the GGUF file stands in the cell.
const MODEL: &str = "/opt/model.gguf";
/// Where the server and its libraries stand in the cell.
const PROGRAM: &str = "/opt/llama";
/// Memory for the program and its buffers besides the file and the context, in bytes.
const BESIDES: u64 = 1 << 30;
/// Bytes of memory for one token of the context, for models of a few billion parameters.
const PER_TOKEN: u64 = 128 * 1024;

/// The name of a provider's cell.
///
/// # Errors
/// The provider's name is too long to be part of one.
pub(crate) fn id(provider: &str) -> Result<CellId, IdError> {
    CellId::parse(&format!("model-{provider}"))
}

/// Makes the order for the cell of `server`. `limits_memory` says whether this host can limit memory.
pub(crate) fn fit(id: CellId, server: &LlamaServer, mode: SandboxMode, limits_memory: bool) -> Order {
    let file = server.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Its libraries lie beside it.
    let directory = server.program.parent().unwrap_or(Path::new("/"));
    let mut limits = server.limits;
    if limits_memory {
        let weights = std::fs::metadata(&server.model_file).map_or(0, |file| file.len());
        limits.memory.get_or_insert(weights + BESIDES + u64::from(server.context) * PER_TOKEN);
    }
    let command = [
        format!("{PROGRAM}/{file}"),
        "-m".to_owned(),
        MODEL.to_owned(),
        "--host".to_owned(),
        "127.0.0.1".to_owned(),
        "--port".to_owned(),
        PORT.to_string(),
        "--jinja".to_owned(),
        "-ngl".to_owned(),
        "0".to_owned(),
        "-c".to_owned(),
        server.context.to_string(),
        "--no-warmup".to_owned(),
    ];
    let read_only = |source: &Path, target: &str| Mount {
        source: source.to_path_buf(),
        target: target.into(),
        mode: MountMode::Ro,
    };
    Order {
        spec: CellSpec {
            id,
            mode,
            command: command.into(),
            rootfs: Rootfs::Host,
            mounts: vec![read_only(directory, PROGRAM), read_only(&server.model_file, MODEL)],
            env: [("LD_LIBRARY_PATH".to_owned(), PROGRAM.to_owned())].into(),
            workdir: None,
            limits,
            host_services: Vec::new(),
            terminal: None,
            fittings: Fittings::default(),
        },
        networks: Vec::new(),
        models: None,
    }
}
