//! Requests, whole answers and streams, there and back.

mod answers;
mod properties;
mod requests;

use serde_json::Value;

use super::*;
use crate::{Delta, StreamReader, StreamWriter, ToolCall};

pub(in crate::responses) use properties::{any_json, some_deltas};

/// Deltas of one answer.
pub(super) fn written(deltas: &[Delta]) -> Vec<Event> {
    let mut writer = Writer::default();
    deltas.iter().flat_map(|delta| writer.write(delta.clone())).collect()
}

pub(super) fn read(events: &[Event]) -> Result<Vec<Delta>, crate::Malformed> {
    let mut reader = Reader::default();
    let mut deltas = Vec::new();
    for event in events {
        deltas.extend(reader.read(event)?);
    }
    Ok(deltas)
}

/// Joins pieces that follow each other.
pub(super) fn merged(deltas: Vec<Delta>) -> Vec<Delta> {
    let mut merged: Vec<Delta> = Vec::new();
    for delta in deltas {
        match (merged.last_mut(), &delta) {
            (Some(Delta::Text(all)), Delta::Text(more)) | (Some(Delta::Reasoning(all)), Delta::Reasoning(more)) => {
                all.push_str(more);
            }
            (Some(Delta::CallArguments { index, json: all }), Delta::CallArguments { index: next, json })
                if index == next =>
            {
                all.push_str(json);
            }
            _ => merged.push(delta),
        }
    }
    merged
}

pub(super) fn event(data: Value) -> Event {
    Event { name: data["type"].as_str().map(String::from), data: data.to_string() }
}

pub(super) fn data(event: &Event) -> Value {
    serde_json::from_str(&event.data).unwrap()
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}
