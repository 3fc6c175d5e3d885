//! Whole answers.

use serde_json::{Map, Value, json};

use super::part::{Ids, read_part, read_stop, read_usage, write_answer, write_stop, write_usage};
use crate::fields::{At, Fields};
use crate::{Malformed, Part, Response, Stop};

/// Reads an answer; of several candidates the first.
///
/// # Errors
/// The body is no answer of this dialect, or is an error of the provider.
pub fn read_response(body: &Value) -> Result<Response, Malformed> {
    if let Some(text) = super::read_error(body) {
        return Err(Malformed::new("error", text));
    }
    let root = At::Root;
    let fields = Fields::of(body, &root)?;
    let mut ids = Ids::of_answer(fields);
    let mut parts = Vec::new();
    let stop;
    if let Some(candidate) = fields.list("candidates")?.first() {
        let list = At::Field(&root, "candidates");
        let at = At::Item(&list, 0);
        let candidate = Fields::of(candidate, &at)?;
        read_content(candidate, &at, &mut ids, &mut parts)?;
        stop = candidate.text("finishReason")?.map(|reason| read_stop(reason, ids.calls > 0));
    } else if blocked(fields) {
        stop = Some(Stop::Filtered);
    } else {
        return Err(fields.wrong("candidates", "is missing"));
    }
    let text = |name| Ok(fields.text(name)?.unwrap_or_default().to_owned());
    Ok(Response {
        id: text("responseId")?,
        model: text("modelVersion")?,
        parts,
        stop: stop.unwrap_or(if ids.calls > 0 { Stop::ToolCalls } else { Stop::End }),
        usage: read_usage(fields),
    })
}

/// Whether the provider did not even begin to answer.
pub(super) fn blocked(body: Fields<'_, '_>) -> bool {
    body.get("promptFeedback")
        .is_some_and(|feedback| feedback.get("blockReason").is_some_and(|reason| !reason.is_null()))
}

/// The parts of `holder`'s content, added to `parts`.
pub(super) fn read_content(
    holder: Fields<'_, '_>,
    at: &At<'_>,
    ids: &mut Ids,
    parts: &mut Vec<Part>,
) -> Result<(), Malformed> {
    let Some(content) = holder.get("content") else { return Ok(()) };
    let at = At::Field(at, "content");
    let content = Fields::of(content, &at)?;
    let at = At::Field(&at, "parts");
    for (index, part) in content.list("parts")?.iter().enumerate() {
        let at = At::Item(&at, index);
        read_part(Fields::of(part, &at)?, &at, ids, parts)?;
    }
    Ok(())
}

/// Writes an answer.
pub fn write_response(response: &Response) -> Value {
    let mut body = Map::new();
    body.insert(
        "candidates".into(),
        json!([{
            "content": {"role": "model", "parts": write_answer(&response.parts, true)},
            "finishReason": write_stop(&response.stop),
            "index": 0,
        }]),
    );
    body.extend(response.usage.as_ref().map(|usage| ("usageMetadata".to_owned(), write_usage(usage))));
    body.insert("modelVersion".into(), response.model.as_str().into());
    body.insert("responseId".into(), response.id.as_str().into());
    body.into()
}
