//! The kinds of sinks.

mod elasticsearch;
mod file;
mod loki;
mod otlp;
mod syslog;

use nanoclaw_config::{Sink, SinkKind};

use crate::SinkError;
use crate::record::Record;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The sink has all of it, save those that it refuses for good: their places in the batch, and why.
    Done(Vec<(usize, String)>),
    /// The sink refuses the batch, and may take a smaller one.
    TooMuch(String),
}

/// Where one sink's records go.
pub(crate) enum Target {
    File(file::File),
    Syslog(syslog::Syslog),
    Elasticsearch(elasticsearch::Elasticsearch),
    Loki(loki::Loki),
    Otlp(otlp::Otlp),
}

impl Target {
    /// Sets it up. `host` is the name of this machine.
    pub(crate) fn new(sink: &Sink, host: &str) -> Result<Self, SinkError> {
        let name = &sink.name;
        Ok(match &sink.kind {
            SinkKind::File(path) => Target::File(file::File::new(path.clone())),
            SinkKind::Syslog { host: receiver, port, tls, ca } => {
                let tls = tls.then_some(ca.as_deref());
                Target::Syslog(syslog::Syslog::new(name, receiver, *port, tls, host)?)
            }
            SinkKind::Elasticsearch { http, index } => {
                Target::Elasticsearch(elasticsearch::Elasticsearch::new(name, http, index, host)?)
            }
            SinkKind::Loki { http, tenant } => Target::Loki(loki::Loki::new(name, http, tenant.as_deref(), host)?),
            SinkKind::Otlp(http) => Target::Otlp(otlp::Otlp::new(name, http, host)?),
        })
    }

    /// Delivers records that follow each other. What was interrupted is delivered again from its beginning.
    ///
    /// # Errors
    /// Why they were not delivered; they may be later.
    pub(crate) async fn deliver(&mut self, records: &[Record]) -> Result<Delivery, String> {
        match self {
            Target::File(file) => file.deliver(records),
            Target::Syslog(syslog) => syslog.deliver(records).await,
            Target::Elasticsearch(elasticsearch) => elasticsearch.deliver(records).await,
            Target::Loki(loki) => loki.deliver(records).await,
            Target::Otlp(otlp) => otlp.deliver(records).await,
        }
    }
}
