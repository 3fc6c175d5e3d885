//! `nanoclaw-config.yaml`: what was asked for.
#![forbid(unsafe_code)]

mod model;

pub use model::{
    Agent, Config, Health, HostPattern, IpNet, Limits, Mount, MountMode, NetRule, NetTarget, Restart, Rootfs,
    SandboxMode,
};
