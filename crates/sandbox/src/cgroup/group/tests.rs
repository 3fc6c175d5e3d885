use super::*;

#[test]
fn a_name_that_could_be_a_path_or_a_file_of_the_kernel_is_an_error() {
    let support =
        super::super::detect("31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", Path::new("/nowhere"));
    let Support::None { .. } = support else { panic!("found a place in an empty directory") };
    let (fake, files) = super::super::fake::Fake::default().unified("/cg", "memory", "").shared();
    let support = super::super::detect::detect_in(&files, "1 2 0:1 / /cg rw - cgroup2 c rw\n", "0::/\n");
    let long = "a".repeat(NAME_MAX + 1);
    for name in ["", ".", "..", "a/b", "/", "cgroup.procs", "a b", "ä", "a\n", &long] {
        let error = Cgroup::create(&support, name, &Limits::default()).unwrap_err();
        assert!(matches!(error, CgroupError::Name { .. }), "{name}: {error}");
    }
    assert_eq!(fake.done(), Vec::<String>::new());
    assert!(Cgroup::create(&support, &"a".repeat(NAME_MAX), &Limits::default()).is_ok());
}

#[test]
fn where_no_groups_can_be_made_creating_one_says_why() {
    let support = Support::None { why: "because".to_owned() };
    assert_eq!(Cgroup::create(&support, "a", &Limits::default()).unwrap_err().to_string(), "because");
    assert_eq!(sweep(&support, |_| false).unwrap(), Vec::<String>::new());
}
