//! A fleet whose API is served over TLS, and people who may use it.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::client::{Client, Identity};
use crate::support::{Background, Finished, Host};

/// `nanoclaw up` with an API, in the background.
pub struct World {
    pub host: Host,
    pub control: Background,
    pub address: SocketAddr,
    /// The certificate of the authority, in PEM.
    pub authority: String,
}

impl World {
    /// Starts the fleet of this configuration, to which `api` is added.
    pub fn up(configuration: &str) -> Self {
        Self::up_on(Host::new(), configuration)
    }

    /// The same, on this host.
    pub fn up_on(host: Host, configuration: &str) -> Self {
        let address = free();
        host.write("fleet.yaml", format!("api: {{ listen: '{address}' }}\n{configuration}"));
        host.directory("work");
        let control = Background::start(host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
        control.says("from `fleet.yaml`");
        let authority = Client::unix(host.path("state")).get("/v1/ca").text();
        Self { host, control, address, authority }
    }

    /// Whoever started it, over the unix socket.
    pub fn owner(&self) -> Client {
        Client::unix(self.host.path("state"))
    }

    /// Somebody without a certificate.
    pub fn stranger(&self) -> Client {
        Client::tls(self.address, &self.authority, None)
    }

    /// Somebody with this certificate.
    pub fn with(&self, identity: &Identity) -> Client {
        Client::tls(self.address, &identity.authority, Some((&identity.certificate, &identity.key)))
    }

    /// A new operator with these roles, by an invitation of the owner's.
    #[track_caller]
    pub fn identity(&self, name: &str, roles: &[&str]) -> Identity {
        let invitation = self.owner().post("/v1/enrolments", &json!({ "operator": name, "roles": roles })).good();
        self.stranger().enrol(invitation["token"].as_str().expect("a token")).expect("a certificate")
    }

    /// The same, ready to ask.
    #[track_caller]
    pub fn operator(&self, name: &str, roles: &[&str]) -> Client {
        self.with(&self.identity(name, roles))
    }

    /// The records of the log that suit.
    pub fn records(&self, suits: impl Fn(&Value) -> bool) -> Vec<Value> {
        // What is queued is on disk a few milliseconds later; a request that is on disk before its answer pushes it.
        self.owner().get("/v1/agents").good();
        self.host.records().into_iter().filter(suits).collect()
    }

    /// Ends it.
    pub fn end(self) -> (Host, Finished) {
        self.control.signal(rustix::process::Signal::TERM);
        let finished = self.control.finish();
        (self.host, finished)
    }
}

/// An address on which nobody listens.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address")
}
