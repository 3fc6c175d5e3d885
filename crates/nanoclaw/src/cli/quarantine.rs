//! `nanoclaw firewall quarantine`.

use clap::{Args, Subcommand};

/// `nanoclaw firewall quarantine`
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    pub what: Withheld,
}

/// What can be done about what is withheld from models.
#[derive(Debug, Subcommand)]
pub enum Withheld {
    /// What was withheld, and what was decided
    List {
        /// Of this agent only
        agent: Option<String>,
        /// One line of JSON each
        #[arg(long)]
        json: bool,
    },
    /// One text, and why it is withheld; what it says is made harmless to the terminal, not to its reader
    Show {
        /// Which agent
        agent: String,
        /// The text's id
        id: String,
        /// One line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Let the agent's model read a text, with a mark that it is data; the next request that carries it passes
    Release {
        /// Which agent
        agent: String,
        /// The text's id
        id: String,
    },
    /// Keep a text from the agent's model for good, and forget what it says
    Drop {
        /// Which agent
        agent: String,
        /// The text's id
        id: String,
    },
}
