mod http;
mod stdio;
mod turns;

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::server::Server;
use super::{McpServer, Patience};
use crate::settings::{Settings, ToolNames};
use crate::store::Store;
use crate::tools::{Job, Output, Toolbox};
use crate::turn::Events;

const MISSING: &str = "The MCP server `NAME` is not there, and neither are its tools.\n";

/// Long enough for a busy machine, short enough for a test that waits for it.
const SHORT: Patience =
    Patience { start: Duration::from_secs(30), call: Duration::from_secs(30), pause: Duration::from_secs(600) };

/// The scripted server as `name`.
fn python(name: &str, how: &Value) -> McpServer {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp_server.py");
    McpServer::Program {
        name: name.into(),
        command: vec!["python3".into(), script.into(), how.to_string()],
        env: [("ADDED".to_owned(), "by the configuration".to_owned())].into(),
    }
}

/// The scripted server as `srv`, with tools of these names.
fn with_tools(tools: &[&str]) -> McpServer {
    python("srv", &json!({"tools": tools.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()}))
}

/// A toolbox with servers.
struct Bench {
    directory: tempfile::TempDir,
    toolbox: Toolbox,
}

impl Bench {
    fn with(servers: Vec<McpServer>, patience: Patience, change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("a", "m");
        settings.workspace = directory.path().to_owned();
        settings.tools.allow = Some(vec!["*__*".into()]);
        settings.mcp = servers;
        change(&mut settings);
        settings.check().unwrap();
        let store = Rc::new(Store::open(&directory.path().join("data")).unwrap());
        Self { toolbox: Toolbox::with(&settings, store, patience), directory }
    }

    /// A turn of the session `s` has begun.
    async fn new(server: McpServer) -> Self {
        let bench = Self::with(vec![server], SHORT, |_| {});
        bench.begin().await;
        bench
    }

    /// Why a server does not start. It stands in the log, and the model is told only that there is none.
    async fn why(server: McpServer) -> String {
        let bench = Self::new(server.clone()).await;
        assert_eq!(bench.toolbox.current().about(), MISSING.replace("NAME", server.name()));
        let directory = bench.directory.path().to_owned();
        Server::new(server, directory, ToolNames::default(), SHORT).start().await.err().unwrap()
    }

    /// A turn of the session `s` begins, and nobody hears of it.
    async fn begin(&self) {
        self.toolbox.begin("s", &Events::new(mpsc::channel(8).0)).await;
    }

    fn names(&self) -> Vec<String> {
        self.toolbox.current().tools().map(|tool| tool.name.clone()).collect()
    }

    async fn call(&self, tool: &str, arguments: Value) -> Output {
        let job = Job { arguments: arguments.to_string(), session: "s".into(), most: 32 * 1024 };
        self.toolbox.call(tool, &job).await
    }

    async fn ok(&self, tool: &str, arguments: Value) -> String {
        let output = self.call(tool, arguments).await;
        assert!(!output.failed, "{}", output.text);
        output.text
    }

    async fn fails(&self, tool: &str, arguments: Value) -> String {
        let output = self.call(tool, arguments).await;
        assert!(output.failed, "{}", output.text);
        output.text
    }
}
