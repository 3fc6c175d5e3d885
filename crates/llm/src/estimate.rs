//! How many tokens a request has, before anybody has counted them.

use nanoclaw_dialect::{Format, Message, Part, Request};

/// Bytes of text for one token. English has about four, code and other languages fewer.
const BYTES_PER_TOKEN: u64 = 3;
/// Tokens around each message and tool.
const FRAME: u64 = 8;
/// Tokens of a picture.
const PICTURE: u64 = 1_600;

/// Tokens of a request, rather too many than too few.
pub(crate) fn input(request: &Request) -> u64 {
    let messages = request.messages.iter().map(|Message { parts, .. }| FRAME + parts.iter().map(part).sum::<u64>());
    let tools = request
        .tools
        .iter()
        .map(|tool| FRAME + text(&tool.name) + text(&tool.description) + text(&tool.parameters.to_string()));
    let format = match &request.format {
        Some(Format::Schema { schema, .. }) => text(&schema.to_string()),
        Some(Format::Json) | None => 0,
    };
    messages.chain(tools).sum::<u64>() + format
}

/// Tokens of so many bytes of text.
pub(crate) fn bytes(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

fn text(text: &str) -> u64 {
    bytes(text.len() as u64)
}

fn part(part: &Part) -> u64 {
    match part {
        Part::Text(said) => text(said),
        Part::Image(_) => PICTURE,
        Part::Reasoning(reasoning) => text(&reasoning.text),
        Part::Call(call) => FRAME + text(&call.name) + text(&call.arguments),
        Part::Result(result) => FRAME + result.parts.iter().map(self::part).sum::<u64>(),
    }
}
