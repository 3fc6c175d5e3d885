//! A scripted provider on loopback.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::support::Host;

/// The key that it wants.
pub const KEY: &str = "sk-a-key-that-no-cell-may-see-0123456789";

/// A provider that runs until the test ends.
pub struct Provider {
    pub port: u16,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Provider {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("requests");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let port = listener.local_addr().expect("an address").port();
        let options = nanoclaw_scripted_model::Options {
            require_key: Some(KEY.to_owned()),
            log: Some(File::options().append(true).create(true).open(&log).expect("a log")),
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                nanoclaw_scripted_model::serve(listener, options).await
            })
        });
        Self { port, log, _directory: directory }
    }

    /// What it was asked, oldest first.
    pub fn requests(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).expect("the log");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// A fleet of these agents on `host`, whose models are this provider's: in each dialect once.
    pub fn fleet(&self, host: Host, agents: &str) -> Fleet {
        let config = self.configure(&host, agents);
        Fleet::up_on(host, &config)
    }

    /// The configuration of such a fleet, with the key in a file of the host.
    pub fn configure(&self, host: &Host, agents: &str) -> String {
        let key = host.write("key", format!("{KEY}\n"));
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).expect("permissions");
        format!("{}{agents}", self.models())
    }

    fn models(&self) -> String {
        let port = self.port;
        format!(
            "models:
  providers:
    - {{ name: main, kind: openai, base_url: \"http://127.0.0.1:{port}/v1\", api_key: {{ file: ./key }}, responses: true }}
    - {{ name: claude, kind: anthropic, base_url: \"http://127.0.0.1:{port}\", api_key: {{ file: ./key }} }}
    - {{ name: gem, kind: gemini, base_url: \"http://127.0.0.1:{port}\", api_key: {{ file: ./key }} }}
  default: main/some-model
  aliases: {{ fast: claude/some-small-model, other: gem/some-model }}
"
        )
    }
}
