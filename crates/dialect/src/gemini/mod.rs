//! Gemini: `POST /v1beta/models/{model}:generateContent`.

use serde_json::Value;

use crate::sse::Event;
use crate::{Delta, Fault, Malformed, Request, Response, StreamReader};

pub fn read_request(_body: &Value) -> Result<Request, Malformed> { Err(Malformed::new("", "x")) }
pub const SIGNATURE_MARK: &str = "gemini:";
pub fn write_request(_request: &Request) -> Value { Value::Null }
pub fn read_response(_body: &Value) -> Result<Response, Malformed> { Err(Malformed::new("", "x")) }
pub fn write_response(_response: &Response) -> Value { Value::Null }
pub fn write_error(_fault: &Fault) -> Value { Value::Null }
pub fn read_error(_body: &Value) -> Option<String> { None }
#[derive(Default)]
pub struct Reader;
impl StreamReader for Reader { fn read(&mut self, _event: &Event) -> Result<Vec<Delta>, Malformed> { Ok(Vec::new()) } }
