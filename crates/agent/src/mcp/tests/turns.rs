use serde_json::{Value, json};

use super::{python, with_tools};
use crate::protocol::Ending;
use crate::testing::{Bench, calls, ending, local, results, says};

/// The names of the tools that a request offers.
fn offered(request: &Value) -> Vec<String> {
    let tools = request["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_turn_calls_tools_of_a_server_that_come_while_it_runs() {
    local(async {
        let bench = Bench::with(|settings| {
            settings.tools.allow = Some(vec!["srv__*".into()]);
            settings.mcp = vec![with_tools(&["grow", "echo"])];
        })
        .await;
        bench.mock.will([
            calls(&[("1", "srv__grow", json!({}))]),
            calls(&[("2", "srv__echo", json!({"a": 1}))]),
            calls(&[("3", "srv__grown", json!({}))]),
            says("done"),
        ]);
        let events = bench.turn("go").await;
        assert_eq!(
            results(&events),
            [("srv__grow", "grown", false), ("srv__echo", "{\"a\": 1}", false), ("srv__grown", "called grown", false)]
        );
        assert_eq!(ending(&events), (Ending::Answered, "done"));
        let bodies = bench.mock.bodies();
        assert_eq!(offered(&bodies[0]), ["srv__grow", "srv__echo"]);
        assert_eq!(offered(&bodies[3]), ["srv__grow", "srv__echo", "srv__grown"]);
        let system = bodies[0]["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("Tools named SERVER__TOOL belong to MCP servers."), "{system}");
    });
}

#[test]
fn a_turn_goes_on_without_a_server_that_is_not_there() {
    local(async {
        let bench = Bench::with(|settings| {
            settings.tools.allow = Some(vec!["todo".into(), "srv__*".into()]);
            settings.mcp = vec![python("srv", &json!({"ends": 4}))];
        })
        .await;
        bench.mock.will([says("done")]);
        assert_eq!(ending(&bench.turn("go").await), (Ending::Answered, "done"));
        let request = bench.mock.last();
        assert_eq!(offered(&request), ["todo"]);
        let system = request["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("The MCP server `srv` is not there"), "{system}");
    });
}

#[test]
fn an_agent_without_servers_says_nothing_of_them() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([says("done")]);
        bench.turn("go").await;
        assert!(!bench.mock.last().to_string().contains("MCP"));
    });
}

#[test]
fn a_skill_is_listed_and_read_in_a_turn_unless_the_rules_take_it_away() {
    for (denied, tools) in [(vec![], vec!["skill_read"]), (vec!["skill_read".to_owned()], vec!["todo"])] {
        local(async {
            let skills = tempfile::tempdir().unwrap();
            std::fs::create_dir(skills.path().join("pdf")).unwrap();
            let text = "---\nname: pdf\ndescription: Fills forms.\n---\nFirst look.\n";
            std::fs::write(skills.path().join("pdf/SKILL.md"), text).unwrap();
            let bench = Bench::with(|settings| {
                settings.skills = Some(skills.path().to_owned());
                settings.tools.allow = Some(tools.iter().map(|name| (*name).to_owned()).collect());
                settings.tools.deny = denied.clone();
            })
            .await;
            bench.mock.will([calls(&[("1", "skill_read", json!({"name": "pdf"}))]), says("done")]);
            let events = bench.turn("fill the form").await;
            let system = bench.mock.last()["messages"][0]["content"].as_str().unwrap().to_owned();
            if denied.is_empty() {
                assert_eq!(results(&events), [("skill_read", text, false)]);
                let line = format!("- pdf ({}): Fills forms.\n", skills.path().join("pdf").display());
                assert!(system.contains(&line), "{system}");
            } else {
                assert_eq!(results(&events), [("skill_read", "there is no tool `skill_read`; there are: todo", true)]);
                assert!(!system.contains("pdf"), "{system}");
            }
        });
    }
}
