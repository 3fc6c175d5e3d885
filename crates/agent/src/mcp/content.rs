//! From what a call of a server gave to text for the model.

use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ResourceContents};

use crate::plain;
use crate::tools::{Output, ToolError};

/// Longest quotation of a name or type that a server gives, in bytes.
const LONGEST_QUOTE: usize = 256;

/// The output of a call.
pub(super) fn output(response: CallToolResponse) -> Result<Output, ToolError> {
    match response {
        CallToolResponse::Complete(result) => Ok(complete(result)),
        CallToolResponse::InputRequired(_) => {
            Err(ToolError::new("the server asks for something before it goes on, and this agent gives it nothing"))
        }
        _ => {
            Err(ToolError::new("the server would give the result later, and this agent does not wait for such results"))
        }
    }
}

fn complete(result: CallToolResult) -> Output {
    let failed = result.is_error.unwrap_or(false);
    let mut parts: Vec<String> = result.content.into_iter().map(block).collect();
    if parts.is_empty()
        && let Some(json) = result.structured_content
    {
        parts.push(json.to_string());
    }
    let text = parts.join("\n");
    Output { text: if text.is_empty() { "[no output]".to_owned() } else { text }, failed }
}

fn block(block: ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => described("an image", Some(&image.mime_type), image.data.len()),
        ContentBlock::Audio(audio) => described("a sound", Some(&audio.mime_type), audio.data.len()),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{}]\n{text}", quote(&uri)),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                described(&quote(&uri), mime_type.as_deref(), blob.len())
            }
            _ => "[a resource of an unknown form]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => {
            let description = link.description.or(link.title).unwrap_or_default();
            format!("[a link: {} {} {}]", quote(&link.uri), quote(&link.name), quote(&description))
        }
        _ => "[content of an unknown form]".to_owned(),
    }
}

/// What stands for bytes that are not text. `encoded` is their length in base64 (RFC 4648).
fn described(what: &str, kind: Option<&str>, encoded: usize) -> String {
    format!("[{what} ({}, about {} bytes), which is not shown]", quote(kind.unwrap_or("no type")), encoded / 4 * 3)
}

fn quote(text: &str) -> String {
    plain::line(text, LONGEST_QUOTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(result: Value) -> (String, bool) {
        let Output { text, failed } = complete(serde_json::from_value(result).unwrap());
        (text, failed)
    }

    #[test]
    fn text_is_shown_and_everything_else_described() {
        let content = json!([
            {"type": "text", "text": "one"},
            {"type": "image", "mimeType": "image/png", "data": "AAAAAAAA"},
            {"type": "audio", "mimeType": "audio/\u{1b}wav", "data": "AAAA"},
            {"type": "resource", "resource": {"uri": "file:///a", "text": "two\nthree"}},
            {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
            {"type": "resource_link", "uri": "https://x.example/", "name": "n", "description": "d"},
        ]);
        assert_eq!(
            of(json!({"content": content})),
            (
                "one\n[an image (image/png, about 6 bytes), which is not shown]\n\
                 [a sound (audio/wav, about 3 bytes), which is not shown]\n[file:///a]\ntwo\nthree\n\
                 [file:///b (no type, about 3 bytes), which is not shown]\n[a link: https://x.example/ n d]"
                    .into(),
                false
            )
        );
    }

    #[test]
    fn failures_and_structured_results_are_told() {
        let error = json!({"content": [{"type": "text", "text": "no such city"}], "isError": true});
        assert_eq!(of(error), ("no such city".into(), true));
        assert_eq!(of(json!({"content": [], "structuredContent": {"a": 1}})), (r#"{"a":1}"#.into(), false));
        let both = json!({"content": [{"type": "text", "text": "words"}], "structuredContent": {"a": 1}});
        assert_eq!(of(both), ("words".into(), false));
        assert_eq!(of(json!({"content": []})), ("[no output]".into(), false));
    }
}
