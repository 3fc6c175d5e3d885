//! The providers' own client libraries, unmodified, in cells, against the door.

use std::path::Path;

use crate::provider::Provider;
use crate::support::{Host, skip};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs a script of `tests/clients` in a cell, with this model; `None`, loudly, where the libraries are not installed.
fn check(script: &str, model: &str) -> Option<()> {
    let clients = repository().join(".cache/clients");
    let (program, mount) = if script.ends_with(".py") {
        ("/venv/bin/python", (clients.join("python"), "/venv"))
    } else {
        ("/node_modules/.bin/node", (clients.join("node/node_modules"), "/node_modules"))
    };
    let (Ok(installed), Ok(scripts)) = (mount.0.canonicalize(), repository().join("tests/clients").canonicalize())
    else {
        skip("the client libraries are not installed; `scripts/setup.sh test` does it");
        return None;
    };
    let (host, provider) = (Host::new(), Provider::start());
    let config = provider.configure(
        &host,
        &format!(
            "agents:
  - id: client
    command: [{program}, /clients/{script}]
    model: {model}
    models: {{ allow: [main/embeddings] }}
    tools: {{ deny: [shell] }}
    env: {{ MODEL: {model}, EMBEDDING_MODEL: main/embeddings, DOOR: \"1\" }}
    mounts: [{{ source: {scripts}, target: /clients }}, {{ source: {installed}, target: {} }}]
",
            mount.1,
            scripts = scripts.display(),
            installed = installed.display(),
        ),
    );
    host.write("c.yaml", config);
    let run = host.nanoclaw(["run", "-c", "c.yaml", "--name", "client"]);
    let said = run.good();
    for fact in ["ok plain_answer", "ok streamed_tool_calls", "ok time_out", "ok refused_tool_call"] {
        assert!(said.contains(fact), "{fact}:\n{said}");
    }
    Some(())
}

#[test]
fn openai_for_python() {
    check("openai_client.py", "main/some-model");
}

#[test]
fn openai_for_python_with_an_anthropic_provider() {
    check("openai_client.py", "fast");
}

#[test]
fn openai_for_node() {
    check("openai_client.mjs", "main/some-model");
}

#[test]
fn openai_for_node_with_a_gemini_provider() {
    check("openai_client.mjs", "other");
}

#[test]
fn anthropic_for_python() {
    check("anthropic_client.py", "fast");
}

#[test]
fn anthropic_for_python_with_an_openai_provider() {
    check("anthropic_client.py", "main/some-model");
}

#[test]
fn anthropic_for_node() {
    check("anthropic_client.mjs", "fast");
}

#[test]
fn anthropic_for_node_with_a_gemini_provider() {
    check("anthropic_client.mjs", "other");
}
