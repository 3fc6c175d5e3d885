//! A small client of the API: one request per connection, over the unix socket or TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_identity::ca::{PrivateKey, client_tls, new_request};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// Somebody who asks.
#[derive(Clone)]
pub struct Client {
    way: Way,
    bearer: Option<String>,
}

#[derive(Clone)]
enum Way {
    Unix(PathBuf),
    Tls(SocketAddr, Arc<ClientConfig>),
}

/// A certificate with its key, and the certificate of the authority.
pub struct Identity {
    pub authority: String,
    pub certificate: String,
    pub key: PrivateKey,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field, of which there is one at most.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON, if it is done.
    #[track_caller]
    pub fn good(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text());
        self.json()
    }

    /// The status and the code of a refusal.
    #[track_caller]
    pub fn refused(&self) -> (u16, String) {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        (self.status, problem["code"].as_str().expect("a code").to_owned())
    }
}

impl Client {
    /// Over the unix socket of this state directory.
    pub fn unix(state: PathBuf) -> Self {
        Self { way: Way::Unix(state.join("api.sock")), bearer: None }
    }

    /// Over TLS, believing this authority, with a certificate if there is one.
    pub fn tls(address: SocketAddr, authority: &str, own: Option<(&str, &PrivateKey)>) -> Self {
        let config = client_tls(authority, own).expect("TLS");
        Self { way: Way::Tls(address, Arc::new(config)), bearer: None }
    }

    /// The same, with a bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    /// A new connection.
    pub fn connect(&self) -> Box<dyn Connection> {
        match &self.way {
            Way::Unix(path) => {
                let stream = UnixStream::connect(path).expect("a connection");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                Box::new(stream)
            }
            Way::Tls(address, config) => {
                let stream = TcpStream::connect(address).expect("a connection");
                stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                let name = ServerName::try_from("localhost").expect("a name");
                let connection = ClientConnection::new(Arc::clone(config), name).expect("TLS");
                Box::new(StreamOwned::new(connection, stream))
            }
        }
    }

    /// The bytes of a request.
    fn request(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: localhost\r\n");
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
            if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                head.push_str("content-type: application/json\r\n");
            }
        }
        if let Some(bearer) = &self.bearer {
            head.push_str(&format!("authorization: Bearer {bearer}\r\n"));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    /// Sends a request with these fields and this body.
    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut connection = self.connect();
        connection.write_all(&self.request(method, path, fields, body)).expect("a request");
        read_answer(&mut BufReader::new(connection))
    }

    /// Asks for something; `None` where the connection fails.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        let mut connection = self.connect();
        connection.write_all(&self.request("GET", path, &[], b"")).ok()?;
        let mut reader = BufReader::new(connection);
        reader.fill_buf().ok().filter(|bytes| !bytes.is_empty())?;
        Some(read_answer(&mut reader))
    }

    /// Asks for something.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Sends JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    /// Tells it to do something that needs no more words.
    pub fn order(&self, path: &str) -> Answer {
        self.send("POST", path, &[], b"")
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    /// Opens a stream of events.
    #[track_caller]
    pub fn follow(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Events {
        let mut connection = self.connect();
        connection.write_all(&self.request(method, path, fields, body)).expect("a request");
        let mut reader = BufReader::new(connection);
        let (status, fields) = read_head(&mut reader);
        let kind = fields.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
        assert_eq!((status, kind), (200, Some("text/event-stream")));
        Events { reader, rest: String::new() }
    }

    /// Uses an invitation up.
    pub fn enrol(&self, invitation: &str) -> Result<Identity, Answer> {
        let (request, key) = new_request().expect("a request");
        let answer = self.post("/v1/enroll", &serde_json::json!({ "token": invitation, "request": request }));
        if answer.status != 201 {
            return Err(answer);
        }
        let given = answer.json();
        let text = |name: &str| given[name].as_str().expect("a text").to_owned();
        Ok(Identity { authority: text("authority"), certificate: text("certificate"), key })
    }
}

fn read_head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: `{line}`")).parse().expect("a status");
    let mut fields = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).expect("a field");
        let Some((name, value)) = line.trim_end().split_once(':') else { return (status, fields) };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_answer(reader: &mut impl BufRead) -> Answer {
    let (status, fields) = read_head(reader);
    let length = fields.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().expect("a length"))];
    reader.read_exact(&mut body).expect("a body");
    Answer { status, fields, body }
}

/// Events as they come. Dropped, the connection is closed.
pub struct Events {
    reader: BufReader<Box<dyn Connection>>,
    rest: String,
}

impl Events {
    /// The next chunk; `None` at the end.
    fn chunk(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes).ok()?;
        bytes.truncate(length);
        (length > 0).then(|| String::from_utf8(bytes).expect("UTF-8"))
    }

    /// The next event, its id and its data; `None` at the end.
    pub fn next(&mut self) -> Option<(Option<u64>, Value)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let part = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let Some(data) = part("data:") else { continue };
                let id = part("id:").map(|id| id.parse().expect("a number"));
                return Some((id, serde_json::from_str(data).expect("JSON")));
            }
            let more = self.chunk()?;
            self.rest.push_str(&more);
        }
    }
}
