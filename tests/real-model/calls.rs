//! Calls of the model by a program that knows nothing of NanoClaw but the address in its environment.

use crate::support::{Host, appears};
use crate::world::{Fleet, model};

/// Asks for an answer in each way, and for a tool call that its choice makes sure of.
const CLIENT: &str = include_str!("client.py");

#[test]
fn a_program_has_answers_whole_and_streamed_and_a_tool_call_in_every_dialect() {
    let Some(model) = model() else { return };
    let host = Host::new();
    host.write("work/client.py", CLIENT);
    let fleet = Fleet::up(
        host,
        &model,
        4096,
        "  - { id: one, command: [python3, -u, /workspace/client.py], model: local/small, mounts: [{ source: work, target: /workspace }], restart: never }\n",
    );
    // The first request finds the model loading, and waits.
    let ended = fleet.until("one", |status| status["phase"] == "stopped");
    let log = fleet.log("one");
    assert_eq!(ended["last_exit"], 0, "{log}\n{}", fleet.log("model-local"));
    for line in ["chat whole", "chat streamed", "chat tool", "responses tool", "messages tool", "schemas"] {
        assert!(log.lines().any(|said| said == format!("{line}: good")), "{line}: {log}");
    }
    assert!(appears(|| fleet.model_calls("one").len() >= 6), "the last record may come after the end of the program");
    let calls = fleet.model_calls("one");
    assert_eq!(calls.len(), 6, "{calls:#?}");
    for call in &calls {
        assert_eq!(call["model"]["provider"], "local", "{call}");
        assert!(
            call["model"]["input_tokens"].as_u64() > Some(0) && call["model"]["output_tokens"].as_u64() > Some(0),
            "{call}"
        );
        assert!(call["model"].get("estimated").is_none_or(|estimated| estimated == false), "{call}");
    }
    assert_eq!(fleet.called("one")[..3], ["weather", "weather", "weather"], "those that had to");
}
