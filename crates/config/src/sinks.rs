//! Where the records of the audit log go besides the log.

use std::path::PathBuf;
use std::time::Duration;

use crate::SecretSource;

/// How the audit log is sealed, and who else gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The time between two signed checkpoints while there is something to seal.
    pub checkpoint_every: Duration,
    /// Who gets every record, in the order of the file.
    pub sinks: Vec<Sink>,
}

impl Default for Audit {
    /// A checkpoint each second, and nobody.
    fn default() -> Self {
        Self { checkpoint_every: Duration::from_secs(1), sinks: Vec::new() }
    }
}

/// Somewhere that records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Its name, unique in the file. How far it has come is kept under it.
    pub name: String,
    /// What records look like there.
    pub format: RecordFormat,
    /// What it is.
    pub kind: SinkKind,
}

/// What a record looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordFormat {
    /// As in the log.
    #[default]
    Nanoclaw,
    /// As an event of the Open Cybersecurity Schema Framework.
    Ocsf,
}

/// What a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// A file, a record per line.
    File(PathBuf),
    /// A receiver of syslog (RFC 5424) over TCP.
    Syslog {
        /// The name or the address of its host.
        host: String,
        /// Its port.
        port: u16,
        /// Whether over TLS (RFC 5425). Then `ca` may name certificates of further authorities, as a PEM file.
        tls: bool,
        /// See `tls`.
        ca: Option<PathBuf>,
    },
    /// Elasticsearch or OpenSearch.
    Elasticsearch {
        /// Where.
        http: Http,
        /// The data stream or index.
        index: String,
    },
    /// Grafana Loki.
    Loki {
        /// Where.
        http: Http,
        /// Whose logs these are, where several have theirs there.
        tenant: Option<String>,
    },
    /// A collector of OpenTelemetry, over HTTP.
    Otlp(Http),
}

impl SinkKind {
    /// One word for it, as in the file.
    pub fn name(&self) -> &'static str {
        match self {
            SinkKind::File(_) => "file",
            SinkKind::Syslog { .. } => "syslog",
            SinkKind::Elasticsearch { .. } => "elasticsearch",
            SinkKind::Loki { .. } => "loki",
            SinkKind::Otlp(_) => "otlp",
        }
    }
}

/// A service that is spoken to over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it is, without a slash at its end; paths are added.
    pub url: String,
    /// Who NanoClaw is to it.
    pub credential: Option<Credential>,
    /// Certificates of further authorities, as a PEM file. Only with `https`.
    pub ca: Option<PathBuf>,
}

/// What NanoClaw shows for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A bearer token (RFC 6750).
    Token(SecretSource),
    /// A key of Elasticsearch, as it gives them out for the header `Authorization`.
    ApiKey(SecretSource),
    /// A name and a password (RFC 7617).
    Password {
        /// The name, without a colon.
        user: String,
        /// The password.
        password: SecretSource,
    },
}
