//! That the doors really ask: each action of the schema is done where a policy permits it, and refused where none does or one
//! forbids, with what the program sees and what is on record.
//!
//! | action | test |
//! |---|---|
//! | `file_write`, `exec` | here: `what_a_cell_does_is_asked_each_time`, `what_people_would_be_asked_about_cannot_wait_in_a_system_call`; `policy.rs` |
//! | `syscall`, `net_datagram` | here: `no_policy_opens_what_the_walls_close` |
//! | `net_resolve` | here: `a_name_is_looked_up_where_a_policy_permits_it` |
//! | `net_connect`, `http_request` | tests/network/policies.rs: `each_step_to_a_host_is_asked_by_itself` and the others there |
//! | `model_call`, `tool_call` | tests/agents/actions.rs |
//! | `cell_launch` | here: `a_cell_starts_where_no_policy_forbids_it` |
//! | `agent_manage` | each verb: tests/agents/actions.rs: `people_steer_agents_where_no_policy_forbids_it` (command line), tests/api/asked.rs: `each_way_of_steering_is_asked_by_itself` (API) and roles.rs; schedules: `turns_start_by_themselves_where_no_policy_forbids_it` |
//! | `approve`, `audit_read` | tests/api/asked.rs: `each_way_of_steering_is_asked_by_itself`, and roles.rs |

use serde_json::{Value, json};

use crate::support::Host;

/// Tries all that needs no network and no model, and says how each ended.
const TRY: &str = r#"
import ctypes, errno, os, socket, subprocess
def tell(name, what):
    try:
        what()
        print(name, "ok")
    except socket.gaierror as error:
        print(name, "no such name")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
def unshare():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x20000) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("8.8.8.8", 9))
tell("write", lambda: open("/tmp/report", "w").close())
tell("etc", lambda: open("/etc/report", "w").close())
tell("exec", lambda: subprocess.run(["/usr/bin/env", "true"], check=True))
tell("syscall", unshare)
tell("datagram", send)
tell("resolve", lambda: socket.getaddrinfo("api.bank.test", 443))
"#;

/// Runs it in a cell called `cell` under these policies, and gives what it said and the log.
fn run(policies: &str) -> (Vec<String>, Vec<Value>) {
    let host = Host::new();
    host.write("p.cedar", policies);
    host.write("c.yaml", "policies: [./p.cedar]\n");
    let done = host.nanoclaw(["run", "-c", "c.yaml", "--name", "cell", "--", "python3", "-c", TRY]);
    (done.good().lines().map(str::to_owned).collect(), host.records())
}

/// The refusal of one action on one thing.
#[track_caller]
fn refusal(records: &[Value], action: &str, path: Option<&str>) -> Value {
    let is_it = |record: &&Value| {
        let (denied, same) = (record["result"] == "denied", record["action"] == action);
        denied && same && path.is_none_or(|path| record["path"] == path)
    };
    records.iter().find(is_it).unwrap_or_else(|| panic!("no refusal of {action}: {records:#?}")).clone()
}

#[track_caller]
fn is_refused(record: &Value, code: &str, policies: Value) {
    assert_eq!((&record["code"], &record["policy_ids"]), (&code.into(), &policies), "{record:#}");
}

#[test]
fn what_a_cell_does_is_asked_each_time() {
    let (said, _) = run("");
    assert_eq!(said[..3], ["write ok", "etc EROFS", "exec ok"]);
    let policies = "@id(\"no-reports\") forbid(principal, action == Action::\"file_write\", resource) when { resource.path like \"*/report\" };\n\
        @id(\"no-env\") forbid(principal, action == Action::\"exec\", resource) when { resource.path like \"*/env\" };";
    let (said, records) = run(policies);
    assert_eq!(said[..3], ["write EPERM", "etc EROFS", "exec EPERM"]);
    is_refused(&refusal(&records, "file_write", Some("/tmp/report")), "read-only", json!(["no-reports"]));
    is_refused(
        &refusal(&records, "file_write", Some("/etc/report")),
        "read-only",
        json!(["cell.not-writable", "no-reports"]),
    );
    let exec = refusal(&records, "exec", None);
    is_refused(&exec, "exec-not-allowed", json!(["no-env"]));
    assert!(exec["reason"].as_str().unwrap().ends_with("is denied by no-env"), "{exec:#}");
}

