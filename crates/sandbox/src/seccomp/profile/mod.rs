//! The allow list. Each table is a chapter of `docs/reference/seccomp.md`, which is made from it.

mod files;
#[cfg(target_arch = "x86_64")]
mod legacy;
mod network;
mod processes;
mod refused;

use super::rule::{Chapter, Rule};

/// Every chapter, in the order of the reference.
pub(super) const CHAPTERS: &[Chapter] = &[
    files::DESCRIPTORS,
    files::CHANGES,
    network::NETWORK,
    processes::MEMORY,
    processes::PROCESSES,
    processes::TIME,
    refused::REFUSED,
    #[cfg(target_arch = "x86_64")]
    legacy::LEGACY,
];

/// Every rule.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    CHAPTERS.iter().flat_map(|chapter| chapter.rules)
}
