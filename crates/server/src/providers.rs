//! Models that run in cells of their own: where the model door finds them.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_llm::upstream::DialCell;

use crate::agents::llama;
use crate::cell::Steering;

/// The cells of providers that run now, by the provider's name. Clones are the same ones.
#[derive(Clone, Default)]
pub struct Providers(Arc<Mutex<HashMap<String, Steering>>>);

impl Providers {
    /// How the model door connects to them.
    pub fn dial(&self) -> DialCell {
        let providers = self.clone();
        Arc::new(move |name| {
            let steering = providers.cells().get(name).cloned();
            let name = name.to_owned();
            Box::pin(async move {
                let Some(steering) = steering else {
                    return Err(io::Error::new(
                        io::ErrorKind::NotConnected,
                        format!("the cell of `{name}` is not running"),
                    ));
                };
                steering.dial(llama::PORT).await
            })
        })
    }

    pub(crate) fn open(&self, provider: &str, steering: Steering) {
        self.cells().insert(provider.to_owned(), steering);
    }

    pub(crate) fn close(&self, provider: &str) {
        self.cells().remove(provider);
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, HashMap<String, Steering>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
