//! The cell of a model on this machine: llama-server with a GGUF file, without a network.

use std::path::Path;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nanoclaw_config::{LlamaServer, Mount, MountMode, Rootfs, SandboxMode};
use nanoclaw_policy::CellRules;
use nanoclaw_request::{CellId, IdError};
use nanoclaw_sandbox::cgroup::Enforced;
use nanoclaw_sandbox::{CellSpec, Fittings};

use crate::cell::{Order, Steering};

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

/// Makes the order for the cell of `server`. `enforced` says what this host can limit.
pub(crate) fn fit(id: CellId, server: &LlamaServer, mode: SandboxMode, enforced: Enforced) -> Order {
    let file = server.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Its libraries lie beside it.
    let directory = server.program.parent().unwrap_or(Path::new("/"));
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
    let mut limits = server.limits;
    if enforced.memory {
        let weights = std::fs::metadata(&server.model_file).map_or(0, |file| file.len());
        limits.memory.get_or_insert(weights + BESIDES + u64::from(server.context) * PER_TOKEN);
    }
    if enforced.cpu {
        limits.cpu_millis.get_or_insert(cpus.saturating_mul(1000));
    }
    // More threads than processors wait for each other.
    let threads = limits.cpu_millis.map_or(cpus, |millis| millis.div_ceil(1000).min(cpus));
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
        "--threads".to_owned(),
        threads.to_string(),
        "-c".to_owned(),
        server.context.to_string(),
        "--no-warmup".to_owned(),
    ];
    let env = [
        ("LD_LIBRARY_PATH", PROGRAM),
        // Its cache of prompts that are not in the context any more would grow to 8 GiB. Servers that are too old for it
        // do not look at this.
        ("LLAMA_ARG_CACHE_RAM", "0"),
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
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            workdir: None,
            limits,
            host_services: Vec::new(),
            terminal: None,
            fittings: Fittings::default(),
        },
        rules: CellRules::default(),
    }
}

/// Whether it has loaded its model and answers.
pub(crate) async fn is_ready(steering: &Steering) -> bool {
    let request = Request::get("/health").header(HOST, "localhost").body(Empty::<Bytes>::new());
    let (Ok(request), Ok(stream)) = (request, steering.dial(PORT).await) else { return false };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
        return false;
    };
    // It ends when the response has been dropped.
    tokio::spawn(async { drop(connection.await) });
    sender.send_request(request).await.is_ok_and(|response| response.status() == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use nanoclaw_config::Limits;

    use super::*;

    const ENFORCED: Enforced = Enforced { memory: true, cpu: true, pids: true, io: true };

    fn server(limits: Limits) -> LlamaServer {
        LlamaServer {
            model_file: "/models/m.gguf".into(),
            program: "/usr/local/llama/llama-server".into(),
            context: 1000,
            limits,
        }
    }

    fn fitted(limits: Limits, enforced: Enforced) -> CellSpec {
        fit(id("local").unwrap(), &server(limits), SandboxMode::Restricted, enforced).spec
    }

    fn threads(spec: &CellSpec) -> u32 {
        let at = spec.command.iter().position(|word| word == "--threads").unwrap();
        spec.command[at + 1].parse().unwrap()
    }

    #[test]
    fn the_cell_has_the_model_the_server_and_nothing_to_write_or_to_reach() {
        let order = fit(id("local").unwrap(), &server(Limits::default()), SandboxMode::Restricted, ENFORCED);
        assert_eq!(order.spec.id.as_str(), "model-local");
        assert_eq!(
            order.spec.command[..5],
            ["/opt/llama/llama-server", "-m", "/opt/model.gguf", "--host", "127.0.0.1"]
        );
        let mounts: Vec<_> = order.spec.mounts.iter().map(|m| (m.source.to_str(), m.target.to_str(), m.mode)).collect();
        assert_eq!(
            mounts,
            [
                (Some("/usr/local/llama"), Some("/opt/llama"), MountMode::Ro),
                (Some("/models/m.gguf"), Some("/opt/model.gguf"), MountMode::Ro),
            ]
        );
        assert!(order.rules == CellRules::default() && order.spec.host_services.is_empty());
    }

    #[test]
    fn it_has_all_processors_and_as_many_threads_unless_the_configuration_says_less() {
        let cpus = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
        let all = fitted(Limits::default(), ENFORCED);
        assert_eq!((all.limits.cpu_millis, threads(&all)), (Some(cpus * 1000), cpus));
        let part = fitted(Limits { cpu_millis: Some(500), ..Limits::default() }, ENFORCED);
        assert_eq!((part.limits.cpu_millis, threads(&part)), (Some(500), 1));
        let more = fitted(Limits { cpu_millis: Some(1_024_000), ..Limits::default() }, ENFORCED);
        assert_eq!(threads(&more), cpus);
    }

    #[test]
    fn its_memory_is_the_file_and_the_context_and_a_gibibyte() {
        let spec = fitted(Limits::default(), ENFORCED);
        assert_eq!(
            spec.limits.memory,
            Some((1 << 30) + 1000 * 128 * 1024),
            "the file is not there, and counts nothing"
        );
        let own = fitted(Limits { memory: Some(7), ..Limits::default() }, ENFORCED);
        assert_eq!(own.limits.memory, Some(7));
    }

    #[test]
    fn no_limit_is_asked_for_that_the_host_cannot_enforce() {
        let none = Enforced::default();
        assert_eq!(fitted(Limits::default(), none).limits, Limits::default());
    }
}
