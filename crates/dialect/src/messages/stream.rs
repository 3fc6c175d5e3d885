//! Reading streamed answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::block::{Kind, Tokens, read_stop};
use super::response::{read_call, read_thinking};
use crate::fields::{At, Fields};
use crate::sse::Event;
use crate::{Delta, Malformed, StreamReader, Usage};

/// Reads a streamed answer. What the provider executed itself is left out, as in whole answers.
#[derive(Debug, Default)]
pub struct Reader {
    begun: bool,
    ended: bool,
    calls: usize,
    /// The blocks that have begun and not ended, by index.
    open: BTreeMap<u64, Open>,
    tokens: Tokens,
    told: Option<Usage>,
}

#[derive(Debug)]
enum Open {
    /// A call for the agent. Some servers say all of its arguments where it begins; `said` holds them until it is clear
    /// that no others follow.
    Call {
        index: usize,
        said: Option<String>,
    },
    Other,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut out = Vec::new();
        let data = event.data.trim();
        if self.ended || data.is_empty() || data == "[DONE]" {
            return Ok(out);
        }
        let value: Value = serde_json::from_str(data).map_err(|_| Malformed::new("data", "is not JSON"))?;
        let root = At::Root;
        let fields = Fields::of(&value, &root)?;
        let kind = fields.text("type")?.or(event.name.as_deref()).unwrap_or_default();
        match kind {
            "message_start" => {
                let at = At::Field(&root, "message");
                let message = fields.get("message").ok_or_else(|| at.wrong("is missing"))?;
                let message = Fields::of(message, &at)?;
                let text = |name| Ok(message.text(name)?.unwrap_or_default().to_owned());
                self.begun = true;
                out.push(Delta::Start { id: text("id")?, model: text("model")? });
                self.used(message.get("usage"), &mut out);
            }
            "content_block_start" => {
                self.begin(&mut out);
                self.block_begins(fields, &root, &mut out)?;
            }
            "content_block_delta" => {
                self.begin(&mut out);
                self.block_grows(fields, &root, &mut out)?;
            }
            "content_block_stop" => {
                let index = fields.count("index")?.ok_or_else(|| fields.wrong("index", "is missing"))?;
                close(self.open.remove(&index), &mut out);
            }
            "message_delta" => {
                self.begin(&mut out);
                self.close_all(&mut out);
                let at = At::Field(&root, "delta");
                if let Some(delta) = fields.get("delta") {
                    let reason = Fields::of(delta, &at)?.text("stop_reason")?;
                    out.extend(reason.map(|reason| Delta::Stop(read_stop(reason))));
                }
                self.used(fields.get("usage"), &mut out);
            }
            "message_stop" => {
                self.begin(&mut out);
                self.close_all(&mut out);
                self.ended = true;
                out.push(Delta::End);
            }
            "error" => {
                let text = super::read_error(&value).unwrap_or_else(|| "is an error without a message".into());
                return Err(Malformed::new("error", text));
            }
            // `ping`, and what later versions add.
            _ => {}
        }
        Ok(out)
    }
}

impl Reader {
    /// An answer begins even where the server does not say so.
    fn begin(&mut self, out: &mut Vec<Delta>) {
        if !self.begun {
            self.begun = true;
            out.push(Delta::Start { id: String::new(), model: String::new() });
        }
    }

    fn block_begins(&mut self, fields: Fields<'_, '_>, root: &At<'_>, out: &mut Vec<Delta>) -> Result<(), Malformed> {
        let index = fields.count("index")?.ok_or_else(|| fields.wrong("index", "is missing"))?;
        let at = At::Field(root, "content_block");
        let block = fields.get("content_block").ok_or_else(|| at.wrong("is missing"))?;
        let block = Fields::of(block, &at)?;
        let mut open = Open::Other;
        match Kind::of(block.need_text("type")?) {
            Kind::Text => {
                let text = block.text("text")?.unwrap_or_default();
                out.extend((!text.is_empty()).then(|| Delta::Text(text.to_owned())));
            }
            Kind::Thinking => {
                let thoughts = read_thinking(block)?;
                out.extend((!thoughts.text.is_empty()).then_some(Delta::Reasoning(thoughts.text)));
                out.extend(thoughts.signature.map(Delta::Signature));
            }
            Kind::Call => {
                let call = read_call(block)?;
                open = Open::Call { index: self.calls, said: Some(call.arguments) };
                out.push(Delta::CallStart { index: self.calls, id: call.id, name: call.name });
                self.calls += 1;
            }
            Kind::ProviderCall | Kind::ProviderResult | Kind::Other => {}
        }
        close(self.open.insert(index, open), out);
        Ok(())
    }

    fn block_grows(&mut self, fields: Fields<'_, '_>, root: &At<'_>, out: &mut Vec<Delta>) -> Result<(), Malformed> {
        let index = fields.count("index")?.ok_or_else(|| fields.wrong("index", "is missing"))?;
        let at = At::Field(root, "delta");
        let delta = fields.get("delta").ok_or_else(|| at.wrong("is missing"))?;
        let delta = Fields::of(delta, &at)?;
        let more = |name| Ok(delta.text(name)?.filter(|text| !text.is_empty()).map(str::to_owned));
        match delta.need_text("type")? {
            "text_delta" => out.extend(more("text")?.map(Delta::Text)),
            "thinking_delta" => out.extend(more("thinking")?.map(Delta::Reasoning)),
            "signature_delta" => out.extend(more("signature")?.map(Delta::Signature)),
            "input_json_delta" => match (self.open.get_mut(&index), more("partial_json")?) {
                (Some(Open::Call { index, said }), Some(json)) => {
                    *said = None;
                    out.push(Delta::CallArguments { index: *index, json });
                }
                (Some(_), _) => {}
                (None, _) => return Err(fields.wrong("index", "is of no block that has begun")),
            },
            // Citations, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn close_all(&mut self, out: &mut Vec<Delta>) {
        for (_, open) in std::mem::take(&mut self.open) {
            close(Some(open), out);
        }
    }

    fn used(&mut self, usage: Option<&Value>, out: &mut Vec<Delta>) {
        self.tokens.take(usage);
        let total = self.tokens.total();
        if total != self.told {
            self.told = total;
            out.extend(total.map(Delta::Usage));
        }
    }
}

/// A call without a fragment of arguments has those that were said where it began.
fn close(open: Option<Open>, out: &mut Vec<Delta>) {
    if let Some(Open::Call { index, said: Some(json) }) = open {
        out.push(Delta::CallArguments { index, json });
    }
}
