//! `nanoclaw-config.yaml`: what was asked for.
//!
//! [`load`] turns a file into a [`Config`] in which every value is checked, or into a [`Report`] of every mistake
//! that it has. The way goes through three forms: lines (`source`), a tree that knows the place of each value (`tree`),
//! and the model, which `decode` fills level by level from tables of keys. An unknown key is a mistake, and so is a
//! value that would have to be guessed. The command line reads its values with the same parsers (`parse_*`).
#![forbid(unsafe_code)]

mod decode;
mod display;
pub mod glob;
mod labels;
mod limits;
mod list;
mod load;
mod model;
mod models;
mod network;
mod operators;
mod report;
mod schema;
mod sinks;
mod source;
mod tree;
mod value;

pub use labels::{
    DataClass, HostLabel, HostSet, Label, Labels, PathLabel, RuleSet, ToolClass, ToolLabel, Trust, UserLabels,
};
pub use list::{Item, list};
pub use load::{LoadError, Loaded, MAX_FILE, Notice, load, parse};
pub use model::{
    Agent, AgentKind, Config, Health, HostPattern, IpNet, Limits, Mount, MountMode, NetRule, NetTarget, Restart,
    Rootfs, SandboxMode,
};
pub use models::{
    AgentDialect, BUILTIN_TOOLS, Budget, Builtin, Cron, Group, LlamaServer, McpServer, McpTransport, ModelAccess,
    ModelRef, Models, NanoUsd, Provider, ProviderKind, Remote, Scheduled, SecretSource, ToolRule, ToolRules, Webhook,
    When,
};
pub use network::parse_net_rule;
pub use operators::{Api, Approvals, Oidc, ROLES};
pub use report::{Mistake, Report};
pub use schema::schema;
pub use sinks::{Audit, Credential, Http, RecordFormat, Sink, SinkKind};
pub use value::{
    ValueError, parse_cpus, parse_disk, parse_duration, parse_env, parse_files, parse_memory, parse_mount, parse_pids,
    parse_rootfs, parse_size, parse_timeout,
};
