//! The user guide's example of labels and rule sets does what the guide says.

use crate::support::Host;

/// What stands between these fences after `heading`.
fn block(guide: &str, heading: &str, fence: &str) -> String {
    let (_, section) = guide.split_once(heading).expect("the guide has the section");
    let (_, block) = section.split_once(&format!("\n```{fence}\n")).expect("the section has such a block");
    block.split("```\n").next().unwrap_or_default().to_owned()
}

#[test]
fn the_example_of_labels_and_rule_sets_decides_as_the_guide_says() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/user-guide.md")).unwrap();
    let host = Host::new();
    host.write("c.yaml", block(&guide, "### Labels and rule sets\n", "yaml"));
    assert_eq!(host.nanoclaw(["config", "check", "c.yaml"]).good(), "`c.yaml` is valid\n");
    let expected = block(&guide, "### Labels and rule sets\n", "text");
    host.write("expected.txt", &expected);
    let test = host.nanoclaw(["policy", "test", "-c", "c.yaml", "expected.txt"]);
    assert_eq!(test.good(), format!("{} as expected, 0 not\n", expected.lines().count()));
}
