//! The witness over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nanoclaw_tlog::witness::{MAX_REQUEST, Refusal};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::state::{Refused, Witness};

/// Most connections at once; more wait.
const MOST_CONNECTIONS: usize = 64;
/// How long a request may take to come.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// Serves until the runtime ends. `say` is told what a person should see: each refusal, and where the memory fails.
pub async fn serve(listener: TcpListener, witness: Arc<Witness>, say: fn(&str)) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let witness = Arc::clone(&witness);
        tokio::spawn(async move {
            let service = service_fn(|request| async { Ok::<_, Infallible>(answer(&witness, request, say).await) });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIME)
                .serve_connection(TokioIo::new(stream), service);
            // However it ended, there is nobody left to tell.
            let _ended = timeout(CONNECTION_TIME, connection).await.is_err();
            drop(place);
        });
    }
}

async fn answer(witness: &Witness, request: Request<Incoming>, say: fn(&str)) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::POST, "/add-checkpoint") => {
            let body = timeout(REQUEST_TIME, Limited::new(request.into_body(), MAX_REQUEST).collect()).await;
            let Ok(Ok(body)) = body else {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "the request did not come, or is too long\n".to_owned());
            };
            match str::from_utf8(&body.to_bytes()) {
                Ok(body) => judged(witness.add_checkpoint(body), say),
                Err(_) => text(StatusCode::BAD_REQUEST, "the request is not UTF-8\n".to_owned()),
            }
        }
        (&Method::GET, path) => match origin_of(path) {
            Some(hash) => match witness.latest(hash) {
                Ok(Some((_, note))) => text(StatusCode::OK, note),
                Ok(None) => text(StatusCode::NOT_FOUND, "this witness has vouched for no such log\n".to_owned()),
                Err(error) => judged(Err(error), say),
            },
            None => text(StatusCode::NOT_FOUND, "there are /add-checkpoint and /ORIGIN-HASH/checkpoint\n".to_owned()),
        },
        (_, "/add-checkpoint") => text(StatusCode::METHOD_NOT_ALLOWED, "use POST\n".to_owned()),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n".to_owned()),
    }
}

/// The hash in `/HASH/checkpoint`.
fn origin_of(path: &str) -> Option<&str> {
    let hash = path.strip_prefix('/')?.strip_suffix("/checkpoint")?;
    (hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))).then_some(hash)
}

fn judged(judgement: Result<String, Refused>, say: fn(&str)) -> Response<Full<Bytes>> {
    match judgement {
        Ok(lines) => text(StatusCode::OK, lines),
        Err(Refused::Refusal(Refusal::Conflict(size))) => {
            let mut response = text(StatusCode::CONFLICT, format!("{size}\n"));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/x.tlog.size"));
            response
        }
        Err(Refused::Refusal(refusal)) => {
            if matches!(refusal, Refusal::Inconsistent { .. }) {
                say(&format!("refused: {refusal}"));
            }
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            text(status, format!("{refusal}\n"))
        }
        Err(error) => {
            say(&error.to_string());
            text(StatusCode::INTERNAL_SERVER_ERROR, "this witness cannot remember, so it does not vouch\n".to_owned())
        }
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
