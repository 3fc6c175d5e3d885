//! What an agent did in a time, as a page for an auditor: to read, to print, and to check.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nanoclaw_tlog::verify::Report as Verified;
use serde_json::{Map, Value};

use crate::ResultKind;
use crate::text::shown;

/// Most rows of one table; the others are counted.
const MOST_ROWS: usize = 500;

const STYLE: &str = "body{font:14px/1.4 sans-serif;max-width:60em;margin:2em auto;color:#111}table{border-collapse:collapse;\
width:100%;margin:.5em 0 1.5em}th,td{text-align:left;vertical-align:top;padding:.2em .6em;border-bottom:1px solid #ccc;\
overflow-wrap:anywhere}td.n,th.n{text-align:right;white-space:nowrap}pre{white-space:pre-wrap;overflow-wrap:anywhere;\
background:#f4f4f4;padding:.8em}.bad{color:#a00;font-weight:bold}@media print{body{margin:0}tr{break-inside:avoid}}";

#[derive(Default)]
struct Use {
    calls: u64,
    input: u64,
    output: u64,
    usd: f64,
}

/// What has been seen so far.
#[derive(Default)]
pub struct Report {
    records: u64,
    first: String,
    last: String,
    /// By action, how often each result.
    actions: BTreeMap<String, [u64; ResultKind::ALL.len()]>,
    /// By action and what it was about, how often it was allowed.
    subjects: BTreeMap<(String, String), u64>,
    refusals: Vec<[String; 5]>,
    more_refusals: u64,
    agreed: Vec<[String; 4]>,
    more_agreed: u64,
    models: BTreeMap<String, Use>,
}

impl Report {
    /// Takes one line of the log; what is no record is let be.
    pub fn add(&mut self, line: &str) {
        let Ok(record) = serde_json::from_str::<Map<String, Value>>(line) else { return };
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        let (Some(seq), Ok(result)) = (number("seq"), text("result").parse::<ResultKind>()) else { return };
        // A count stands for so many like it.
        let times = number("folded").unwrap_or(1);
        let (action, time) = (text("action"), text("timestamp"));
        let subject = if text("path").is_empty() { text("resource") } else { text("path") };
        self.records += 1;
        if self.first.is_empty() {
            self.first.clone_from(&time);
        }
        self.last.clone_from(&time);
        let column = ResultKind::ALL.iter().position(|kind| *kind == result);
        let counts = self.actions.entry(action.clone()).or_default();
        if let Some(count) = column.and_then(|column| counts.get_mut(column)) {
            *count += times;
        }
        match result {
            ResultKind::Denied if self.refusals.len() < MOST_ROWS => {
                self.refusals.push([seq.to_string(), time.clone(), action.clone(), subject.clone(), text("reason")]);
            }
            ResultKind::Denied => self.more_refusals += 1,
            ResultKind::Allowed if !subject.is_empty() => {
                *self.subjects.entry((action.clone(), subject.clone())).or_default() += times;
            }
            _ => {}
        }
        let people = record
            .get("approved_by")
            .and_then(Value::as_array)
            .map_or(Vec::new(), |people| people.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        if !people.is_empty() && self.agreed.len() < MOST_ROWS {
            self.agreed.push([seq.to_string(), time, format!("{action} {subject}"), people.join(", ")]);
        } else if !people.is_empty() {
            self.more_agreed += 1;
        }
        if let Some(model) = record.get("model") {
            let name = |field: &str| model[field].as_str().unwrap_or("?").to_owned();
            let used = self.models.entry(format!("{}/{}", name("provider"), name("name"))).or_default();
            used.calls += 1;
            used.input += model["input_tokens"].as_u64().unwrap_or(0);
            used.output += model["output_tokens"].as_u64().unwrap_or(0);
            used.usd += model["cost_usd"].as_str().and_then(|usd| usd.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }

    /// The page. `about` says whom it is about and for which time, `verified` what came of checking the log, and
    /// `checkpoint` is the signed note that seals it.
    pub fn html(&self, about: &str, made: &str, verified: &Verified, checkpoint: &str) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _complete = self.write(&mut page, about, made, verified, checkpoint).is_ok();
        page
    }

    fn write(
        &self,
        page: &mut String,
        about: &str,
        made: &str,
        verified: &Verified,
        checkpoint: &str,
    ) -> std::fmt::Result {
        let about = escape(about);
        write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>Audit report: {about}</title>\n\
             <style>{STYLE}</style>\n<h1>Audit report</h1>\n<p>About {about}. Made {} by NanoClaw {} from {} records, the first \
             of {}, the last of {}.</p>\n",
            escape(made),
            env!("CARGO_PKG_VERSION"),
            self.records,
            escape(if self.first.is_empty() { "-" } else { &self.first }),
            escape(if self.last.is_empty() { "-" } else { &self.last }),
        )?;
        seal(page, verified)?;
        page.push_str("<h2>What was asked for</h2>\n");
        let head = std::iter::once("action").chain(ResultKind::ALL.map(ResultKind::name));
        let rows = self.actions.iter().map(|(action, counts)| {
            std::iter::once(action.clone()).chain(counts.iter().map(ToString::to_string)).collect()
        });
        table(page, head, rows, 0)?;
        page.push_str("<h2>What was refused</h2>\n");
        table(
            page,
            ["record", "time", "action", "what", "why"],
            self.refusals.iter().map(|row| row.to_vec()),
            self.more_refusals,
        )?;
        page.push_str("<h2>What it did</h2>\n");
        let mut subjects: Vec<_> = self.subjects.iter().collect();
        subjects.sort_by(|a, b| b.1.cmp(a.1));
        let more = subjects.len().saturating_sub(MOST_ROWS) as u64;
        let rows = subjects.into_iter().take(MOST_ROWS);
        let rows = rows.map(|((action, subject), times)| vec![action.clone(), subject.clone(), times.to_string()]);
        table(page, ["action", "what", "allowed"], rows, more)?;
        page.push_str("<h2>What people agreed to</h2>\n");
        table(page, ["record", "time", "what", "who"], self.agreed.iter().map(|row| row.to_vec()), self.more_agreed)?;
        page.push_str("<h2>Models</h2>\n");
        let rows = self.models.iter().map(|(name, used)| {
            let Use { calls, input, output, usd } = used;
            vec![name.clone(), calls.to_string(), input.to_string(), output.to_string(), format!("{usd:.6}")]
        });
        table(page, ["model", "calls", "tokens in", "tokens out", "US dollars"], rows, 0)?;
        write!(
            page,
            "<h2>Proof</h2>\n<p><code>nanoclaw audit prove N</code> writes the proof that record N is in the log that this \
             checkpoint seals; <code>nanoclaw-verify --key log.vkey --proof FILE</code> checks it without NanoClaw.</p>\n<pre>{}</pre>\n",
            escape(checkpoint)
        )
    }
}

fn seal(page: &mut String, verified: &Verified) -> std::fmt::Result {
    page.push_str("<h2>The log</h2>\n");
    match verified.is_clean() {
        true => page.push_str("<p>Verified: nothing in the log was changed.</p>\n"),
        false => {
            page.push_str("<p class=\"bad\">The log was changed. This report says only what stands in it now.</p>\n")
        }
    }
    writeln!(page, "<pre>{}</pre>", escape(&verified.to_string()))
}

fn table<'a>(
    page: &mut String,
    head: impl IntoIterator<Item = &'a str>,
    rows: impl Iterator<Item = Vec<String>>,
    more: u64,
) -> std::fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        page.push_str("<p>Nothing.</p>\n");
        return Ok(());
    }
    let head: String = head.into_iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    writeln!(page, "<table><tr>{head}</tr>")?;
    for row in rows {
        let cells = row.iter().map(|cell| {
            let class = if cell.bytes().all(|byte| byte.is_ascii_digit()) { " class=\"n\"" } else { "" };
            format!("<td{class}>{}</td>", escape(cell))
        });
        writeln!(page, "<tr>{}</tr>", cells.collect::<String>())?;
    }
    page.push_str("</table>\n");
    if more > 0 {
        writeln!(page, "<p>And {more} more, which <code>nanoclaw audit query</code> shows.</p>")?;
    }
    Ok(())
}

