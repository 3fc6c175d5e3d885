//! Plain HTTP/1, request by request. A connection proves nothing about the next request on it, so each is an action
//! of its own, decided and recorded by itself.

mod exchange;
mod held;
mod session;

pub(crate) use session::{Role, serve};
