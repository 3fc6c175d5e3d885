use super::*;
use serde_json::json;

/// A workspace, a database and all tools.
pub(crate) struct Bench {
    pub directory: tempfile::TempDir,
    pub toolbox: Toolbox,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("a", "m");
        settings.workspace = directory.path().join("workspace");
        std::fs::create_dir(&settings.workspace).unwrap();
        let store = Rc::new(Store::open(&directory.path().join("data")).unwrap());
        store.begin("s", "p").unwrap();
        Self { toolbox: Toolbox::new(&settings, store), directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("workspace").join(name)
    }

    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Output {
        self.bounded(name, arguments, 32 * 1024).await
    }

    pub(crate) async fn bounded(&self, name: &str, arguments: Value, most: usize) -> Output {
        let job = Job { arguments: arguments.to_string(), session: "s".into(), most };
        self.toolbox.call(name, &job).await
    }

    /// The text of a call that works.
    pub(crate) async fn ok(&self, name: &str, arguments: Value) -> String {
        let output = self.call(name, arguments).await;
        assert!(!output.failed, "{}", output.text);
        output.text
    }

    /// The text of a call that fails.
    pub(crate) async fn fails(&self, name: &str, arguments: Value) -> String {
        let output = self.call(name, arguments).await;
        assert!(output.failed, "{}", output.text);
        output.text
    }
}

#[test]
fn every_tool_has_a_closed_schema_that_requires_only_what_it_has() {
    for builtin in Builtin::ALL {
        let tool = builtin.tool();
        assert!(!tool.description.is_empty());
        assert_eq!(tool.parameters["type"], "object", "{}", tool.name);
        assert_eq!(tool.parameters["additionalProperties"], false, "{}", tool.name);
        let properties = tool.parameters["properties"].as_object().unwrap();
        for required in tool.parameters["required"].as_array().unwrap() {
            assert!(properties.contains_key(required.as_str().unwrap()), "{}", tool.name);
        }
        for (name, property) in properties {
            assert!(property["description"].is_string(), "{}.{name}", tool.name);
        }
    }
}

#[test]
fn the_configuration_knows_every_tool_by_its_name() {
    assert_eq!(Builtin::ALL.map(|builtin| builtin.tool().name), nanoclaw_config::BUILTIN_TOOLS);
}

#[test]
fn only_what_the_settings_allow_is_offered() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::new("a", "m");
    settings.tools.allow = Some(vec!["file_*".into(), "shell".into()]);
    settings.tools.deny = vec!["file_write".into()];
    let toolbox = Toolbox::new(&settings, Rc::new(Store::open(directory.path()).unwrap()));
    let current = toolbox.current();
    let names: Vec<_> = current.tools().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["file_read", "file_edit", "file_list", "file_search", "shell"]);
}

#[tokio::test]
async fn a_tool_that_is_not_offered_is_not_executed() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::new("a", "m");
    settings.workspace = directory.path().to_owned();
    settings.tools.allow = Some(vec!["file_read".into()]);
    let toolbox = Toolbox::new(&settings, Rc::new(Store::open(directory.path()).unwrap()));
    let arguments = json!({"path": "f", "content": "x"}).to_string();
    let output = toolbox.call("file_write", &Job { arguments, session: "s".into(), most: 1000 }).await;
    assert_eq!(output.text, "there is no tool `file_write`; there are: file_read");
    assert!(output.failed);
    assert!(!directory.path().join("f").exists());
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let bench = Bench::new();
    let text = bench.fails("file_read", json!({"path": "f", "colour": 1})).await;
    assert!(text.starts_with("the arguments do not fit this tool: unknown field `colour`"), "{text}");
    assert!(bench.fails("file_read", json!({})).await.contains("missing field `path`"));
    assert!(bench.fails("file_read", json!([1])).await.starts_with("the arguments do not fit"));
    let broken = Job { arguments: "{\"path\": ".into(), session: "s".into(), most: 1000 };
    assert!(bench.toolbox.call("file_read", &broken).await.failed);
}

#[tokio::test]
async fn no_output_is_longer_than_it_may_be() {
    let bench = Bench::new();
    bench.put("big", "a line of words\n".repeat(100_000));
    for (name, arguments) in [
        ("file_read", json!({"path": "big"})),
        ("file_search", json!({"text": "words"})),
        ("shell", json!({"command": "cat big"})),
        ("file_read", json!({"path": "x".repeat(5000)})),
    ] {
        let output = bench.bounded(name, arguments, 1024).await;
        assert!(output.text.len() <= 1024, "{name}: {}", output.text.len());
        assert!(output.text.contains("cut"), "{name}: {}", output.text);
    }
}
