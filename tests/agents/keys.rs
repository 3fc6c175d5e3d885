//! A provider's key is nowhere in a cell: not in the memory, environment or files of any process in it, and in nothing
//! that the door answers.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use crate::fleet::children;
use crate::provider::{KEY, Provider};
use crate::support::{Background, Host, eventually};

/// Every process below `pid`.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let mut queue = VecDeque::from(children(pid));
    while let Some(pid) = queue.pop_front() {
        queue.extend(children(pid));
        all.push(pid);
    }
    all
}

/// Whether `needle` stands in the memory or the environment of a process. Its readable pages are searched one by one.
pub fn holds(pid: i32, needle: &str) -> bool {
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{pid}/maps")) else { return false };
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return false };
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    if contains(&environment, needle) {
        return true;
    }
    maps.lines().any(|line| {
        let mut fields = line.split(' ');
        let range = fields.next().unwrap_or_default();
        let readable = fields.next().is_some_and(|flags| flags.starts_with('r'));
        let Some((from, to)) = range.split_once('-').filter(|_| readable) else { return false };
        let (Ok(mut at), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { return false };
        // Pieces overlap, so that nothing is missed at their borders.
        let mut piece = vec![0; 1 << 20];
        while at < to {
            let wanted = usize::try_from(to - at).unwrap_or(usize::MAX).min(piece.len());
            let Ok(read) = memory.read_at(&mut piece[..wanted], at) else { return false };
            if read == 0 {
                return false;
            }
            if contains(&piece[..read], needle) {
                return true;
            }
            at += if read == wanted && at + (read as u64) < to { (read - needle.len()) as u64 } else { read as u64 };
        }
        false
    })
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    memchr::memmem::find(bytes, needle.as_bytes()).is_some()
}

/// Files below `directory` that hold `needle`.
pub fn files_with(directory: &std::path::Path, needle: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut queue = VecDeque::from([directory.to_path_buf()]);
    while let Some(directory) = queue.pop_front() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                queue.push_back(entry.path());
            } else if kind.is_file() && contains(&std::fs::read(entry.path()).unwrap_or_default(), needle) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Lets a provider echo the key in every way, and prints what comes back; then stays, so that its memory can be searched.
const ECHO: &str = r#"
import json, os, sys, time, urllib.error, urllib.request
door = "http://llm.nanoclaw.internal/v1/"
def post(path, body, headers={}):
    request = urllib.request.Request(door + path, json.dumps(body).encode(), {"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()
for script in ["ECHO-KEY", "ECHO-KEY\nSPLIT 3", "ECHO-KEY\nFAIL 400", "SAY nothing"]:
    for model in ["main/m", "claude/m", "gem/m"]:
        for stream in [False, True]:
            content = [{"role": "user", "content": script}]
            print(post("chat/completions", {"model": model, "stream": stream, "messages": content}))
            print(post("messages", {"model": model, "stream": stream, "max_tokens": 9, "messages": content}))
            print(post("responses", {"model": model, "stream": stream, "input": script}))
print(post("embeddings", {"model": "main/m", "input": "x"}))
print(post("models", {}))
print(dict(os.environ))
print("canary-" + "in-this-memory", flush=True)
time.sleep(600)
"#;

#[test]
fn a_key_is_nowhere_in_a_cell_and_in_nothing_that_the_door_answers() {
    let Some(host) = Host::root() else { return };
    let provider = Provider::start();
    host.write("echo.py", ECHO);
    let config = provider.configure(
        &host,
        "agents:
  - { id: spy, command: [python3, /opt/echo.py], model: main/m, models: { allow: [\"*\"] }, mounts: [{ source: ./echo.py, target: /opt/echo.py }] }
",
    );
    host.write("c.yaml", config);
    let running = Background::start(host.prepare(["run", "-c", "c.yaml", "--name", "spy"]), Stdio::null());
    running.writes("canary-in-this-memory");
    let text = running.text();
    assert!(text.matches("nothing").count() >= 18, "the provider does answer: {text}");
    assert!(!text.contains(KEY), "the door gave the key away: {text}");
    assert!(text.contains("placeholder-held-by-nanoclaw"), "{text}");
    // The control plane's own child is the launcher, whose children are inits.
    let cell: Vec<i32> = children(running.pid()).into_iter().flat_map(descendants).collect();
    assert!(cell.len() >= 2, "{cell:?}");
    let canary = eventually("the canary", || cell.iter().find(|pid| holds(**pid, "canary-in-this-memory")));
    assert_ne!(*canary, cell[0], "the search finds what is there, in the agent and not in its init");
    for pid in &cell {
        assert!(!holds(*pid, KEY), "process {pid} of the cell holds the key");
    }
    assert!(holds(running.pid(), KEY), "the control plane has it, so the search would find it");
    let state = files_with(&host.path("state"), KEY);
    assert!(state.is_empty(), "{state:?}");
    assert!(
        provider.requests().iter().all(|request| request.to_string().contains(KEY) || request["path"] == "/v1/models")
    );
    let refused = host.records_of("model_call");
    assert!(refused.iter().any(|record| record["code"] == "content-refused"), "the echo is on record");
}

#[test]
fn the_agents_own_key_goes_nowhere() {
    let (host, provider) = (Host::new(), Provider::start());
    let script = "curl -s -H 'Authorization: Bearer sk-of-the-agent' -H 'x-api-key: sk-of-the-agent' -H 'content-type: application/json' -d '{\"model\": \"default\", \"messages\": [{\"role\": \"user\", \"content\": \"SAY hi\"}]}' http://llm.nanoclaw.internal/v1/chat/completions";
    let config = provider.configure(&host, "agents: [{ id: a, command: [\"true\"], model: main/m }]\n");
    host.write("c.yaml", config);
    let run = host.nanoclaw(["run", "-c", "c.yaml", "--name", "a", "--", "sh", "-c", script]);
    assert!(run.good().contains("hi"));
    let asked = provider.requests();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].to_string().contains("sk-of-the-agent"), "{asked:#?}");
}
