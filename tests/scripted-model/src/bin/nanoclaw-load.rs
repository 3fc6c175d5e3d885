//! A load generator for servers of OpenAI chat completions: what one request costs, as JSON. `bench/llm.py` runs it, outside
//! of cells and in them.
//!
//! Each connection is kept alive and has one request under way at a time. Answers count that come to their end between the end
//! of the warm-up and the end of the time. An answer fails unless it is `200`, comes to its end, and is the one that the script
//! asks for.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Letters of one event of a stream.
const PIECE: usize = 12;
/// Letters of an answer that is not streamed.
const WHOLE: usize = 240;
/// The only letter of an answer's text, and nowhere else in an answer.
const LETTER: char = 'Z';

/// Asks a server for answers as fast as it gives them, and prints what that took, as JSON.
#[derive(Parser, Clone)]
struct Arguments {
    /// Host and port.
    server: String,
    /// Model to ask for.
    #[arg(long)]
    model: String,
    /// Length of a request's body in bytes.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Have the answer streamed in so many events with text, each a write of the server's own; 0: not streamed.
    #[arg(long, default_value_t = 0)]
    events: usize,
    /// Connections.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long to warm up before, in seconds.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// What to sign in with.
    #[arg(long, default_value = "placeholder")]
    key: String,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// When the first text of an answer was there, and when all of it was, after the request, in nanoseconds.
struct Times {
    first: u64,
    whole: u64,
}

/// What one connection has seen.
#[derive(Default)]
struct Seen {
    times: Vec<Times>,
    /// Requests in all, also those whose answers do not count.
    requests: u64,
    failed: u64,
    first_failure: Option<String>,
}

struct Connection {
    arguments: Arguments,
    body: Bytes,
    sender: SendRequest<Full<Bytes>>,
}

/// The body of every request: a script for the mock, and what makes up the length.
fn body(arguments: &Arguments) -> Result<Bytes, Failed> {
    let said = if arguments.events == 0 { WHOLE } else { arguments.events * PIECE };
    let mut script = format!("SAY {}\n", LETTER.to_string().repeat(said));
    if arguments.events > 0 {
        // Each event is a write of its own.
        script.push_str("GAP 0\n");
    }
    let request = |padding: &str| {
        let messages = json!([{ "role": "system", "content": padding }, { "role": "user", "content": script }]);
        json!({ "model": arguments.model, "messages": messages, "stream": arguments.events > 0 }).to_string()
    };
    let missing = arguments.bytes.checked_sub(request("").len());
    let missing = missing.ok_or_else(|| format!("the script alone is longer than {} bytes", arguments.bytes))?;
    // Words, since a proxy may count tokens.
    let padding: String = "all work and no play ".chars().cycle().take(missing).collect();
    Ok(Bytes::from(request(&padding)))
}

impl Connection {
    async fn open(arguments: Arguments, body: Bytes) -> Result<Self, Failed> {
        let stream = TcpStream::connect(&arguments.server).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is seen by the request that is under way.
        tokio::spawn(connection);
        Ok(Self { arguments, body, sender })
    }

    async fn ask(&mut self) -> Result<Times, Failed> {
        let request = Request::post("/v1/chat/completions")
            .header(HOST, &self.arguments.server)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {}", self.arguments.key))
            .body(Full::new(self.body.clone()))?;
        let begin = Instant::now();
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut frames = response.into_body();
        let (mut first, mut letters, mut answer) = (None, 0, Vec::new());
        while let Some(frame) = frames.frame().await {
            if let Ok(data) = frame?.into_data() {
                letters += data.iter().filter(|byte| **byte == LETTER as u8).count();
                if letters > 0 {
                    first.get_or_insert_with(|| nanoseconds(begin.elapsed()));
                }
                if status != 200 {
                    answer.extend_from_slice(&data);
                }
            }
        }
        let whole = nanoseconds(begin.elapsed());
        if status != 200 {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&answer)).into());
        }
        let expected = if self.arguments.events == 0 { WHOLE } else { self.arguments.events * PIECE };
        if letters != expected {
            return Err(format!("{letters} of {expected} letters came").into());
        }
        Ok(Times { first: first.unwrap_or(whole), whole })
    }

    /// Asks until `end`, and keeps the times of the answers that came between `begin` and then.
    async fn work(mut self, begin: Instant, end: Instant) -> Seen {
        let mut seen = Seen::default();
        while Instant::now() < end {
            seen.requests += 1;
            match self.ask().await {
                Ok(times) if (begin..end).contains(&Instant::now()) => seen.times.push(times),
                Ok(_) => {}
                Err(error) => {
                    seen.failed += 1;
                    seen.first_failure.get_or_insert(error.to_string());
                    match Self::open(self.arguments.clone(), self.body.clone()).await {
                        Ok(again) => self = again,
                        Err(_) => break,
                    }
                }
            }
        }
        seen
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Quantiles in microseconds.
fn quantiles(mut nanoseconds: Vec<u64>) -> Value {
    nanoseconds.sort_unstable();
    let at = |share: f64| {
        let rank = (nanoseconds.len() as f64 * share).ceil() as usize;
        nanoseconds.get(rank.saturating_sub(1)).map(|value| *value as f64 / 1e3)
    };
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) })
}

async fn run(arguments: Arguments) -> Result<Value, Failed> {
    let body = body(&arguments)?;
    let mut connections = Vec::new();
    for _ in 0..arguments.connections {
        connections.push(Connection::open(arguments.clone(), body.clone()).await?);
    }
    let begin = Instant::now() + Duration::try_from_secs_f64(arguments.warm_up)?;
    let end = begin + Duration::try_from_secs_f64(arguments.seconds)?;
    let mut working: JoinSet<Seen> = connections.into_iter().map(|connection| connection.work(begin, end)).collect();
    let mut all = Seen::default();
    while let Some(seen) = working.join_next().await {
        let seen = seen?;
        all.times.extend(seen.times);
        all.requests += seen.requests;
        all.failed += seen.failed;
        all.first_failure = all.first_failure.or(seen.first_failure);
    }
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Ok(json!({
        "answers": all.times.len(),
        "requests": all.requests,
        "failed": all.failed,
        "first_failure": all.first_failure,
        "per_second": all.times.len() as f64 / arguments.seconds,
        "cpu_seconds": cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        "first": quantiles(all.times.iter().map(|times| times.first).collect()),
        "whole": quantiles(all.times.iter().map(|times| times.whole).collect()),
    }))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Failed::from).and_then(|runtime| runtime.block_on(run(arguments))) {
        Ok(seen) => {
            println!("{seen}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("nanoclaw-load: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(events: usize) -> Arguments {
        Arguments::parse_from(["load", "h:1", "--model", "m", "--bytes", "8192", "--events", &events.to_string()])
    }

    #[test]
    fn a_request_is_as_long_as_asked() {
        for events in [0, 20] {
            assert_eq!(body(&arguments(events)).unwrap().len(), 8192);
        }
        assert!(body(&Arguments { bytes: 300, ..arguments(20) }).is_err());
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let found = quantiles((1..=100).rev().map(|value| value * 1000).collect());
        assert_eq!(found, json!({ "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0 }));
        assert_eq!(quantiles(Vec::new())["p50"], Value::Null);
    }
}
