//! Records as events of the Open Cybersecurity Schema Framework. Each has the attributes that its class requires, and the
//! whole record under `unmapped`, so that nothing is lost.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The version of the schema.
const VERSION: &str = "1.8.0";

/// A class of events, by its `class_uid`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    FileSystem = 1001,
    Process = 1007,
    Finding = 2004,
    Authentication = 3002,
    Entity = 3004,
    Network = 4001,
    Http = 4002,
    Dns = 4003,
    ConfigState = 5002,
    Lifecycle = 6002,
    Api = 6003,
}

/// The class of an action, and its activity.
fn class(action: &str, detail: &str) -> (Class, u16) {
    const OTHER: u16 = 99;
    match action {
        "file_write" => (Class::FileSystem, file_activity(detail)),
        "exec" => (Class::Process, 1),
        "net_connect" => (Class::Network, 1),
        "net_datagram" => (Class::Network, 6),
        "net_resolve" => (Class::Dns, 1),
        "http_request" => (Class::Http, http_activity(detail)),
        "cell_launch" | "control_started" => (Class::Lifecycle, 3),
        "cell_exited" | "control_stopped" => (Class::Lifecycle, 4),
        "sign_in" => (Class::Authentication, 1),
        "identity_issued" => (Class::Entity, 1),
        "identity_renewed" => (Class::Entity, 3),
        "identity_revoked" => (Class::Entity, 4),
        "policy_reloaded" | "labels_reset" | "notice" => (Class::ConfigState, 1),
        "syscall" | "limit_reached" | "labels_rose" | "prompt_refused" | "audit_disabled" | "log_recovered" => {
            (Class::Finding, 1)
        }
        "audit_read" => (Class::Api, 2),
        _ => (Class::Api, OTHER),
    }
}

fn file_activity(operation: &str) -> u16 {
    match operation {
        "mkdir" | "mknod" | "link" | "symlink" => 1,
        "unlink" | "rmdir" => 4,
        "rename" => 5,
        _ => 3,
    }
}

fn http_activity(detail: &str) -> u16 {
    let methods = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH"];
    let method = detail.split(' ').next().unwrap_or_default();
    methods.iter().position(|known| *known == method).map_or(99, |at| at as u16 + 1)
}

/// A line of the log as an event, on one line; `None` where it is no record. `host` is the name of the machine.
pub fn ocsf(line: &str, host: &str) -> Option<String> {
    let record: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let (seq, time) = (record.get("seq")?.as_u64()?, text("timestamp").parse::<Timestamp>().ok()?);
    let (agent, action, result) = (text("agent_id"), text("action"), text("result"));
    let (detail, subject) = (text("detail"), if text("path").is_empty() { text("resource") } else { text("path") });
    let (class, activity) = class(action, detail);
    let uid = class as u16;
    let severity = match text("severity") {
        "low" => 2,
        "medium" => 3,
        "high" => 4,
        _ => 1,
    };
    // Whether it succeeded, whether it was let, and what became of it.
    let (status, let_be, disposition) = match result {
        "denied" => (2, 2, 2),
        "failed" => (2, 1, 1),
        "noted" => (1, 3, 0),
        _ => (1, 1, 1),
    };
    let profiles: &[&str] = if record.contains_key("model") || action == "model_call" {
        &["security_control", "ai_operation"]
    } else {
        &["security_control"]
    };
    let mut event = json!({
        "time": time.as_millisecond(),
        "class_uid": uid,
        "category_uid": uid / 1000,
        "activity_id": activity,
        "activity_name": action,
        "type_uid": u32::from(uid) * 100 + u32::from(activity),
        "severity_id": severity,
        "status_id": status,
        "action_id": let_be,
        "disposition_id": disposition,
        "is_alert": severity >= 3,
        "message": if text("reason").is_empty() { detail } else { text("reason") },
        "metadata": {
            "version": VERSION,
            "product": { "name": "NanoClaw", "vendor_name": "NanoClaw", "version": env!("CARGO_PKG_VERSION") },
            "profiles": profiles,
            "sequence": seq,
            "uid": seq.to_string(),
        },
        "actor": { "app_name": agent, "session": { "uid": text("session_id") } },
        "device": { "hostname": host, "type_id": 0 },
    });
    let event = event.as_object_mut()?;
    let name = subject.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("?");
    let file = json!({ "name": name, "path": subject, "type_id": 0 });
    let own = match class {
        Class::FileSystem => json!({ "file": file }),
        Class::Process => {
            json!({ "process": { "uid": seq.to_string(), "name": name, "cmd_line": detail, "file": file } })
        }
        Class::Finding => json!({ "finding_info": { "uid": seq.to_string(), "title": action, "desc": detail } }),
        Class::Authentication => json!({ "user": { "name": agent } }),
        Class::Entity => json!({ "entity": { "name": subject, "type": "SPIFFE id" } }),
        Class::Network | Class::Http => endpoint(subject),
        Class::Dns => json!({ "query": { "hostname": subject.split(':').next() } }),
        Class::ConfigState => json!({}),
        Class::Lifecycle => json!({ "app": { "name": agent } }),
        Class::Api => {
            json!({ "api": { "operation": format!("{action} {subject}").trim_end() }, "src_endpoint": { "name": agent } })
        }
    };
    event.extend(own.as_object().cloned().unwrap_or_default());
    if let Some(policy) = record.get("policy_ids").and_then(Value::as_array).and_then(|ids| ids.first()) {
        event.insert("policy".to_owned(), json!({ "uid": policy }));
    }
    if let Some(model) = record.get("model") {
        event.insert("ai_model".to_owned(), json!({ "ai_provider": model["provider"], "name": model["name"] }));
        event.insert(
            "message_context".to_owned(),
            json!({ "application": { "name": agent }, "prompt_tokens": model["input_tokens"], "completion_tokens": model["output_tokens"] }),
        );
    }
    event.insert("unmapped".to_owned(), Value::Object(record));
    Some(crate::shown_json(&event))
}

