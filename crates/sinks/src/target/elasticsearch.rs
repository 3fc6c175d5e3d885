//! Elasticsearch and OpenSearch, by the bulk interface. A record is created under its hash, so that one that is sent twice
//! is there once. Delivered is what it has answered for.

use http::StatusCode;
use nanoclaw_config::Http;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Delivery;
use crate::SinkError;
use crate::http::{Service, is_final, said};
use crate::record::Record;

/// Most of a reason that is kept, in characters.
const MOST_SHOWN: usize = 300;

pub(crate) struct Elasticsearch {
    service: Service,
    index: String,
    host: String,
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
        Ok(Self { service, index: index.to_owned(), host: host.to_owned() })
    }

    pub(crate) async fn deliver(&self, records: &[Record]) -> Result<Delivery, String> {
        let mut body = String::new();
        for record in records {
            let Some(fields) = record.line.strip_prefix('{') else { continue };
            let create = json!({ "create": { "_index": self.index, "_id": record.hash } });
            let more = json!({ "@timestamp": record.timestamp, "host": { "name": self.host } }).to_string();
            // One object, with what data streams want of it first.
            body.push_str(&format!("{create}\n{},{fields}\n", more.trim_end_matches('}').to_owned() + "}"));
        }
        let (status, answer) = self.service.post(body.into_bytes()).await?;
        if is_final(status) {
            return Ok(Delivery::TooMuch(said(status, &answer)));
        }
        if status != StatusCode::OK {
            return Err(said(status, &answer));
        }
        judge(&answer, records.len())
    }
}

/// What an answer says of so many records.
fn judge(answer: &[u8], count: usize) -> Result<Delivery, String> {
    let Ok(Answer { items }) = serde_json::from_slice(answer) else {
        return Err(format!("it does not answer for each record: {}", said(StatusCode::OK, answer)));
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
    let text: String = text.chars().filter(|c| !c.is_control()).take(MOST_SHOWN).collect();
    format!("status {status}: {text}")
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
