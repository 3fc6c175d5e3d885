//! What is told about an attack, one JSON object a line.

use serde::{Deserialize, Serialize};

use super::attempt::describe;
use super::{Attack, Context, Control, Group, HostUser, Mode, Outcome, Scope, Stopped, child};

/// How one attack went, and whether that is what must happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The attack's name.
    pub name: String,
    /// Its group.
    pub group: Group,
    /// What it tries, for people.
    pub what: String,
    /// Where it was seen; may be empty.
    pub reference: String,
    /// The layer that has to stop it.
    pub layer: String,
    /// `stopped`, `succeeded`, `not-applicable` or `broken`.
    pub outcome: String,
    /// How it was stopped, the evidence of its success, or the reason why it tells nothing.
    pub detail: String,
    /// The errno, where that is how it was stopped.
    pub errno: Option<i32>,
    /// What must happen, one of these.
    pub expected: Vec<String>,
    /// Whether it was stopped as expected, or is not applicable.
    pub ok: bool,
    /// The kind of control: `inside` or `outside`.
    pub control: String,
    /// Whether the control held; `None` where it is for the other side to check, or does not apply.
    pub control_ok: Option<bool>,
    /// What the control saw, where it did not hold.
    pub control_detail: String,
}

/// The last line of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Attacks that were tried.
    pub tried: usize,
    /// Of these, stopped as expected.
    pub stopped: usize,
    /// The ones that were not.
    pub failed: Vec<String>,
    /// The ones that make no sense here.
    pub not_applicable: Vec<String>,
    /// The ones whose control did not hold.
    pub controls_failed: Vec<String>,
}

impl Summary {
    /// Counts one more.
    pub fn add(&mut self, report: &Report) {
        if report.outcome == "not-applicable" {
            self.not_applicable.push(report.name.clone());
        } else {
            self.tried += 1;
            if report.ok {
                self.stopped += 1;
            } else {
                self.failed.push(report.name.clone());
            }
        }
        if report.control_ok == Some(false) {
            self.controls_failed.push(report.name.clone());
        }
    }

    /// Whether every attack was stopped as expected and every control held.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.controls_failed.is_empty()
    }
}

impl Attack {
    /// Tries it in this cell, with its inside control.
    pub fn report_inside(&self, group: Group, context: &Context) -> Report {
        let outcome = if self.scope == Scope::Restricted && context.settings.mode == Mode::Standard {
            Outcome::NotApplicable("`standard` mode allows it by design".to_owned())
        } else {
            child::outcome_of(|| (self.run)(context))
        };
        let ok = match &outcome {
            Outcome::Stopped(stopped) => self.expect.contains(stopped),
            Outcome::NotApplicable(_) => true,
            Outcome::Succeeded(_) | Outcome::Broken(_) => false,
        };
        let mut report = self.report(group, &outcome, ok);
        if let (Control::Inside(control), false) = (self.control, matches!(outcome, Outcome::NotApplicable(_))) {
            let held = child::outcome_of(|| match control(context) {
                Ok(()) => Outcome::Succeeded(String::new()),
                Err(reason) => Outcome::Broken(reason),
            });
            report.control_ok = Some(matches!(held, Outcome::Succeeded(_)));
            report.control_detail = describe(&held);
        }
        report
    }

    /// Tries it outside a cell and compares with its outside control; `None` where it has none for this user.
    pub fn report_outside(&self, group: Group, context: &Context) -> Option<Report> {
        let seen = match (self.control, context.settings.user) {
            (Control::Outside(seen), _) | (Control::OutsideRoot(seen), HostUser::Root) => seen,
            (Control::OutsideRoot(_), HostUser::Rootless) | (Control::Inside(_), _) => return None,
        };
        let outcome = child::outcome_of(|| (self.run)(context));
        let held = seen.iter().any(|seen| seen.is(&outcome));
        let applies = !matches!(outcome, Outcome::NotApplicable(_));
        let mut report = self.report(group, &outcome, held || !applies);
        report.expected = seen.iter().map(|seen| format!("{seen:?}")).collect();
        report.control_ok = applies.then_some(held);
        Some(report)
    }

    fn report(&self, group: Group, outcome: &Outcome, ok: bool) -> Report {
        let kind = match outcome {
            Outcome::Stopped(_) => "stopped",
            Outcome::Succeeded(_) => "succeeded",
            Outcome::NotApplicable(_) => "not-applicable",
            Outcome::Broken(_) => "broken",
        };
        Report {
            name: self.name.to_owned(),
            group,
            what: self.what.to_owned(),
            reference: self.reference.to_owned(),
            layer: self.layer.to_owned(),
            outcome: kind.to_owned(),
            detail: describe(outcome).chars().take(DETAIL).collect(),
            errno: match outcome {
                Outcome::Stopped(Stopped::Errno(errno)) => Some(*errno),
                _ => None,
            },
            expected: self.expect.iter().map(Stopped::to_string).collect(),
            ok,
            control: match self.control {
                Control::Inside(_) => "inside",
                Control::Outside(_) | Control::OutsideRoot(_) => "outside",
            }
            .to_owned(),
            control_ok: None,
            control_detail: String::new(),
        }
    }
}

/// Characters of evidence in one report: enough to see what happened, and a line that a terminal can show.
const DETAIL: usize = 600;
