//! The served document, and what is served, held against each other by schemathesis: requests that fit the document, and
//! requests that do not, for a bounded time.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{finish, skip};
use crate::world::World;

/// What is left out: what would end the fleet or lock out whoever asks, and a stream that has no end.
const LEFT_OUT: [&str; 6] =
    ["stopFleet", "stopAgent", "revokeCertificate", "removeOperator", "changeOperator", "followAudit"];

#[test]
fn what_is_served_is_what_the_document_says_also_for_nonsense() {
    let program = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/schemathesis/bin/schemathesis"));
    if !program.is_file() {
        skip("schemathesis is not installed; `scripts/setup.sh test` does it");
        return;
    }
    let world = World::up("agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'] }]\n");
    let identity = world.identity("root-of-all", &["admin"]);
    let mut document: Value = world.owner().get("/v1/openapi.json").good();
    // Nonsense in the place of a token is told apart by other tests; here it would only have the others turned away.
    document["components"].as_object_mut().unwrap().remove("securitySchemes");
    for methods in document["paths"].as_object_mut().unwrap().values_mut() {
        for operation in methods.as_object_mut().unwrap().values_mut() {
            operation.as_object_mut().unwrap().remove("security");
            // The document says what each event holds; schemathesis looks for what a text holds that is one.
            if let Some(stream) = operation.pointer_mut("/responses/200/content/text~1event-stream") {
                stream.as_object_mut().unwrap().remove("schema");
            }
        }
    }
    let place = |name: &str, text: &str| world.host.write(name, text);
    let document = place("openapi.json", &document.to_string());
    let authority = place("ca.pem", &identity.authority);
    let certificate = place("certificate.pem", &identity.certificate);
    let key = place("key.pem", &identity.key.dangerously_expose_pem());
    let mut command = Command::new(program);
    command.current_dir(world.host.path("")).arg("run").arg(&document);
    command.args(["--url", &format!("https://{}", world.address)]);
    command
        .arg("--tls-verify")
        .arg(&authority)
        .arg("--request-cert")
        .arg(&certificate)
        .arg("--request-cert-key")
        .arg(&key);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--max-time", "45", "--seed", "7"]);
    command.args(["--request-timeout", "30", "--continue-on-failure"]);
    // Not everything that is wrong with a value can be said in the document: a PEM, a question, an agent that there is.
    command.args(["--exclude-checks", "ignored_auth,positive_data_acceptance"]);
    command.args(LEFT_OUT.iter().flat_map(|operation| ["--exclude-operation-id", operation]));
    let run = finish(command, b"");
    assert_eq!(run.code(), Some(0), "{}\n{}", run.text(), run.stderr);
    let tested = run.text().lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<usize>().ok());
    assert!(tested.is_some_and(|tested| tested >= 25), "{}", run.text());
    assert_eq!(world.owner().get("/v1/agents/one").good()["phase"], "running", "the agent lives on");
}