#[test]
fn what_people_would_be_asked_about_cannot_wait_in_a_system_call() {
    let ask = "@id(\"first\") @ask(\"this needs a person\") forbid(principal is Agent, action in [Action::\"file_write\", Action::\"exec\"], resource)\n\
        when { resource has path && (resource.path like \"*/report\" || resource.path like \"*/env\") };";
    let (said, records) = run(ask);
    assert_eq!(said[..3], ["write EPERM", "etc EROFS", "exec EPERM"]);
    for (action, path) in [("file_write", Some("/tmp/report")), ("exec", None)] {
        let record = refusal(&records, action, path);
        is_refused(&record, "not-approved", json!(["first"]));
        assert!(record["reason"].as_str().unwrap().contains(": this needs a person; "), "{record:#}");
    }
}

/// A policy that permits everything changes nothing about them, and the log does not say that they were allowed.
#[test]
fn no_policy_opens_what_the_walls_close() {
    let (said, records) = run("@id(\"all\") permit(principal, action, resource);");
    assert_eq!(said, ["write ok", "etc EROFS", "exec ok", "syscall EPERM", "datagram EPERM", "resolve ok"]);
    is_refused(&refusal(&records, "file_write", Some("/etc/report")), "read-only", json!(["cell.not-writable"]));
    let syscall = refusal(&records, "syscall", None);
    is_refused(&syscall, "syscall-not-allowed", json!(["cell.closed-call"]));
    assert!(syscall["reason"].as_str().unwrap().contains("system call unshare (CLONE_NEWNS) is closed"), "{syscall:#}");
    let datagram = refusal(&records, "net_datagram", None);
    is_refused(&datagram, "datagram-not-allowed", json!(["net.only-tcp"]));
    let reason = datagram["reason"].as_str().unwrap();
    assert!(reason.ends_with("UDP to 8.8.8.8:9 is not TCP, and cells speak only TCP and DNS"), "{reason}");
}

#[test]
fn a_name_is_looked_up_where_a_policy_permits_it() {
    let permit = "@id(\"bank\") permit(principal == Agent::\"cell\", action == Action::\"net_resolve\", resource)\n\
        when { resource.name == \"api.bank.test\" };";
    let (said, records) = run("");
    assert_eq!(said[5], "resolve no such name");
    is_refused(&refusal(&records, "net_resolve", None), "host-not-allowed", Value::Null);
    let (said, records) = run(permit);
    assert_eq!(said[5], "resolve ok");
    let allowed = records.iter().find(|r| r["action"] == "net_resolve" && r["result"] == "allowed").unwrap();
    assert_eq!(allowed["policy_ids"], json!(["bank"]));
    let (said, records) =
        run(&format!("{permit}\n@id(\"no\") forbid(principal, action == Action::\"net_resolve\", resource);"));
    assert_eq!(said[5], "resolve no such name");
    is_refused(&refusal(&records, "net_resolve", None), "host-not-allowed", json!(["no"]));
}

#[test]
fn a_cell_starts_where_no_policy_forbids_it() {
    let host = Host::new();
    host.write("c.yaml", "policies: [./p.cedar]\n");
    let forbid = "@id(\"closed\") @help(\"ask the owner\") forbid(principal, action == Action::\"cell_launch\", resource == Agent::\"one\");";
    host.write("p.cedar", forbid);
    let run = |name: &str| host.nanoclaw(["run", "-c", "c.yaml", "--name", name, "--", "echo", "runs"]);
    let refused = run("one");
    assert_eq!((refused.code(), refused.text().as_str()), (Some(125), ""), "{refused:?}");
    assert!(refused.stderr.contains("is denied by closed") && refused.stderr.contains("ask the owner"), "{refused:?}");
    let record = refusal(&host.records(), "cell_launch", None);
    assert_eq!((&record["agent_id"], &record["policy_ids"]), (&"one".into(), &json!(["closed"])), "{record:#}");
    assert_eq!(run("two").good(), "runs\n");
    host.write("p.cedar", "");
    assert_eq!(run("one").good(), "runs\n");
}
