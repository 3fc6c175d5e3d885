//! The model door: everything that a cell says to a model, and everything that a model says to it, goes through here.
//!
//! A cell finds the door at `http://llm.nanoclaw.internal`, speaks one of three dialects to it, and holds no key. What
//! comes in walks one way (`call`): it is identified by the connection that the network door handed over, read
//! (`nanoclaw-dialect`), looked at (`inspect`), routed (`route`), its use reserved ([`budget`]), authorised, recorded,
//! and only then sent to a provider ([`upstream`]). The answer comes back through `answer`, which lets no tool call pass
//! before somebody has decided on it.
//!
//! - [`Models`] is the part that all cells share: providers, keys, aliases, prices, budgets, metrics;
//! - [`ModelDoor`] is the door of one run of one cell.
//!
//! A failure to record closes the door: [`ModelDoor::serve`] ends with the error.
#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod bodies;
pub mod budget;
mod call;
mod door;
mod embeddings;
mod estimate;
mod inspect;
mod keys;
mod ledger;
mod listing;
pub mod metrics;
mod models;
mod offered;
mod outside;
mod price;
mod provenance;
mod replay;
mod request;
mod respond;
mod route;
mod routes;
mod screen;
mod trace;
mod unpriced;
pub mod upstream;
mod work;

pub use door::ModelDoor;
pub use models::{Models, Seen, SetUp, SetUpError, Watching};
pub use price::{Price, PriceError, Prices};
pub use replay::{Decided, Decision, Played, PlayedCall, Replay, Replayed, Step};
pub use unpriced::unpriced;
