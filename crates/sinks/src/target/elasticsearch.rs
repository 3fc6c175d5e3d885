//! Elasticsearch and OpenSearch, by the bulk interface. A record is created under its hash, so that one that is sent twice
//! is there once. Delivered is what it has answered for.

use nanoclaw_config::Http;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Delivery;
use crate::SinkError;
use crate::http::{Posted, Service, quoted};
use crate::record::Record;

/// Most of a reason that is kept, in characters.
const MOST_SHOWN: usize = 300;

pub(crate) struct Elasticsearch {
    service: Service,
    index: String,
    /// As JSON.
    host: Value,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    status: u16,
    #[serde(default)]
    error: Value,
}

impl Elasticsearch {
    pub(crate) fn new(sink: &str, http: &Http, index: &str, host: &str) -> Result<Self, SinkError> {
        let service = Service::new(sink, http, "/_bulk", "application/x-ndjson")?;
        Ok(Self { service, index: index.to_owned(), host: json!({ "name": host }) })
    }

    pub(crate) async fn deliver(&self, records: &[Record]) -> Result<Delivery, String> {
        let mut body = String::new();
        for record in records {
            let Some(fields) = record.line.strip_prefix('{') else { continue };
            let create = json!({ "create": { "_index": self.index, "_id": record.hash } });
            let (timestamp, host) = (json!(record.timestamp), &self.host);
            // One object, with what data streams want of it first.
            body.push_str(&format!("{create}\n{{\"@timestamp\":{timestamp},\"host\":{host},{fields}\n"));
        }
        match self.service.post(body).await? {
            Posted::Taken(answer) => judge(&answer, records.len()),
            Posted::Refused(why) => Ok(Delivery::TooMuch(why)),
        }
    }
}

/// What an answer says of so many records.
fn judge(answer: &[u8], count: usize) -> Result<Delivery, String> {
    let Ok(Answer { items }) = serde_json::from_slice(answer) else {
        let said = quoted(&String::from_utf8_lossy(answer), MOST_SHOWN);
        return Err(format!("it does not answer for each record: {said}"));
    };
    if items.len() != count {
        return Err(format!("it answers for {} records of {count}", items.len()));
    }
    let mut rejected = Vec::new();
    for (at, Item { create: Created { status, error } }) in items.into_iter().enumerate() {
        match status {
            // It is there, maybe since an earlier attempt.
            200..=299 | 409 => {}
            // All of them once more: those that are there are found to be.
            429 | 500.. => return Err(reason(status, &error)),
            _ => rejected.push((at, reason(status, &error))),
        }
    }
    Ok(Delivery::Done(rejected))
}

fn reason(status: u16, error: &Value) -> String {
    let text = error.get("reason").and_then(Value::as_str).map_or_else(|| error.to_string(), str::to_owned);
    format!("status {status}: {}", quoted(&text, MOST_SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_answered_for() {
        let answer = |statuses: &[u16]| {
            let items: Vec<Value> = statuses
                .iter()
                .map(|status| json!({ "create": { "status": status, "error": { "reason": "no\u{7} such field" } } }))
                .collect();
            judge(json!({ "errors": true, "items": items }).to_string().as_bytes(), 3)
        };
        assert_eq!(answer(&[201, 409, 200]), Ok(Delivery::Done(Vec::new())));
        let rejected = vec![(1, "status 400: no such field".to_owned())];
        assert_eq!(answer(&[201, 400, 201]), Ok(Delivery::Done(rejected)));
        for again in [429, 500, 503] {
            assert!(answer(&[201, 400, again]).is_err(), "{again}");
        }
        assert!(answer(&[201, 201]).unwrap_err().contains("2 records of 3"));
        assert!(judge(b"<html>", 3).is_err());
    }
}
