//! How many tokens a request has, before anybody has counted them.

use std::io;

use nanoclaw_dialect::{Image, Part, Request, Usage};
use serde_json::Value;

/// Bytes of text for one token. English has about four, code and other languages fewer.
const BYTES_PER_TOKEN: u64 = 3;
/// Tokens of a picture.
const PICTURE: u64 = 1_600;
/// Bytes of sound in base64 for one token. A second has some thirty tokens, and more than a thousand bytes.
const SOUND_BYTES_PER_TOKEN: u64 = 32;

/// Tokens of a request, rather too many than too few. All of `body` counts, as a provider may read more of it than the
/// dialect knows, but for the pictures and the sound in it, which have counts of their own.
pub(crate) fn asked(body: &Value, request: &Request) -> Usage {
    let mut pictures = 0;
    let mut elsewhere = 0;
    let parts: Vec<&Part> = request.messages.iter().flat_map(|message| &message.parts).collect();
    let inside = parts.iter().flat_map(|part| match part {
        Part::Result(result) => result.parts.as_slice(),
        Part::Text(_) | Part::Image(_) | Part::Reasoning(_) | Part::Call(_) => &[],
    });
    for part in parts.iter().copied().chain(inside) {
        match part {
            Part::Image(Image::Url(_)) => pictures += 1,
            Part::Image(Image::Data { media_type, base64 }) if media_type.starts_with("image/") => {
                pictures += 1;
                elsewhere += base64.len() as u64;
            }
            // A document, perhaps, that is sent as a picture.
            Part::Image(Image::Data { .. }) => {}
            Part::Text(_) | Part::Reasoning(_) | Part::Call(_) | Part::Result(_) => {}
        }
    }
    let sound = sound(body);
    let words = bytes(length(body).saturating_sub(elsewhere).saturating_sub(sound));
    let input = words + pictures * PICTURE + sound.div_ceil(SOUND_BYTES_PER_TOKEN);
    Usage { input, surcharge: surcharge(body, input), ..Usage::default() }
}

/// Tokens of so many bytes of text.
pub(crate) fn bytes(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// Bytes of `value` as it is sent.
pub(crate) fn length(value: &Value) -> u64 {
    struct Counted(u64);
    impl io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    match serde_json::to_writer(&mut counted, value) {
        Ok(()) => counted.0,
        Err(_) => u64::MAX,
    }
}

/// Bytes of base64 that are sound, where OpenAI's dialects have it.
fn sound(body: &Value) -> u64 {
    fn list(value: Option<&Value>) -> &[Value] {
        value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }
    let messages = list(body.get("messages")).iter().chain(list(body.get("input")));
    let parts = messages.flat_map(|message| list(message.get("content")));
    let sound = parts.filter(|part| part.get("type").and_then(Value::as_str) == Some("input_audio"));
    sound.filter_map(|part| Some(part.pointer("/input_audio/data")?.as_str()?.len() as u64)).sum()
}

/// What writing all of a request into the provider's cache costs besides, if it asks for that: [`Usage::surcharge`].
fn surcharge(body: &Value, input: u64) -> u64 {
    let mut most = 0;
    let mut waiting = vec![body];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(fields) => {
                if let Some(cache) = fields.get("cache_control").filter(|cache| !cache.is_null()) {
                    let minutes = matches!(cache.get("ttl").map(Value::as_str), None | Some(Some("5m")));
                    most = most.max(if minutes { input.div_ceil(4) } else { input });
                }
                waiting.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use nanoclaw_dialect::Dialect;
    use serde_json::json;

    use super::*;

    fn of(dialect: Dialect, body: &Value) -> Usage {
        asked(body, &dialect.read_request(body).unwrap())
    }

    #[test]
    fn what_the_dialect_does_not_know_counts_too() {
        let long = "x".repeat(3_000_000);
        for extra in [
            json!({"prediction": {"type": "content", "content": long}}),
            json!({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": long}}]}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "more": long}]}]}),
            json!({"messages": [{"role": "user", "content": format!("data:image/png;base64,{long}")}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": format!("data:application/pdf;base64,{long}")}}]}]}),
        ] {
            let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let tokens = of(Dialect::Chat, &body).input;
            assert!((1_000_000..1_000_100).contains(&tokens), "{tokens}");
        }
        let file =
            json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_data": long}]}]});
        assert!(of(Dialect::Responses, &file).input > 1_000_000);
    }

    #[test]
    fn pictures_and_sound_do_not_count_by_their_bytes() {
        let data = "A".repeat(320_000);
        let picture = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
        let sound = json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}});
        let body = |part: &Value| json!({"model": "m", "messages": [{"role": "user", "content": [part, part]}]});
        let tokens = of(Dialect::Chat, &body(&picture)).input;
        assert!((3_200..3_300).contains(&tokens), "{tokens}");
        let tokens = of(Dialect::Chat, &body(&sound)).input;
        assert!((20_000..20_100).contains(&tokens), "{tokens}");
        let source = json!({"type": "base64", "media_type": "image/png", "data": data});
        let image = json!({"type": "image", "source": source});
        let result = json!({"type": "tool_result", "tool_use_id": "1", "content": [image]});
        let body = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [image, result]}]});
        let tokens = of(Dialect::Messages, &body).input;
        assert!((3_200..3_300).contains(&tokens), "{tokens}");
    }

    #[test]
    fn what_is_to_be_cached_is_reserved_with_its_surcharge() {
        let body = |cache: Value| {
            let text = json!({"type": "text", "text": "x".repeat(3_000), "cache_control": cache});
            json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [text]}]})
        };
        for (cache, share) in [
            (Value::Null, 0),
            (json!({"type": "ephemeral"}), 1),
            (json!({"type": "ephemeral", "ttl": "5m"}), 1),
            (json!({"type": "ephemeral", "ttl": "1h"}), 4),
            (json!({"type": "ephemeral", "ttl": 7}), 4),
        ] {
            let usage = of(Dialect::Messages, &body(cache));
            assert_eq!(usage.surcharge, (usage.input * share).div_ceil(4));
        }
    }
}
