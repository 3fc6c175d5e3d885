//! Policies in files at the network door: what they permit is reached, what they forbid is not, request by request.

use serde_json::{Value, json};

use crate::world::World;

const OK: &str = "HTTP/1.1 200 OK";

/// A configuration whose policies are these.
fn config(world: &World, rules: &str, policies: &str) -> String {
    let file = world.host.write("p.cedar", policies);
    format!("allowed_networks: {rules}\npolicies: [\"{}\"]\n", file.display())
}

#[test]
fn a_policy_decides_on_each_request_by_its_method_and_path() {
    let Some(world) = World::new() else { return };
    let policies = "@id(\"read-only\")\n@help(\"ask the owner of the interface\")\n\
        forbid(principal, action == Action::\"http_request\", resource)\n\
        when { resource.name == \"api.bank.test\" && (context.method != \"GET\" || context.path like \"/admin*\") };\n";
    let script = r#"
for request in get("api.bank.test", "/open"), get("api.bank.test", "/admin/users"), get("api.bank.test", "/open").replace("GET", "DELETE"):
    said = exchange("api.bank.test", 80, request)[0]
    say([said.split("\r\n")[0], "ask the owner" in said])
"#;
    let said = world.python_in(&config(&world, r#"["api.bank.test"]"#, policies), script);
    let refused = json!(["HTTP/1.1 403 Forbidden", true]);
    assert_eq!(said, [json!([OK, false]), refused.clone(), refused]);
    let seen: Vec<Value> = world.seen_by("http").into_iter().filter(|event| event["event"] == "request").collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
    let denied: Vec<Value> =
        world.door().into_iter().filter(|r| r["action"] == "http_request" && r["result"] == "denied").collect();
    assert_eq!(denied.len(), 2, "{denied:?}");
    assert!(denied[0]["reason"].as_str().unwrap().ends_with("is denied by read-only"), "{denied:?}");
}

#[test]
fn a_policy_permits_a_host_that_no_rule_names_and_no_way_to_the_loopback() {
    let Some(world) = World::new() else { return };
    let policies = "@id(\"wild\")\npermit(principal == Agent::\"cell\", action, resource is Host)\n\
        when { resource.name == \"wild.test\" || resource.name == \"loopback.bank.test\" };\n";
    let script = r#"
for name in "wild.test", "api.bank.test", "loopback.bank.test":
    say(tell(lambda: exchange(name, 80, get(name))[0].split("\r\n")[0]))
"#;
    let said = world.python_in(&config(&world, "[]", policies), script);
    assert_eq!(said, [json!(OK), json!("gaierror"), json!("HTTP/1.1 403 Forbidden")]);
    let allowed: Vec<Value> =
        world.door().into_iter().filter(|r| r["action"] == "net_connect" && r["result"] == "allowed").collect();
    assert_eq!(allowed.len(), 1, "{allowed:?}");
    assert_eq!(allowed[0]["policy_ids"], json!(["wild"]));
    let refused = world.refusals();
    assert!(
        refused.iter().any(|line| line.starts_with("net_connect denied address-forbidden loopback.bank.test")),
        "{refused:?}"
    );
}

#[test]
fn each_step_to_a_host_is_asked_by_itself() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(tell(lambda: exchange("wild.test", 80, get("wild.test"))[0].split("\r\n")[0]))
"#;
    let steps = ["net_resolve", "net_connect", "http_request"];
    // A connection whose bytes may be anything is not read, and has no requests.
    let permit = |step: &str| {
        let read = if step == "net_connect" { " when { context.evidence == \"http\" }" } else { "" };
        format!("@id(\"{step}\") permit(principal, action == Action::\"{step}\", resource){read};\n")
    };
    let all: String = steps.into_iter().map(permit).collect();
    let denied = ["host-not-allowed wild.test", "host-not-allowed wild.test:80", "host-not-allowed wild.test:80"];
    let said = ["gaierror", "HTTP/1.1 403 Forbidden", "HTTP/1.1 403 Forbidden"];
    for (count, step) in steps.into_iter().enumerate() {
        let policies: String = steps[..count].iter().copied().map(permit).collect();
        let before = if count == 0 { 0 } else { world.refusals().len() };
        assert_eq!(world.python_in(&config(&world, "[]", &policies), script), [said[count]], "without {step}");
        // A name is asked for once in each address family.
        let mut refusals = world.refusals().split_off(before);
        refusals.dedup();
        assert_eq!(refusals, [format!("{step} denied {}", denied[count])]);
        // The same with one that forbids it.
        let forbid = format!("{all}@id(\"no\") forbid(principal, action == Action::\"{step}\", resource);");
        assert_eq!(
            world.python_in(&config(&world, "[]", &forbid), script),
            [said[count]],
            "with a policy against {step}"
        );
        let refused = world.door().into_iter().rfind(|record| record["result"] == "denied").unwrap();
        assert_eq!((&refused["action"], &refused["policy_ids"]), (&step.into(), &json!(["no"])), "{refused:#}");
    }
    let requests = || world.seen_by("http").into_iter().filter(|event| event["event"] == "request").count();
    assert_eq!(requests(), 0);
    assert_eq!(world.python_in(&config(&world, "[]", &all), script), [OK]);
    assert_eq!(requests(), 1);
}

#[test]
fn a_request_is_decided_on_in_every_way_in_which_servers_read_it() {
    let Some(world) = World::new() else { return };
    let policies = "@id(\"no\") forbid(principal, action == Action::\"http_request\", resource)\n\
        when { context.path like \"/admin*\" || context.method == \"DELETE\" };\n\
        @id(\"files\") forbid(principal, action == Action::\"http_request\", resource)\n\
        when { resource.name == \"other.test\" } unless { context.path like \"/files/*\" };\n";
    let script = r#"
for path in "/%61dmin", "//admin/x", "/x/../admin", "/x/%2e%2E/admin", "/x%2f..%2fadmin", "/%2561dmin", r"/x\..\admin", "/;a/admin", "/administer":
    say(exchange("api.bank.test", 80, get("api.bank.test", path))[0].split("\r\n")[0])
say(exchange("api.bank.test", 80, get("api.bank.test").replace("GET", "delete"))[0].split("\r\n")[0])
for path in "/files/../x", "/files/..;/x", "/files%2f..%2f../x":
    say(exchange("other.test", 80, get("other.test", path))[0].split("\r\n")[0])
for host, path in ("api.bank.test", "/a%20b//c;d=e/adm%69n?q=/admin"), ("other.test", "/files/a/../b"):
    say(exchange(host, 80, get(host, path))[0].split("\r\n")[0])
"#;
    let said = world.python_in(&config(&world, r#"["api.bank.test", "other.test"]"#, policies), script);
    let refused = "HTTP/1.1 403 Forbidden";
    assert_eq!(said, [vec![refused; 13], vec![OK; 2]].concat());
    let seen = world.seen_by("http");
    let lines: Vec<&Value> =
        seen.iter().filter(|event| event["event"] == "request").map(|event| &event["line"]).collect();
    assert_eq!(
        lines,
        ["GET /a%20b//c;d=e/adm%69n?q=/admin HTTP/1.1", "GET /files/a/../b HTTP/1.1"],
        "as they were written"
    );
}
