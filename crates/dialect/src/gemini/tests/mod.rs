mod property;

use serde_json::{Value, json};

use super::{Reader, read_error, read_request, read_response, write_error, write_request};
use crate::sse::Event;
use crate::{
    Choice, Delta, Effort, Fault, FaultKind, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop,
    StreamReader, Tool, ToolCall, ToolResult, Usage,
};

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

fn thoughts(text: &str, signature: Option<&str>) -> Part {
    Part::Reasoning(Reasoning { text: text.into(), signature: signature.map(str::to_owned) })
}

fn result(id: &str, text: &str, failed: bool) -> Part {
    Part::Result(ToolResult { id: id.into(), parts: vec![Part::Text(text.into())], failed })
}

fn assistant(parts: Vec<Part>) -> Message {
    Message { role: Role::Assistant, parts }
}

fn user(parts: Vec<Part>) -> Message {
    Message { role: Role::User, parts }
}

/// A turn with two calls whose results are there.
fn conversation() -> Request {
    Request {
        model: "gemini-2.5-flash".into(),
        messages: vec![
            Message::text(Role::System, "Be brief."),
            user(vec![
                Part::Text("Where is it warmer?".into()),
                Part::Image(Image::Data { media_type: "image/png".into(), base64: "AAAA".into() }),
                Part::Image(Image::Url("https://a.example/b.JPG?x=1".into())),
            ]),
            assistant(vec![
                thoughts("of another provider", Some("EqQB")),
                Part::Call(call("call_1", "weather", r#"{"city":"Bonn"}"#)),
                Part::Call(call("gem_abc", "clock", "")),
            ]),
            user(vec![Part::Text("Quick!".into()), result("call_1", "9 degrees", false)]),
            user(vec![result("gem_abc", "broken", true)]),
        ],
        tools: vec![
            Tool { name: "weather".into(), description: "Tells it".into(), parameters: json!({"type": "object"}) },
            Tool { name: "clock".into(), description: String::new(), parameters: json!({}) },
        ],
        choice: Some(Choice::Named("weather".into())),
        parallel_calls: Some(true),
        max_output: Some(100),
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["END".into()],
        format: Some(Format::Schema { name: "x".into(), schema: json!({"type": "object"}), strict: true }),
        effort: Some(Effort::Low),
        stream: true,
    }
}

#[test]
fn request_is_written_as_the_api_takes_it() {
    assert_eq!(
        write_request(&conversation()),
        json!({
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [
                {"role": "user", "parts": [
                    {"text": "Where is it warmer?"},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.example/b.JPG?x=1"}},
                ]},
                {"role": "model", "parts": [
                    {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}},
                    {"functionCall": {"id": "abc", "name": "clock", "args": {}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "weather", "response": {"output": "9 degrees"}}},
                    {"functionResponse": {"id": "abc", "name": "clock", "response": {"error": "broken"}}},
                ]},
                {"role": "user", "parts": [{"text": "Quick!"}]},
            ],
            "tools": [{"functionDeclarations": [
                {"name": "weather", "description": "Tells it", "parametersJsonSchema": {"type": "object"}},
                {"name": "clock", "description": ""},
            ]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
            "generationConfig": {
                "maxOutputTokens": 100, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"],
                "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
                "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true},
            },
        })
    );
}

#[test]
fn newer_models_get_levels_and_signatures() {
    let mut request = conversation();
    request.model = "gemini-3-pro-preview".into();
    request.messages.truncate(3);
    request.messages.push(user(vec![result("call_1", "9", false), result("gem_abc", "noon", false)]));
    request
        .messages
        .push(assistant(vec![thoughts("own", Some("gemini:SIG")), Part::Call(call("call_3", "clock", "{}"))]));
    let body = write_request(&request);
    assert_eq!(body["generationConfig"]["thinkingConfig"], json!({"thinkingLevel": "low", "includeThoughts": true}));
    let parts = |index: usize| body["contents"][index]["parts"].clone();
    assert_eq!(parts(1)[0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(parts(1)[1].get("thoughtSignature"), None, "only the first of parallel calls is signed");
    assert_eq!(
        parts(3),
        json!([
            {"text": "own", "thought": true},
            {"functionCall": {"name": "clock", "args": {}}, "thoughtSignature": "SIG"},
        ])
    );
    // What lies before the last words of the user needs none.
    request.messages.push(Message::text(Role::User, "And now?"));
    assert_eq!(write_request(&request)["contents"][1]["parts"][0].get("thoughtSignature"), None);
}

#[test]
fn results_without_ids_are_matched_by_name_and_order() {
    let body = json!({"contents": [
        {"role": "model", "parts": [
            {"functionCall": {"name": "get", "args": {"x": 1}}},
            {"functionCall": {"name": "put"}, "thoughtSignature": "skip_thought_signature_validator"},
            {"functionCall": {"name": "get", "args": {"x": 2}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "get", "response": {"output": "one"}}},
            {"functionResponse": {"name": "get", "response": {"list": [2]}}},
            {"functionResponse": {"name": "put", "response": {"error": "no"}}},
        ]},
    ]});
    assert_eq!(
        read_request(&body).unwrap().messages,
        [
            assistant(vec![
                Part::Call(call("call_0", "get", r#"{"x":1}"#)),
                Part::Call(call("call_1", "put", "{}")),
                Part::Call(call("call_2", "get", r#"{"x":2}"#)),
            ]),
            user(vec![
                result("call_0", "one", false),
                result("call_2", r#"{"list":[2]}"#, false),
                result("call_1", "no", true),
            ]),
        ]
    );
}

#[test]
fn tools_of_the_provider_are_visible_by_name() {
    let body = json!({"tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "get", "parameters": {"type": "OBJECT"}}]}]});
    let tools = read_request(&body).unwrap().tools;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["googleSearch", "get"]);
    assert_eq!(tools[1].parameters, json!({"type": "OBJECT"}));
}

#[test]
fn mistakes_are_named_by_their_place() {
    let error = |body: Value| read_request(&body).unwrap_err().to_string();
    assert_eq!(error(json!({"contents": 1})), "`contents` is not a list");
    assert_eq!(
        error(json!({"contents": [{"role": "user", "parts": [{"functionCall": {}}]}]})),
        "`contents[0].parts[0].functionCall.name` is missing"
    );
    assert_eq!(error(json!({"contents": [{"role": "tool"}]})), "`contents[0].role` is neither user nor model");
}

fn answer() -> Value {
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Two cities.", "thought": true},
                {"text": "I look."},
                {"functionCall": {"name": "weather", "args": {"city": "Bonn"}}, "thoughtSignature": "SIG"},
                {"functionCall": {"id": "fc9", "name": "clock", "args": {}}},
                {"executableCode": {"language": "PYTHON", "code": "1"}},
            ]},
            "finishReason": "STOP", "index": 0, "safetyRatings": [],
        }],
        "usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 10, "thoughtsTokenCount": 7,
            "cachedContentTokenCount": 20, "totalTokenCount": 67},
        "modelVersion": "gemini-2.5-flash", "responseId": "aB-3_z",
    })
}

#[test]
fn answer_is_read() {
    assert_eq!(
        read_response(&answer()).unwrap(),
        Response {
            id: "aB-3_z".into(),
            model: "gemini-2.5-flash".into(),
            parts: vec![
                thoughts("Two cities.", None),
                Part::Text("I look.".into()),
                thoughts("", Some("gemini:SIG")),
                Part::Call(call("call_aB-3_z_0", "weather", r#"{"city":"Bonn"}"#)),
                Part::Call(call("gem_fc9", "clock", "{}")),
            ],
            stop: Stop::ToolCalls,
            usage: Some(Usage { input: 50, output: 17, cached: 20, reasoning: 7, surcharge: 0 }),
        }
    );
}

#[test]
fn withheld_and_broken_answers_say_so() {
    let stop = |body: Value| read_response(&body).map(|response| response.stop);
    let reason = |reason: &str| json!({"candidates": [{"finishReason": reason}]});
    assert_eq!(stop(json!({"promptFeedback": {"blockReason": "SAFETY"}})), Ok(Stop::Filtered));
    assert_eq!(stop(reason("RECITATION")), Ok(Stop::Filtered));
    assert_eq!(stop(reason("MAX_TOKENS")), Ok(Stop::Length));
    assert_eq!(stop(reason("MALFORMED_FUNCTION_CALL")), Ok(Stop::Other("MALFORMED_FUNCTION_CALL".into())));
    assert_eq!(stop(json!({})).unwrap_err().to_string(), "`candidates` is missing");
    let error = json!([{"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}]);
    assert_eq!(stop(error.clone()).unwrap_err().to_string(), "`error` Resource exhausted");
    assert_eq!(read_error(&error).as_deref(), Some("Resource exhausted"));
    assert_eq!(read_error(&answer()), None);
    let fault = Fault { kind: FaultKind::Timeout, code: "slow".into(), message: "too slow".into() };
    assert_eq!(
        write_error(&fault),
        json!({"error": {"code": 504, "message": "too slow", "status": "DEADLINE_EXCEEDED"}})
    );
}

fn chunk(value: Value) -> Event {
    Event { name: None, data: value.to_string() }
}

#[test]
fn stream_is_read() {
    let part = |part: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 50}, "modelVersion": "gemini-2.5-flash", "responseId": "r1"})
    };
    let events = [
        part(json!({"text": "hm", "thought": true})),
        part(json!({"text": "I "})),
        part(json!({"text": "look."})),
        part(json!({"functionCall": {"name": "weather", "args": {"city": "Bonn"}}, "thoughtSignature": "SIG"})),
        part(json!({"functionCall": {"name": "clock"}})),
        json!({"candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 10, "thoughtsTokenCount": 2}}),
        part(json!({"text": "late"})),
    ];
    let mut reader = Reader::default();
    let deltas: Vec<Delta> = events.into_iter().flat_map(|event| reader.read(&chunk(event)).unwrap()).collect();
    let usage = |output, reasoning| Delta::Usage(Usage { input: 50, output, cached: 0, reasoning, surcharge: 0 });
    let begin = |index, name: &str| Delta::CallStart { index, id: format!("call_r1_{index}"), name: name.into() };
    assert_eq!(
        deltas,
        [
            Delta::Start { id: "r1".into(), model: "gemini-2.5-flash".into() },
            Delta::Reasoning("hm".into()),
            usage(0, 0),
            Delta::Text("I ".into()),
            Delta::Text("look.".into()),
            Delta::Signature("gemini:SIG".into()),
            begin(0, "weather"),
            Delta::CallArguments { index: 0, json: r#"{"city":"Bonn"}"#.into() },
            begin(1, "clock"),
            Delta::CallArguments { index: 1, json: "{}".into() },
            usage(12, 2),
            Delta::Stop(Stop::ToolCalls),
            Delta::End,
        ]
    );
}

#[test]
fn calls_of_answers_without_an_id_differ_from_turn_to_turn() {
    let id = |tokens: u64| {
        let body = json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "get"}}]}}],
            "usageMetadata": {"promptTokenCount": tokens}});
        let deltas = Reader::default().read(&chunk(body)).unwrap();
        deltas.into_iter().find_map(|delta| if let Delta::CallStart { id, .. } = delta { Some(id) } else { None })
    };
    assert_eq!(id(50).as_deref(), Some("call_50_0"));
    assert_ne!(id(50), id(90));
}

#[test]
fn errors_end_the_reading() {
    let error = json!({"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}});
    let read = |event: Event| Reader::default().read(&event);
    assert_eq!(read(chunk(error)).unwrap_err().to_string(), "`error` The model is overloaded.");
    assert!(read(Event { name: None, data: "{".into() }).is_err());
    let blocked = read(chunk(json!({"promptFeedback": {"blockReason": "OTHER"}}))).unwrap();
    assert_eq!(blocked[1..], [Delta::Stop(Stop::Filtered), Delta::End]);
}
