//! What goes into a model and comes out of it, judged: is it an attack, does it carry what must not leave.
//!
//! A text is read in all the ways in which a model may read it ([`view`]): folded to one form of each letter, decoded, and
//! what people do not see. Each reading is held against rules ([`rules`]), scored ([`model`]) and searched for data
//! ([`loss`]) and for what this fleet's own filters name ([`filter`]). What is found comes back as a [`Judgement`], with spans
//! of the original text. No I/O, and no work that grows faster than the text.

#![forbid(unsafe_code)]

mod decode;
pub mod filter;
mod firewall;
pub mod loss;
mod markup;
pub mod model;
pub mod rules;
pub mod stream;
mod verdict;
pub mod view;

pub use firewall::{Firewall, Prompts, Results, Settings, SettingsError};
pub use verdict::{Channel, Judgement, Level, LossHit, RuleHit, Verdict};
pub use view::{Form, Readings, Span};
