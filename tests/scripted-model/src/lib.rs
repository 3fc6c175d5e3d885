//! The scripted model: a **mock** of model providers. It understands nothing; it says what the conversation's first user
//! message tells it to say, on the wire exactly as the providers would. Tests, benches and examples use it.
//!
//! It speaks OpenAI chat completions (`POST …/chat/completions`), OpenAI responses (`…/responses`), Anthropic messages
//! (`…/messages`, `…/messages/count_tokens`), Gemini (`…/models/MODEL:generateContent` and
//! `:streamGenerateContent?alt=sse`), embeddings (`…/embeddings`) and model lists (`GET …/models`), under any prefix. It
//! shares no code with the product's own readers and writers of these formats, because it is what they are tested
//! against; for the same reason it refuses conversations that the providers refuse (a tool call without its result…).
//!
//! # Scripts
//!
//! Each line of the script that begins with a directive counts, other text is ignored:
//!
//! | directive | what it does |
//! |---|---|
//! | `CALL tool {"argument": 1}` | proposes this call; one step for each request. It may stand anywhere in a line, and the JSON may go over several |
//! | `AND` | the next `CALL` belongs to the same step: both are proposed in parallel |
//! | `REMARK text` | said before the calls, in the answers that propose some |
//! | `WRITE text` | said instead of a first step; several lines are joined. For agents that make calls of text |
//! | `SAY text` | what is said when all calls have results; several lines are joined. Without it: `SCRIPT DONE`, then `[1] first result`… |
//! | `THINK text` | thoughts before each answer (in chat completions: `reasoning_content`, as DeepSeek, Qwen and vLLM send it) |
//! | `TOKENS in out [cached [reasoning]]` | usage to report; `in` includes `cached`, `out` includes `reasoning` |
//! | `LATENCY ms` | waits before the first byte |
//! | `GAP ms` | waits between the events of a stream; each is then a write of its own, with 0 too |
//! | `FAIL status [times]` | answers with this HTTP status the first `times` times that this script comes, or always |
//! | `CUT events` | drops the connection after so many events of a stream, or after half of a body |
//! | `STOP length` | the answer ends because it is too long |
//! | `ECHO-KEY` | the key of the request is part of the text, or of the error's message |
//! | `SPLIT n` | texts and arguments come in pieces of at most `n` bytes (default 12), never inside a character |
//!
//! The script is the first user message that has a directive. A later one with the line `TURN` begins another script.
//! The step is the number of answers with tool calls since the script's message. Without a directive the answer is `ok`.
//! A directive that cannot be read is answered with the text `SCRIPT ERROR: …`.
#![forbid(unsafe_code)]

mod answer;
mod conversation;
mod dialect;
mod embedding;
mod models;
mod reply;
mod script;
mod serve;

pub use serve::{Options, serve};
