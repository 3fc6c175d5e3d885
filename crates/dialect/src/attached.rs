//! What comes with a request besides what somebody says in it.

use std::collections::HashSet;

use serde_json::Value;

use crate::{Dialect, chat, messages, responses};

/// What comes with a request besides what somebody says in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The texts of documents and of what a search has found. They stand in a user's message, and the user need not have
    /// written them.
    pub texts: HashSet<String>,
    /// Whether the model reads something that [`Request`](crate::Request) does not hold: a file, what a tool of the provider gave.
    pub unread: bool,
    /// Whether part of the conversation lies at the provider.
    pub elsewhere: bool,
}

impl Dialect {
    /// What comes with the request `body` besides what somebody says in it.
    pub fn attached(self, body: &Value) -> Attached {
        match self {
            Dialect::Chat => chat::attached(body),
            Dialect::Responses => responses::attached(body),
            Dialect::Messages => messages::attached(body),
            // No agent speaks it.
            Dialect::Gemini => Attached::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_by_anybody_is_known_as_attached() {
        let texts = |dialect: Dialect, body: Value| {
            let Attached { texts, unread, elsewhere } = dialect.attached(&body);
            let mut texts: Vec<String> = texts.into_iter().collect();
            texts.sort_unstable();
            (texts.join("|"), unread, elsewhere)
        };
        let user = |content: Value| json!([{ "role": "user", "content": content }]);
        let nothing = (String::new(), false, false);
        let unread = (String::new(), true, false);
        let elsewhere = (String::new(), true, true);

        let chat = |part: Value| texts(Dialect::Chat, json!({ "messages": user(json!(["hi", part])) }));
        for said in [
            json!({"type": "text", "text": "a"}),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}),
            json!({"type": "input_audio", "input_audio": {"data": "AA=="}}),
            json!({"text": "a"}),
        ] {
            assert_eq!(chat(said.clone()), nothing, "{said}");
        }
        for file in [
            json!({"type": "file", "file": {"file_id": "f"}}),
            json!({"type": "text", "text": "a", "file": {}}),
            json!({"type": "new"}),
        ] {
            assert_eq!(chat(file.clone()), unread, "{file}");
        }

        let responses =
            |item: Value| texts(Dialect::Responses, json!({ "input": [{"role": "user", "content": "hi"}, item] }));
        for said in [
            json!({"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "data:,"}]}),
            json!({"type": "reasoning", "summary": [], "encrypted_content": "x"}),
            json!({"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "1", "output": "x"}),
            json!({"type": "local_shell_call", "call_id": "1", "action": {}}),
        ] {
            assert_eq!(responses(said.clone()), nothing, "{said}");
        }
        for item in [
            json!({"role": "user", "content": [{"type": "input_file", "file_data": "data:,"}]}),
            json!({"type": "function_call_output", "id": "1", "output": "x"}),
            json!({"type": "mcp_call", "id": "1", "name": "f", "arguments": "{}", "output": "x"}),
            json!({"type": "compaction", "encrypted_content": "x"}),
        ] {
            assert_eq!(responses(item.clone()), unread, "{item}");
        }
        for item in [json!({"type": "item_reference", "id": "1"}), json!({"id": "1"})] {
            assert_eq!(responses(item.clone()), elsewhere, "{item}");
        }
        assert_eq!(texts(Dialect::Responses, json!({"input": "x", "previous_response_id": "r"})), elsewhere);
        assert_eq!(texts(Dialect::Responses, json!({"input": "x", "conversation": "c"})), elsewhere);

        let messages = |block: Value| texts(Dialect::Messages, json!({ "messages": user(json!([block])) }));
        for said in [
            json!({"type": "text", "text": "a"}),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
            json!({"type": "redacted_thinking", "data": "x"}),
            json!({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "document", "source": {"type": "file"}}]}),
            json!({"type": "web_search_tool_result", "tool_use_id": "1", "content": []}),
        ] {
            assert_eq!(messages(said.clone()), nothing, "{said}");
        }
        let document = |source: Value| json!({"type": "document", "title": "t", "source": source});
        assert_eq!(messages(document(json!({"type": "text", "data": "d"}))), ("d|t".to_owned(), false, false));
        assert_eq!(messages(document(json!({"type": "base64", "data": "AA=="}))), ("t".to_owned(), true, false));
        let found =
            json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]});
        assert_eq!(messages(found), ("c|s|t".to_owned(), false, false));
        for block in [
            json!({"type": "container_upload", "file_id": "f"}),
            json!({"type": "image", "source": {"type": "file"}}),
            json!({"type": "compaction", "content": "x"}),
        ] {
            assert_eq!(messages(block.clone()), unread, "{block}");
        }
    }
}
