//! How far hosts and places are trusted, and how confidential what comes from them is.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nanoclaw_config::{DataClass, HostSet, Label, Labels, Trust};
use nanoclaw_request::Host;

/// The label of a host that nobody labelled.
const UNKNOWN_HOST: Label = Label::new(Trust::Untrusted, DataClass::Public);
/// The label of a place that is labelled in part.
const UNKNOWN_PLACE: Label = Label::new(Trust::Trusted, DataClass::Internal);

/// The label of a host; of a name also by the `addresses` that it leads to, where they are known. The first that fits the
/// name or an address counts, and of several addresses each adds its own.
pub(crate) fn host(labels: &Labels, host: &Host, addresses: &[IpAddr]) -> Label {
    let name = if let Host::Name(name) = host { Some(name) } else { None };
    let at = |address: Option<&IpAddr>| {
        let fits = |set: &HostSet| match set {
            HostSet::Name(pattern) => name.is_some_and(|name| pattern.matches(name)),
            HostSet::Net(net) => address.is_some_and(|address| net.contains(address.to_canonical())),
        };
        match labels.hosts.iter().find(|label| fits(&label.target)) {
            Some(label) => {
                Label::new(label.trust.unwrap_or(UNKNOWN_HOST.trust), label.data.unwrap_or(UNKNOWN_HOST.data))
            }
            None => UNKNOWN_HOST,
        }
    };
    let own = if let Host::Ip(address) = host { std::slice::from_ref(address) } else { addresses };
    own.iter().map(|address| at(Some(address))).reduce(Label::join).unwrap_or_else(|| at(None))
}

/// The label of all that a cell with these mounts can read: every labelled place that it sees, or that holds one.
pub(crate) fn visible(labels: &Labels, mounts: &[PathBuf]) -> Option<Label> {
    let seen = |path: &Path| mounts.iter().any(|mount| path.starts_with(mount) || mount.starts_with(path));
    let labelled =
        labels.paths.iter().filter(|label| seen(&label.path)).map(|label| {
            Label::new(label.trust.unwrap_or(UNKNOWN_PLACE.trust), label.data.unwrap_or(UNKNOWN_PLACE.data))
        });
    labelled.reduce(Label::join)
}

#[cfg(test)]
mod tests {
    use nanoclaw_config::{HostLabel, HostPattern, IpNet};
    use nanoclaw_request::DnsName;

    use super::*;

    #[test]
    fn a_name_has_the_label_of_the_network_that_it_leads_into() {
        let name = |text: &str| DnsName::parse(text).unwrap();
        let label = |target, trust, data| HostLabel { id: String::new(), target, trust, data };
        let net = |address: &str, prefix| HostSet::Net(IpNet::new(address.parse().unwrap(), prefix).unwrap());
        let hosts = vec![
            label(
                HostSet::Name(HostPattern::Exact(name("db.corp.test"))),
                Some(Trust::Trusted),
                Some(DataClass::Secret),
            ),
            label(net("10.0.0.0", 8), Some(Trust::Trusted), Some(DataClass::Confidential)),
            label(net("127.0.0.1", 32), Some(Trust::Trusted), None),
        ];
        let labels = Labels { hosts, ..Labels::default() };
        let of = |text: &str, addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let found = text.parse().map_or_else(|_| Host::Name(name(text)), Host::Ip);
            let Label { trust, data, .. } = host(&labels, &found, &addresses);
            (trust, data)
        };
        assert_eq!(of("db.corp.test", &["8.8.8.8"]), (Trust::Trusted, DataClass::Secret));
        assert_eq!(of("x.test", &[]), (Trust::Untrusted, DataClass::Public));
        assert_eq!(of("x.test", &["10.1.2.3"]), (Trust::Trusted, DataClass::Confidential));
        assert_eq!(of("x.test", &["10.1.2.3", "8.8.8.8"]), (Trust::Untrusted, DataClass::Confidential));
        assert_eq!(of("::ffff:10.1.2.3", &[]), (Trust::Trusted, DataClass::Confidential));
        assert_eq!(of("127.0.0.1", &[]), (Trust::Trusted, DataClass::Public));
    }
}