/// Where a connection leads.
fn endpoint(subject: &str) -> Value {
    let (host, port) = subject.rsplit_once(':').unwrap_or((subject, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = if host.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "hostname" };
    json!({ "dst_endpoint": { name: host, "port": port.parse::<u16>().ok() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(fields: Value) -> Value {
        let mut record = json!({
            "timestamp": "2026-03-21T20:15:30.123Z", "agent_id": "nano-001", "result": "denied", "seq": 7,
            "session_id": "9f", "severity": "medium", "reason": "Security policy violation: no",
        });
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let event: Value = serde_json::from_str(&ocsf(&record.to_string(), "host").unwrap()).unwrap();
        assert_eq!(event["unmapped"], record);
        event
    }

    #[test]
    fn a_refused_write_is_an_event_of_the_file_system() {
        let event = event(json!({ "action": "file_write", "path": "/tmp/test.txt", "detail": "unlink" }));
        assert_eq!(
            (&event["class_uid"], &event["category_uid"], &event["type_uid"]),
            (&json!(1001), &json!(1), &json!(100_104))
        );
        assert_eq!((&event["time"], &event["severity_id"]), (&json!(1_774_124_130_123_i64), &json!(3)));
        assert_eq!(
            (&event["status_id"], &event["action_id"], &event["disposition_id"]),
            (&json!(2), &json!(2), &json!(2))
        );
        assert_eq!(event["file"], json!({ "name": "test.txt", "path": "/tmp/test.txt", "type_id": 0 }));
    }

    /// What each class requires beside what all of them do, in version 1.8 of the schema.
    #[test]
    fn every_class_has_what_it_requires() {
        let all = ["time", "class_uid", "category_uid", "activity_id", "type_uid", "severity_id", "metadata"];
        for (action, class, required) in [
            ("file_write", 1001, &["actor", "device", "file"][..]),
            ("exec", 1007, &["actor", "device", "process"]),
            ("syscall", 2004, &["finding_info"]),
            ("sign_in", 3002, &["user"]),
            ("identity_issued", 3004, &["entity"]),
            ("net_connect", 4001, &["dst_endpoint"]),
            ("http_request", 4002, &["dst_endpoint"]),
            ("net_resolve", 4003, &["query"]),
            ("policy_reloaded", 5002, &["device"]),
            ("cell_launch", 6002, &["app"]),
            ("model_call", 6003, &["actor", "api", "src_endpoint"]),
            ("tool_call", 6003, &["actor", "api", "src_endpoint"]),
        ] {
            let event = event(json!({ "action": action, "resource": "api.example.com:443" }));
            assert_eq!(event["class_uid"], class, "{action}");
            for name in all.iter().chain(required) {
                assert!(!event[*name].is_null(), "{action} has no {name}");
            }
        }
    }

    #[test]
    fn addresses_and_models_have_their_fields() {
        let connect = event(json!({ "action": "net_connect", "resource": "[2001:db8::1]:443" }));
        assert_eq!(connect["dst_endpoint"], json!({ "ip": "2001:db8::1", "port": 443 }));
        let http =
            event(json!({ "action": "http_request", "resource": "a.example:80", "detail": "POST /x for a.example" }));
        assert_eq!((&http["activity_id"], &http["dst_endpoint"]["hostname"]), (&json!(6), &json!("a.example")));
        let model = json!({ "provider": "main", "name": "small", "input_tokens": 5, "output_tokens": 2 });
        let call = event(json!({ "action": "model_call", "result": "done", "model": model }));
        assert_eq!(call["ai_model"], json!({ "ai_provider": "main", "name": "small" }));
        assert_eq!(call["metadata"]["profiles"], json!(["security_control", "ai_operation"]));
        assert_eq!((&call["status_id"], &call["action_id"]), (&json!(1), &json!(1)));
    }

    #[test]
    fn what_is_no_record_is_no_event() {
        for line in ["", "{}", "x", r#"{"seq":1,"timestamp":"yesterday"}"#] {
            assert_eq!(ocsf(line, "host"), None, "{line}");
        }
    }
}
