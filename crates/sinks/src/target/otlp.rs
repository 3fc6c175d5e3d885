//! A collector of OpenTelemetry, by OTLP over HTTP in JSON. Delivered is what it has answered for.

use nanoclaw_config::Http;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Delivery;
use crate::SinkError;
use crate::http::{Posted, Service, quoted};
use crate::record::Record;

pub(crate) struct Otlp {
    service: Service,
    host: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A number of 64 bits, which JSON of Protocol Buffers writes as a text.
    rejected_log_records: Value,
    error_message: String,
}

impl Otlp {
    pub(crate) fn new(sink: &str, http: &Http, host: &str) -> Result<Self, SinkError> {
        let service = Service::new(sink, http, "/v1/logs", "application/json")?;
        Ok(Self { service, host: host.to_owned() })
    }

    pub(crate) async fn deliver(&self, records: &[Record]) -> Result<Delivery, String> {
        let logs: Vec<Value> = records.iter().map(log).collect();
        let scope = json!({ "name": "nanoclaw.audit", "version": env!("CARGO_PKG_VERSION") });
        let resource = attributes(&[("service.name", "nanoclaw"), ("host.name", &self.host)]);
        let body = json!({ "resourceLogs": [{
            "resource": { "attributes": resource },
            "scopeLogs": [{ "scope": scope, "logRecords": logs }],
        }]});
        Ok(match self.service.post(body.to_string()).await? {
            Posted::Taken(answer) => Delivery::Done(rejected(&answer, records.len())),
            Posted::Refused(why) => Delivery::TooMuch(why),
        })
    }
}

fn log(record: &Record) -> Value {
    // The numbers of the data model of logs: INFO, INFO2, WARN, ERROR.
    let (number, text) = match record.severity.as_str() {
        "high" => (17, "ERROR"),
        "medium" => (13, "WARN"),
        "low" => (10, "INFO2"),
        _ => (9, "INFO"),
    };
    let nanoseconds = record.timestamp.as_nanosecond().to_string();
    let seq = record.seq.to_string();
    json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "eventName": format!("nanoclaw.{}", record.action),
        "body": { "stringValue": record.line },
        "attributes": attributes(&[
            ("gen_ai.agent.id", &record.agent),
            ("nanoclaw.action", &record.action),
            ("nanoclaw.result", &record.result),
            ("nanoclaw.seq", &seq),
            ("nanoclaw.hash", &record.hash),
        ]),
    })
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<Value> {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } })).collect()
}

/// Which of so many records an answer rejects. It says how many, and not which: then any may be the one.
fn rejected(answer: &[u8], count: usize) -> Vec<(usize, String)> {
    let Answer { partial_success: partial } = serde_json::from_slice(answer).unwrap_or_default();
    let number = partial.rejected_log_records;
    let number = number.as_u64().or_else(|| number.as_str()?.parse().ok()).unwrap_or(0);
    if number == 0 {
        return Vec::new();
    }
    let message = quoted(&partial.error_message, 300);
    (0..count).map(|at| (at, format!("{number} of these {count} records were rejected: {message}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_may_be_a_partial_one() {
        for whole in ["", "{}", r#"{"partialSuccess":{}}"#, r#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#] {
            assert_eq!(rejected(whole.as_bytes(), 2), [], "{whole}");
        }
        for number in ["1", "\"1\""] {
            let answer = format!(r#"{{"partialSuccess":{{"rejectedLogRecords":{number},"errorMessage":"too old"}}}}"#);
            let why = "1 of these 2 records were rejected: too old".to_owned();
            assert_eq!(rejected(answer.as_bytes(), 2), [(0, why.clone()), (1, why)]);
        }
    }
}
