//! The model door as a service behind the network door.

use std::io::Cursor;
use std::sync::Arc;

use nanoclaw_audit::AuditError;
use nanoclaw_egress::{HandedOver, Pending, Serve, Service};
use nanoclaw_llm::ModelDoor;
use nanoclaw_request::{DnsName, HostError, Via};
use tokio::io::AsyncReadExt as _;

/// The name of the model door in every cell that may ask models.
pub const HOST: &str = "llm.nanoclaw.internal";
/// What client libraries want to have in the place of a key. It opens nothing.
pub const PLACEHOLDER_KEY: &str = "placeholder-held-by-nanoclaw";

struct Entrance(ModelDoor);

impl Serve for Entrance {
    fn serve(&self, connection: HandedOver) -> Pending<'_, Result<(), AuditError>> {
        let HandedOver { stream, ahead, via } = connection;
        let (reader, writer) = stream.into_split();
        let stream = tokio::io::join(Cursor::new(ahead).chain(reader), writer);
        // A client that takes the door for a proxy may ask for another host next.
        Box::pin(self.0.serve(stream, via != Via::HttpAbsolute))
    }
}

/// The door, under its name.
pub(crate) fn service(door: ModelDoor) -> Result<Service, HostError> {
    Ok(Service { host: DnsName::parse(HOST)?, port: 80, server: Arc::new(Entrance(door)) })
}

/// The environment in which client libraries find the door.
pub(crate) fn environment() -> [(String, String); 6] {
    let none = format!("localhost,127.0.0.1,::1,{HOST}");
    [
        ("OPENAI_BASE_URL", format!("http://{HOST}/v1")),
        ("OPENAI_API_KEY", PLACEHOLDER_KEY.to_owned()),
        ("ANTHROPIC_BASE_URL", format!("http://{HOST}")),
        ("ANTHROPIC_API_KEY", PLACEHOLDER_KEY.to_owned()),
        ("NO_PROXY", none.clone()),
        ("no_proxy", none),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}
