//! The cell of the model.

use crate::support::{Host, appears};
use crate::world::{Fleet, model};

/// What a hijacked server would try, as a program beside it in its cell: each line says how it went.
const ATTEMPTS: &str = include_str!("attempts.py");

#[test]
fn the_model_reaches_nothing_and_can_change_nothing() {
    let Some(model) = model() else { return };
    let sum = |host: &Host| host.host_sh(&format!("cksum < {}/model.gguf", model.display())).good();
    let fleet = Fleet::up(Host::new(), &model, 512, "  - { id: idle, command: [sleep, '10000'] }\n");
    fleet.until("model-local", |status| status["phase"] == "running");
    let before = sum(&fleet.host);
    let tried = fleet.ask(&["exec", "model-local", "--", "python3", "-c", ATTEMPTS]).good();
    for line in [
        "resolve: failed",
        "connect 203.0.113.1:443: failed",
        "connect 127.0.0.1:1: failed",
        "door: failed",
        "write model: failed",
        "write server: failed",
        "write elsewhere: failed",
        "read model: done",
        "own server: done",
    ] {
        assert!(tried.lines().any(|said| said == line), "no `{line}` in {tried}");
    }
    assert_eq!(sum(&fleet.host), before);
    let records = fleet.host.records();
    let of_model = || records.iter().filter(|record| record["agent_id"] == "model-local");
    for action in ["net_connect", "net_resolve", "net_datagram", "http_request", "model_call"] {
        let reached: Vec<_> = of_model().filter(|r| r["action"] == action && r["result"] != "denied").collect();
        assert!(reached.is_empty(), "{reached:#?}");
    }
    assert!(of_model().any(|r| r["action"] == "net_connect" && r["resource"] == "203.0.113.1:443"), "{records:#?}");
    assert!(of_model().any(|r| r["action"] == "file_write" && r["path"] == "/opt/model.gguf"), "{records:#?}");
}

#[test]
fn a_model_that_dies_is_started_again_and_its_log_goes_on() {
    let Some(model) = model() else { return };
    let fleet = Fleet::up(Host::new(), &model, 512, "  - { id: idle, command: [sleep, '10000'] }\n");
    fleet.until("model-local", |status| status["phase"] == "running");
    fleet.logs("model-local", "listening");
    fleet.ask(&["exec", "model-local", "--", "pkill", "-KILL", "llama-server"]);
    let again = fleet.until("model-local", |status| status["restarts"] == 1 && status["phase"] == "running");
    assert_eq!(again["last_exit"], 137, "{again}");
    let listened = || fleet.log("model-local").matches("listening").count();
    assert!(appears(|| listened() == 2), "{}", fleet.log("model-local"));
    let spoken = fleet.ask(&["ask", "model-local", "Hello."]);
    assert_eq!(spoken.code(), Some(125), "{spoken:?}");
    assert!(spoken.stderr.contains("`model-local` is a model, which cannot be spoken to"), "{spoken:?}");
}