/// Text for HTML: agents choose some of it.
fn escape(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(shown).collect();
    lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lines: &[&str]) -> String {
        let mut report = Report::default();
        lines.iter().for_each(|line| report.add(line));
        report.html("nano-001", "now", &Verified::default(), "log\n1\nroot\n")
    }

    #[test]
    fn what_it_did_and_what_was_refused_is_there() {
        let page = page(&[
            r#"{"timestamp":"2026-01-01T00:00:00.000Z","agent_id":"a","action":"net_connect","resource":"api.example:443","result":"allowed","seq":1,"approved_by":["operator:ann"]}"#,
            r#"{"timestamp":"2026-01-01T00:00:01.000Z","agent_id":"a","action":"file_write","path":"/etc/x","result":"denied","reason":"no","seq":2,"folded":40}"#,
            r#"{"timestamp":"2026-01-01T00:00:02.000Z","agent_id":"a","action":"model_call","result":"done","seq":3,"model":{"provider":"main","name":"small","input_tokens":10,"output_tokens":3,"cost_usd":"0.25"}}"#,
            "not a record",
        ]);
        for part in [
            "from 3 records, the first of 2026-01-01T00:00:00.000Z, the last of 2026-01-01T00:00:02.000Z",
            "<td>net_connect</td><td class=\"n\">1</td><td class=\"n\">0</td>",
            "<td>file_write</td><td class=\"n\">0</td><td class=\"n\">40</td>",
            "<td class=\"n\">2</td><td>2026-01-01T00:00:01.000Z</td><td>file_write</td><td>/etc/x</td><td>no</td>",
            "<td>net_connect</td><td>api.example:443</td><td class=\"n\">1</td>",
            "<td>net_connect api.example:443</td><td>operator:ann</td>",
            "<td>main/small</td><td class=\"n\">1</td><td class=\"n\">10</td><td class=\"n\">3</td><td>0.250000</td>",
            "<pre>log\n1\nroot</pre>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn text_of_agents_is_text() {
        let line = serde_json::json!({
            "timestamp": "t", "action": "exec", "path": "<script>alert(\"1\")</script>\u{202e}\u{1b}[2J", "result": "denied",
            "reason": "<img src=x onerror=alert(1)>", "seq": 1,
        });
        let page = page(&[&line.to_string()]);
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{202e}\\u{1b}[2J"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn long_tables_are_counted() {
        let lines: Vec<String> = (1..=MOST_ROWS + 7)
            .map(|n| {
                format!(r#"{{"timestamp":"t","action":"exec","path":"/x","result":"denied","reason":"no","seq":{n}}}"#)
            })
            .collect();
        let page = page(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            page.contains("And 7 more, which")
                && page.contains("<td>exec</td><td class=\"n\">0</td><td class=\"n\">507</td>")
        );
    }
}
