//! Configurations, calls, and reading answers to their end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use nanoclaw_config::{Limits, LlamaServer, Provider, ProviderKind, Remote, SecretSource};
use nanoclaw_dialect::Dialect;
use nanoclaw_llm::upstream::{Answer, Call, Failure, Operation, Upstream};
use tempfile::TempDir;

use crate::server::Server;

/// The key of every provider here.
pub const KEY: &str = "sk-test-0123456789-ABCDEFGHIJ_klmnop";

/// A folder with a file that holds [`KEY`].
pub struct World(TempDir);

impl World {
    pub fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let path = world.path("key");
        std::fs::write(&path, format!("{KEY}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        world
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A provider at `base_url` that has the key.
    pub fn remote(&self, base_url: String) -> Remote {
        Remote {
            base_url,
            api_key: Some(SecretSource::File(self.path("key"))),
            key_header: None,
            ca: None,
            responses: true,
        }
    }

    /// OpenAI's interface at `server`.
    pub fn openai(&self, server: &Server) -> Provider {
        provider(ProviderKind::OpenAi(self.remote(format!("http://{}/v1", server.address))))
    }

    /// A client whose only provider is `server`.
    pub fn upstream(&self, server: &Server) -> Upstream {
        Upstream::new(&[self.openai(server)], None).unwrap()
    }
}

/// A provider called `main` that is patient and tries nothing again.
pub fn provider(kind: ProviderKind) -> Provider {
    Provider {
        name: "main".to_owned(),
        kind,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        timeout: Duration::from_secs(60),
        retries: 0,
    }
}

/// llama-server in a cell.
pub fn llama() -> ProviderKind {
    ProviderKind::LlamaServer(LlamaServer {
        model_file: "/m.gguf".into(),
        program: "/llama-server".into(),
        context: 4096,
        limits: Limits::default(),
    })
}

/// A call of `main`.
pub fn call(operation: Operation) -> Call {
    Call {
        provider: "main".to_owned(),
        model: "some/model".to_owned(),
        operation,
        stream: false,
        headers: Vec::new(),
        body: Bytes::from_static(br#"{"model":"some/model"}"#),
    }
}

/// A call in the dialect of OpenAI chat completions.
pub fn chat() -> Call {
    call(Operation::Generate(Dialect::Chat))
}

/// All of a body.
pub async fn whole(mut answer: Answer) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(piece) = answer.body.chunk().await? {
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
