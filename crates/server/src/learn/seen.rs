//! Refusals as they stand in the log.

use std::path::Path;

use serde::Deserialize;

/// Like refusals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Refused {
    pub(super) action: String,
    /// Path or resource; empty where records were folded into a count.
    pub(super) subject: String,
    pub(super) code: String,
    pub(super) severity: String,
    /// The policies that forbade it.
    pub(super) policies: Vec<String>,
    /// Whether a tool would have run at the provider.
    pub(super) at_provider: bool,
}

/// How often, and in which records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// The number of the first record.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
}

impl Times {
    pub(super) fn add(&mut self, more: Self) {
        self.count += more.count;
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, first, last } = self;
        let times = if *count == 1 { "once" } else { &format!("{count} times") };
        if first == last {
            write!(f, "{times}, record {first}")
        } else {
            write!(f, "{times}, records {first} to {last}")
        }
    }
}

#[derive(Deserialize)]
struct Record {
    seq: u64,
    action: String,
    path: Option<String>,
    resource: Option<String>,
    code: Option<String>,
    severity: String,
    #[serde(default)]
    policy_ids: Vec<String>,
    folded: Option<u64>,
    detail: Option<String>,
}

/// Reads a record of a refusal; `None` where it is no whole one.
pub(super) fn read(line: &str) -> Option<(Refused, Times)> {
    let record: Record = serde_json::from_str(line).ok()?;
    let at_provider = record.detail.is_some_and(|detail| detail.starts_with("offered to the model"));
    let refused = Refused {
        subject: record.path.or(record.resource).unwrap_or_default(),
        at_provider: record.action == "tool_call" && at_provider,
        action: record.action,
        code: record.code?,
        severity: record.severity,
        policies: record.policy_ids,
    };
    Some((refused, Times { count: record.folded.unwrap_or(1), first: record.seq, last: record.seq }))
}

impl Refused {
    /// In a few words.
    pub(super) fn told(&self) -> String {
        format!("{} {}", self.action, self.subject)
    }
}

/// Whether a host stands with its port.
pub(super) fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// The host of a connection that was refused with its port.
pub(super) fn host_with_port(refused: &Refused) -> Option<String> {
    let (host, _) = refused.subject.rsplit_once(':').filter(|_| has_port(&refused.subject))?;
    let by_name = ["net_connect", "http_request", "net_resolve"].contains(&refused.action.as_str());
    (by_name && refused.code == "host-not-allowed").then(|| host.to_owned())
}

/// Places of the system, where no agent has anything to write.
const SYSTEM: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"];

/// The directory that would have to be writable for a path; `None` for those of the system.
pub(super) fn directory(path: &str) -> Option<String> {
    let parent = Path::new(path).parent()?;
    let parts_are_plain = !path.split('/').any(|part| part == ".." || part == ".");
    let is_systems = parent == Path::new("/") || SYSTEM.iter().any(|place| parent.starts_with(place));
    (path.starts_with('/') && parts_are_plain && !is_systems).then(|| parent.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_folded_records_says_how_often() {
        let line = r#"{"timestamp":"t","agent_id":"a","action":"net_connect","result":"denied","seq":9,"code":"host-not-allowed","severity":"medium","folded":40}"#;
        let (refused, times) = read(line).unwrap();
        assert_eq!((refused.subject.as_str(), times), ("", Times { count: 40, first: 9, last: 9 }));
        assert!(read("{}").is_none());
    }

    #[test]
    fn places_of_the_system_are_never_learnt() {
        for path in ["/etc/passwd", "/usr/lib/x", "/x", "/data/../etc/x", "relative/x", "/proc/1/mem"] {
            assert_eq!(directory(path), None, "{path}");
        }
        assert_eq!(directory("/data/out/x.txt").as_deref(), Some("/data/out"));
    }
}
