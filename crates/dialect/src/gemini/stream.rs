//! Reading streamed answers.

use serde_json::Value;

use super::part::{Ids, read_stop, read_usage};
use super::response::{blocked, read_content};
use crate::fields::{At, Fields};
use crate::sse::Event;
use crate::{Delta, Malformed, Part, Stop, StreamReader, Usage};

/// Reads a streamed answer. Nothing in it marks its end but the reason why it ended.
#[derive(Debug, Default)]
pub struct Reader {
    ended: bool,
    /// Names calls; `None` before the answer begins.
    ids: Option<Ids>,
    told: Option<Usage>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut out = Vec::new();
        let data = event.data.trim();
        if self.ended || data.is_empty() || data == "[DONE]" {
            return Ok(out);
        }
        let value: Value = serde_json::from_str(data).map_err(|_| Malformed::new("data", "is not JSON"))?;
        if let Some(text) = super::read_error(&value) {
            return Err(Malformed::new("error", text));
        }
        let root = At::Root;
        let fields = Fields::of(&value, &root)?;
        if self.ids.is_none() {
            let text = |name| Ok(fields.text(name)?.unwrap_or_default().to_owned());
            out.push(Delta::Start { id: text("responseId")?, model: text("modelVersion")? });
        }
        let ids = self.ids.get_or_insert_with(|| Ids::of_answer(fields));
        let mut stop = None;
        if let Some(candidate) = fields.list("candidates")?.first() {
            let list = At::Field(&root, "candidates");
            let at = At::Item(&list, 0);
            let candidate = Fields::of(candidate, &at)?;
            let mut parts = Vec::new();
            let mut index = ids.calls;
            read_content(candidate, &at, ids, &mut parts)?;
            for part in parts {
                say(part, &mut index, &mut out);
            }
            stop = candidate.text("finishReason")?.map(|reason| read_stop(reason, ids.calls > 0));
        } else if blocked(fields) {
            stop = Some(Stop::Filtered);
        }
        let usage = read_usage(fields);
        if usage.is_some() && usage != self.told {
            self.told = usage;
            out.extend(usage.map(Delta::Usage));
        }
        if let Some(stop) = stop {
            self.ended = true;
            out.extend([Delta::Stop(stop), Delta::End]);
        }
        Ok(out)
    }
}

/// A part as deltas. `index` counts the calls.
fn say(part: Part, index: &mut usize, out: &mut Vec<Delta>) {
    let full = |text: &String| !text.is_empty();
    match part {
        Part::Text(text) => out.extend(Some(text).filter(full).map(Delta::Text)),
        Part::Reasoning(thoughts) => {
            out.extend(Some(thoughts.text).filter(full).map(Delta::Reasoning));
            out.extend(thoughts.signature.map(Delta::Signature));
        }
        Part::Call(call) => {
            out.push(Delta::CallStart { index: *index, id: call.id, name: call.name });
            out.push(Delta::CallArguments { index: *index, json: call.arguments });
            *index += 1;
        }
        // Pictures cannot be streamed in other dialects.
        Part::Image(_) | Part::Result(_) => {}
    }
}
