use std::os::unix::fs::symlink;

use super::*;

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn skill(&self, folder: &str, name: &str, description: &str) {
        let text = format!("---\nname: {name}\ndescription: {description}\n---\n# How\n");
        self.put(&format!("{folder}/SKILL.md"), text);
    }

    fn find(&self) -> Skills {
        Skills::find(self.0.path())
    }

    fn names(&self) -> Vec<String> {
        self.find().skills.keys().cloned().collect()
    }

    fn refused(&self, name: &str, file: &str) -> String {
        self.find().open(name, file).unwrap_err().0
    }
}

fn content(file: File) -> String {
    io::read_to_string(file).unwrap()
}

#[test]
fn skills_are_listed_by_name_with_their_folder() {
    let bench = Bench::new();
    bench.skill("z", "excel", "Tables.");
    bench.skill("a", "pdf", "Forms\u{200b}.");
    bench.put("README.md", "not a skill");
    bench.put(".git/SKILL.md", "---\nname: git\ndescription: d\n---\n");
    let top = bench.0.path().display();
    let skills = bench.find();
    assert_eq!(skills.list(), format!("- excel ({top}/z): Tables.\n- pdf ({top}/a): Forms.\n"));
    assert!(content(skills.open("pdf", MAIN_FILE).unwrap()).ends_with("# How\n"));
}

#[test]
fn what_is_no_skill_is_left_out_and_the_others_stay() {
    let bench = Bench::new();
    bench.skill("good", "good", "d");
    bench.skill("twin", "good", "the second of its name");
    bench.skill("odd", "\"a b\"", "a name with a space");
    bench.skill("long", &"n".repeat(65), "d");
    bench.put("bare/SKILL.md", "# No front matter\n");
    bench.put("binary/SKILL.md", b"\x7fELF\0\xff\xfe");
    bench.put("empty/notes.md", "no SKILL.md");
    std::fs::create_dir_all(bench.path("dir/SKILL.md")).unwrap();
    assert_eq!(bench.names(), ["good"]);
    assert!(Skills::find(&bench.path("missing")).is_empty());
}

#[test]
fn a_giant_file_without_an_end_of_its_front_matter_is_not_read_whole() {
    let bench = Bench::new();
    bench.put("giant/SKILL.md", "---\nname: giant\n");
    let file = File::options().append(true).open(bench.path("giant/SKILL.md")).unwrap();
    file.set_len(1 << 40).unwrap();
    bench.skill("good", "good", &"d".repeat(10_000));
    assert_eq!(bench.names(), ["good"]);
    assert!(bench.find().list().len() < LONGEST_DESCRIPTION + 600);
}

#[test]
fn a_thousand_skills_leave_the_prompt_short() {
    let bench = Bench::new();
    for n in 0..1000 {
        bench.skill(&format!("s{n}"), &format!("s{n}"), &"d".repeat(1000));
    }
    let skills = bench.find();
    assert!(skills.skills.len() <= MOST_SKILLS && !skills.is_empty());
    assert!(skills.list().len() <= LONGEST_LIST);
}

#[test]
fn no_link_leads_out_of_a_skill_or_into_one() {
    let bench = Bench::new();
    bench.skill("good", "good", "d");
    bench.skill("secret", "secret", "d");
    symlink("/etc", bench.path("good/etc")).unwrap();
    symlink("/etc/passwd", bench.path("good/passwd")).unwrap();
    symlink("../secret/SKILL.md", bench.path("good/other")).unwrap();
    symlink("SKILL.md", bench.path("good/self")).unwrap();
    // A folder that is a link, and one whose SKILL.md is.
    symlink("/etc", bench.path("link")).unwrap();
    std::fs::create_dir(bench.path("fake")).unwrap();
    symlink("/etc/passwd", bench.path("fake/SKILL.md")).unwrap();
    assert_eq!(bench.names(), ["good", "secret"]);
    for file in ["etc/passwd", "passwd", "other", "self"] {
        assert_eq!(
            bench.refused("good", file),
            format!("`{file}` of the skill `good` is a link, and links are not followed here")
        );
    }
}

#[test]
fn a_path_leads_nowhere_but_into_its_skill() {
    let bench = Bench::new();
    bench.skill("good", "good", "d");
    bench.skill("secret", "secret", "d");
    bench.put("good/deep/er/notes.md", "notes");
    bench.put("outside", "x");
    assert_eq!(content(bench.find().open("good", "./deep/er/./notes.md").unwrap()), "notes");
    for file in ["../secret/SKILL.md", "..", "/etc/passwd", "deep/../SKILL.md", "../outside", "deep/../../outside"] {
        assert_eq!(bench.refused("good", file), format!("`{file}` of the skill `good` is not in its folder"));
    }
    for (file, says) in [
        ("", "is a directory"),
        (".", "is a directory"),
        ("deep", "is a directory"),
        ("missing", "does not exist"),
        ("SKILL.md/x", "is not a regular file"),
        ("a\0b", "is not a regular file"),
    ] {
        assert_eq!(bench.refused("good", file), format!("`{file}` of the skill `good` {says}"));
    }
    assert_eq!(bench.refused("../good", MAIN_FILE), "there is no skill `../good`; there are: good, secret");
}

#[test]
fn a_fifo_is_not_waited_for() {
    let bench = Bench::new();
    bench.skill("good", "good", "d");
    let made = std::process::Command::new("mkfifo").arg(bench.path("good/fifo")).status().unwrap();
    assert!(made.success());
    assert_eq!(bench.refused("good", "fifo"), "`fifo` of the skill `good` is not a regular file");
}
