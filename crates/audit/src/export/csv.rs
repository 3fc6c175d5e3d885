//! Records as rows of a table (RFC 4180).

use serde_json::{Map, Value};

/// The fields that have a column, in order.
const COLUMNS: [&str; 17] = [
    "seq",
    "timestamp",
    "agent_id",
    "action",
    "path",
    "resource",
    "result",
    "code",
    "severity",
    "reason",
    "detail",
    "door",
    "session_id",
    "request_seq",
    "policy_ids",
    "approved_by",
    "folded",
];

/// The first row.
pub const HEADER: &str = "seq,timestamp,agent_id,action,path,resource,result,code,severity,reason,detail,door,session_id,request_seq,policy_ids,approved_by,folded";

/// A line of the log as a row, without its end; `None` where it is no record. What a table program would take for a
/// formula begins with an apostrophe: agents choose some of the text.
pub fn csv(line: &str) -> Option<String> {
    let record: Map<String, Value> = serde_json::from_str(line).ok()?;
    record.get("seq")?;
    let cells = COLUMNS.iter().map(|name| cell(record.get(*name)));
    Some(cells.collect::<Vec<_>>().join(","))
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None => return String::new(),
        Some(Value::String(text)) => crate::shown(text),
        Some(Value::Array(items)) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            crate::shown(&items.join("; "))
        }
        Some(other) => return other.to_string(),
    };
    let guard = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_row_with_the_columns_of_the_header() {
        assert_eq!(HEADER, COLUMNS.join(","));
        let line = r#"{"timestamp":"t","agent_id":"a","action":"exec","path":"/a,\"b\"","result":"denied","reason":"r\nx","seq":7,"policy_ids":["p","q"],"severity":"low"}"#;
        assert_eq!(csv(line).unwrap(), r#"7,"t","a","exec","/a,""b""",,"denied",,"low","r\u{a}x",,,,,"p; q",,"#);
        assert_eq!(csv("{}"), None);
    }

    #[test]
    fn what_a_table_would_compute_is_text() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            let line = serde_json::json!({ "seq": 1, "detail": formula }).to_string();
            assert!(csv(&line).unwrap().contains(&format!("\"'{formula}\"")), "{formula}");
        }
    }
}
