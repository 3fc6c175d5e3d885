//! Escape attempts: the attack list of `nanoclaw_sandbox::attack`, run in cells of the shipped binary, as root and as an
//! ordinary user.
//!
//! Each attack must be stopped in exactly the way that the responsible layer stops it, each has a positive control, and
//! what cannot be tried is named and counted: an unexpected skip fails like an unexpected success. Run one attack with
//! `nanoclaw attack-inside outside NAME`, or list them with `nanoclaw attack-inside list`.
#![expect(clippy::expect_used, clippy::panic, reason = "what a test cannot set up or read is a failed test")]

mod range;
mod records;
mod remains;

use nanoclaw_sandbox::attack::{Control, Group, HostUser, Mode, Scope};
use range::{Range, Shots, skip};

/// The least number of attacks that must really be tried in a group, so that none is lost without notice.
const fn at_least(group: Group) -> usize {
    match group {
        Group::Files => 60,
        Group::Processes => 44,
        Group::Syscalls => 55,
        Group::Network => 70,
        Group::Resources => 20,
        Group::Control => 12,
    }
}

/// Attacks that make no sense as an ordinary user: nothing but a control group limits the memory of a whole cell.
const SKIPPED_ROOTLESS: &[&str] = &["memory-file-bomb"];

/// Attacks the whole group and lets none through.
fn hold(group: Group, user: HostUser, mode: Mode) {
    let Some(range) = Range::new(user, mode) else { return };
    let shots = range.attack(&[group.name()]);
    let expected_skips: Vec<&str> = group
        .attacks()
        .filter(|attack| {
            (mode == Mode::Standard && attack.scope == Scope::Restricted)
                || (user == HostUser::Rootless && SKIPPED_ROOTLESS.contains(&attack.name))
        })
        .map(|attack| attack.name)
        .collect();
    report_skips(&shots, group, user);
    let failures = failures(&shots);
    assert!(
        failures.is_empty(),
        "{} of {} attacks of group {} were not stopped as they must be:\n{}\nstandard error:\n{}",
        failures.len(),
        shots.summary.tried,
        group.name(),
        failures.join("\n"),
        shots.stderr,
    );
    assert_eq!(shots.summary.not_applicable, expected_skips, "these skips are known, and no others");
    assert_eq!(shots.reports.len(), group.attacks().count(), "every attack of the group reported");
    assert_eq!(shots.summary.stopped, shots.summary.tried);
    assert_eq!(shots.status, Some(0));
    assert!(shots.summary.tried + expected_skips.len() >= at_least(group), "only {} were tried", shots.summary.tried);
}

fn report_skips(shots: &Shots, group: Group, user: HostUser) {
    for report in shots.reports.iter().filter(|report| report.outcome == "not-applicable") {
        eprintln!("SKIPPED {} ({}, {user:?}): {}", report.name, group.name(), report.detail);
    }
    eprintln!(
        "{} ({user:?}): {} tried, {} stopped, {} skipped",
        group.name(),
        shots.summary.tried,
        shots.summary.stopped,
        shots.summary.not_applicable.len()
    );
}

/// One line for each attack or control that did not go as it must.
fn failures(shots: &Shots) -> Vec<String> {
    let attacks = shots.reports.iter().filter(|report| !report.ok).map(|report| {
        format!("{}: {} {}, expected {}", report.name, report.outcome, report.detail, report.expected.join(" or "))
    });
    let controls = shots
        .reports
        .iter()
        .filter(|report| report.control_ok == Some(false))
        .map(|report| format!("{}: the control did not hold: {}", report.name, report.control_detail));
    attacks.chain(controls).collect()
}

macro_rules! group_tests {
    ($($test:ident: $group:ident $user:ident $mode:ident;)*) => {$(
        #[test]
        fn $test() {
            hold(Group::$group, HostUser::$user, Mode::$mode);
        }
    )*};
}
group_tests! {
    files_hold_as_root: Files Root Restricted;
    files_hold_rootless: Files Rootless Restricted;
    processes_hold_as_root: Processes Root Restricted;
    processes_hold_rootless: Processes Rootless Restricted;
    syscalls_hold_as_root: Syscalls Root Restricted;
    syscalls_hold_rootless: Syscalls Rootless Restricted;
    network_holds_as_root: Network Root Restricted;
    network_holds_rootless: Network Rootless Restricted;
    resources_hold_as_root: Resources Root Restricted;
    resources_hold_rootless: Resources Rootless Restricted;
    control_holds_as_root: Control Root Restricted;
    control_holds_rootless: Control Rootless Restricted;
    files_hold_in_standard_mode: Files Root Standard;
    processes_hold_in_standard_mode: Processes Root Standard;
    syscalls_hold_in_standard_mode: Syscalls Root Standard;
    network_holds_in_standard_mode: Network Root Standard;
    resources_hold_in_standard_mode: Resources Root Standard;
    control_holds_in_standard_mode: Control Root Standard;
}

/// The promise of the suite: at least 120 attacks.
#[test]
fn at_least_120_attacks_are_tried() {
    let promised: usize = Group::ALL.into_iter().map(at_least).sum();
    assert!(promised >= 120, "{promised}");
    for group in Group::ALL {
        assert!(group.attacks().count() >= at_least(group), "{}", group.name());
    }
}

/// Outside a cell the same code gets through, or meets another answer: so it is well-formed, and its test can fail.
fn get_through_outside(user: HostUser) {
    let Some(range) = Range::new(user, Mode::Restricted) else { return };
    let shots = range.outside();
    let failures = failures(&shots);
    assert!(failures.is_empty(), "these controls did not hold:\n{}\n{}", failures.join("\n"), shots.stderr);
    assert!(shots.summary.not_applicable.is_empty(), "not tried: {:?}", shots.summary.not_applicable);
    let with_control = Group::ALL.into_iter().flat_map(Group::attacks).filter(|attack| match attack.control {
        Control::Outside(_) => true,
        Control::OutsideRoot(_) => user == HostUser::Root,
        Control::Inside(_) => false,
    });
    assert_eq!(shots.summary.tried, with_control.count());
    assert_eq!(shots.status, Some(0));
}

#[test]
fn attacks_get_through_outside_a_cell_as_root() {
    get_through_outside(HostUser::Root);
}

#[test]
fn attacks_get_through_outside_a_cell_as_user() {
    get_through_outside(HostUser::Rootless);
}

/// What ships is what is tested: the user's command finds the same.
#[test]
fn doctor_attack_lets_nothing_through_as_root() {
    doctor_attack_lets_nothing_through(HostUser::Root);
}

#[test]
fn doctor_attack_lets_nothing_through_as_user() {
    doctor_attack_lets_nothing_through(HostUser::Rootless);
}

fn doctor_attack_lets_nothing_through(user: HostUser) {
    let Some(range) = Range::new(user, Mode::Restricted) else { return };
    let output = range.nanoclaw(&["doctor", "--attack", "--json"]);
    let shots = Shots::read(&output);
    let failures = failures(&shots);
    assert!(failures.is_empty() && output.status.success(), "{}\n{}", failures.join("\n"), shots.stderr);
    assert!(shots.summary.tried >= 200, "only {} were tried", shots.summary.tried);
    if !shots.summary.not_applicable.is_empty() {
        skip(&format!("by `doctor --attack`: {}", shots.summary.not_applicable.join(", ")));
    }
}
