//! How far hosts and places are trusted, and how confidential what comes from them is.

use std::path::{Path, PathBuf};

use nanoclaw_config::{DataClass, HostSet, Label, Labels, Trust};
use nanoclaw_request::Host;

/// The label of a host that nobody labelled.
const UNKNOWN_HOST: Label = Label { trust: Trust::Untrusted, data: DataClass::Public };
/// The label of a place that is labelled in part.
const UNKNOWN_PLACE: Label = Label { trust: Trust::Trusted, data: DataClass::Internal };

/// The label of a host.
pub(crate) fn host(labels: &Labels, host: &Host) -> Label {
    let fits = |set: &HostSet| match (set, host) {
        (HostSet::Name(pattern), Host::Name(name)) => pattern.matches(name),
        (HostSet::Net(net), Host::Ip(address)) => net.contains(address.to_canonical()),
        (HostSet::Name(_), Host::Ip(_)) | (HostSet::Net(_), Host::Name(_)) => false,
    };
    match labels.hosts.iter().find(|label| fits(&label.target)) {
        Some(label) => Label {
            trust: label.trust.unwrap_or(UNKNOWN_HOST.trust),
            data: label.data.unwrap_or(UNKNOWN_HOST.data),
        },
        None => UNKNOWN_HOST,
    }
}

/// The label of all that a cell with these mounts can read: every labelled place that it sees, or that holds one.
pub(crate) fn visible(labels: &Labels, mounts: &[PathBuf]) -> Option<Label> {
    let seen = |path: &Path| mounts.iter().any(|mount| path.starts_with(mount) || mount.starts_with(path));
    let labelled = labels.paths.iter().filter(|label| seen(&label.path)).map(|label| Label {
        trust: label.trust.unwrap_or(UNKNOWN_PLACE.trust),
        data: label.data.unwrap_or(UNKNOWN_PLACE.data),
    });
    labelled.reduce(Label::join)
}
