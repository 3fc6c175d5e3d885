//! Grafana Loki. Delivered is what it has answered for. What is sent twice is the same line at the same time, which Loki
//! keeps once.

use std::collections::BTreeMap;

use nanoclaw_config::Http;
use serde_json::{Value, json};

use super::Delivery;
use crate::SinkError;
use crate::http::{Posted, Service};
use crate::record::Record;

pub(crate) struct Loki {
    service: Service,
    host: String,
}

impl Loki {
    pub(crate) fn new(sink: &str, http: &Http, tenant: Option<&str>, host: &str) -> Result<Self, SinkError> {
        let mut service = Service::new(sink, http, "/loki/api/v1/push", "application/json")?;
        if let Some(tenant) = tenant {
            service = service.with_header("x-scope-orgid", tenant);
        }
        Ok(Self { service, host: host.to_owned() })
    }

    pub(crate) async fn deliver(&self, records: &[Record]) -> Result<Delivery, String> {
        // Few streams, whatever agents do: what has many values is beside the line instead.
        let mut streams = BTreeMap::<&str, Vec<Value>>::new();
        for record in records {
            let beside = json!({
                "agent_id": record.agent, "action": record.action, "severity": record.severity, "seq": record.seq.to_string(),
            });
            let value = json!([record.timestamp.as_nanosecond().to_string(), record.line, beside]);
            streams.entry(&record.result).or_default().push(value);
        }
        let streams: Vec<Value> = streams
            .into_iter()
            .map(|(result, values)| {
                let labels = json!({ "service_name": "nanoclaw", "host": self.host, "result": result });
                json!({ "stream": labels, "values": values })
            })
            .collect();
        Ok(match self.service.post(json!({ "streams": streams }).to_string()).await? {
            Posted::Taken(_) => Delivery::Done(Vec::new()),
            Posted::Refused(why) => Delivery::TooMuch(why),
        })
    }
}
