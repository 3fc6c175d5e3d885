//! What the settings say about MCP servers.

use std::collections::BTreeMap;

use nanoclaw_config::McpTransport;
use serde::{Deserialize, Serialize};

use crate::tools::Location;

/// Longest name of a server in bytes: with `__` and a tool's name behind it, it must fit into the name of a tool.
pub(crate) const LONGEST_SERVER_NAME: usize = 40;

/// An MCP server (Model Context Protocol) whose tools an agent is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum McpServer {
    /// A program in the cell, spoken to over its standard streams.
    Program {
        /// Its name; its tools are called `name__tool`.
        name: String,
        /// Program and arguments.
        command: Vec<String>,
        /// Its environment on top of the agent's.
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    /// A server that the cell's network door lets through, spoken to over streamable HTTP.
    Web {
        /// Its name; its tools are called `name__tool`.
        name: String,
        /// `http://` or `https://` address.
        url: String,
    },
}

impl McpServer {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            McpServer::Program { name, .. } | McpServer::Web { name, .. } => name,
        }
    }

    /// Checks it. The error says what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = self.name();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=LONGEST_SERVER_NAME).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(format!("the name `{name}` must be 1 to {LONGEST_SERVER_NAME} characters of a-z, 0-9 and `-`"));
        }
        match self {
            McpServer::Program { command, .. } if command.is_empty() => Err(format!("`{name}` has an empty command")),
            McpServer::Program { .. } => Ok(()),
            McpServer::Web { url, .. } => Location::parse(url).map(drop),
        }
    }
}

impl From<&nanoclaw_config::McpServer> for McpServer {
    fn from(server: &nanoclaw_config::McpServer) -> Self {
        let name = server.name.clone();
        match &server.transport {
            McpTransport::Stdio { command, env } => Self::Program { name, command: command.clone(), env: env.clone() },
            McpTransport::Http { url } => Self::Web { name, url: url.clone() },
        }
    }
}
