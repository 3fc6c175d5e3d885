//! Embeddings: the same text has the same vector, and that is all there is to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::conversation::{Wrong, text};

/// Length of a vector, unless the request wants another.
const DIMENSIONS: u64 = 8;
/// Longest vector.
const DIMENSIONS_ALLOWED: u64 = 4096;

/// Numbers from the bytes of a text, of length one together.
fn vector(of: &str, dimensions: u64) -> Vec<f32> {
    // FNV-1a, then xorshift64.
    let mut state = of
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
        | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
    };
    let raw: Vec<f32> = (0..dimensions).map(next).collect();
    let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / norm).collect()
}

/// The answer to a request for embeddings.
pub fn answer(request: &Value) -> Result<Value, Wrong> {
    let model = text(request, "model")?;
    let dimensions = request.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    if dimensions == 0 || dimensions > DIMENSIONS_ALLOWED {
        return Err(Wrong::new(format!("`dimensions` is not from 1 to {DIMENSIONS_ALLOWED}")));
    }
    let inputs = match request.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        // One text, as tokens.
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => vec![json!(items).to_string()],
        Some(Value::Array(items)) if !items.is_empty() => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
        }
        _ => return Err(Wrong::new("`input` is neither a text nor a list")),
    };
    let base64 = match request.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(Wrong::new(format!("`{other}` is not an encoding format"))),
    };
    let embedding = |(at, input): (usize, &String)| {
        let vector = vector(input, dimensions);
        let shown = if base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            Value::from(STANDARD.encode(bytes))
        } else {
            Value::from(vector)
        };
        json!({ "object": "embedding", "index": at, "embedding": shown })
    };
    let data: Vec<Value> = inputs.iter().enumerate().map(embedding).collect();
    let tokens = inputs.iter().map(|input| input.len() / 4 + 1).sum::<usize>();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    Ok(json!({ "object": "list", "data": data, "model": model, "usage": usage }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_hold_the_same_numbers() {
        let request = |format: &str| json!({ "model": "m", "input": ["a", "b"], "encoding_format": format });
        let (float, base64) = (answer(&request("float")).unwrap(), answer(&request("base64")).unwrap());
        let floats: Vec<f32> =
            float["data"][1]["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let bytes = STANDARD.decode(base64["data"][1]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> = bytes.chunks(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect();
        assert_eq!(floats, decoded);
        assert!((floats.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        assert_ne!(float["data"][0]["embedding"], float["data"][1]["embedding"]);
    }
}
