//! The client towards providers: HTTP/1.1 on connections that are kept, TLS as `nanoclaw_vault::tls` says.
//!
//! [`Upstream`] holds the keys and puts them into requests; nothing else does, and no header of an agent's request is
//! passed on but those that a [`Call`] names. A call is tried again only while nothing of an answer has come: once the
//! head of a good answer is there, whatever goes wrong is the caller's to tell, so that no token is delivered twice.
//! No redirect is followed and no proxy is used: a provider is exactly the `base_url` that the configuration names.
mod address;
mod answer;
mod connect;
mod failure;
mod provider;
mod retry;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use nanoclaw_config::ProviderKind;
use nanoclaw_dialect::Dialect;
use nanoclaw_vault::{Scrubber, Secret};
use tokio::time::Instant;

pub use answer::{Answer, AnswerBody, MAX_ANSWER_BYTES};
pub use connect::DialCell;
pub use failure::Failure;
pub use provider::SetUpError;

use address::Service;
use failure::Reporter;
use provider::Provider;

/// All providers of a configuration.
#[derive(Clone)]
pub struct Upstream(Arc<HashMap<String, Provider>>);

/// One call of a model.
#[derive(Clone, Debug)]
pub struct Call {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// What is asked of it.
    pub operation: Operation,
    /// Whether the answer is asked for as server-sent events.
    pub stream: bool,
    /// Headers of the agent's request that are passed on, such as `anthropic-beta`. Those that this client sets itself
    /// cannot be set by them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The request in the dialect that is spoken to the provider.
    pub body: Bytes,
}

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An answer of a model.
    Generate(Dialect),
    /// Vectors for texts, in OpenAI's form.
    Embeddings,
    /// How many tokens a request has, in Anthropic's form.
    CountTokens,
}

impl Upstream {
    /// Reads the keys and certificates of `providers`. Connects to nothing yet. `dial` connects to providers that run
    /// in a cell.
    ///
    /// # Errors
    /// A key or a file of certificates cannot be had, an address cannot be used, or a provider runs in a cell and there
    /// is no `dial`.
    pub fn new(providers: &[nanoclaw_config::Provider], dial: Option<DialCell>) -> Result<Self, SetUpError> {
        let keys: Vec<Option<Secret>> = providers.iter().map(provider::key).collect::<Result<_, _>>()?;
        // An error of one provider may come from another one behind it, so each is searched for every key.
        let scrubber = Arc::new(Scrubber::new(keys.iter().flatten()));
        let mut tls = connect::SystemTls::default();
        let providers = providers.iter().zip(keys).map(|(config, key)| {
            let in_cell = matches!(config.kind, ProviderKind::LlamaServer(_));
            let reporter = Reporter::new(&config.name, key.is_some(), in_cell, Arc::clone(&scrubber));
            Ok((config.name.clone(), Provider::new(config, key, reporter, dial.as_ref(), &mut tls)?))
        });
        providers.collect::<Result<_, _>>().map(|providers| Self(Arc::new(providers)))
    }

    /// Which dialect to speak to `provider` for an agent that speaks `asked`: the same one if the provider knows it,
    /// otherwise its own. `None` if there is no such provider.
    pub fn dialect(&self, provider: &str, asked: Dialect) -> Option<Dialect> {
        let service = self.0.get(provider)?.service();
        Some(if service.speaks(asked) { asked } else { service.own_dialect() })
    }

    /// Whether `provider` answers [`Operation::Embeddings`].
    pub fn has_embeddings(&self, provider: &str) -> bool {
        self.0.get(provider).is_some_and(|provider| matches!(provider.service(), Service::OpenAi { .. }))
    }

    /// Whether `provider` holds an answer of chat completions to the JSON Schema of the request.
    pub fn enforces_schemas(&self, provider: &str) -> bool {
        self.0.get(provider).is_some_and(|provider| provider.service() == Service::LlamaServer)
    }

    /// Makes a call, and makes it again as often as the configuration says while nothing has been answered. A provider
    /// in a cell is waited for while it starts. Where the provider may charge for an attempt that failed, `again` says
    /// whether there may be a further one.
    ///
    /// # Errors
    /// There was no good answer: none at all, none in time, or an error of the provider.
    pub async fn send(&self, call: &Call, mut again: impl FnMut() -> bool) -> Result<Answer, Failure> {
        let provider = self.0.get(&call.provider).ok_or_else(|| Failure::no_such_provider(&call.provider))?;
        let request = provider.request(call)?;
        let begun = Instant::now();
        let deadline = begun + provider.timeout();
        let mut attempts = 0;
        // Those that found the provider starting.
        let mut early = 0;
        loop {
            attempts += 1;
            let failed = match provider.attempt(request.clone(), deadline, call.operation).await {
                Ok(answer) => return Ok(Answer { attempts, ..answer }),
                Err(failed) => failed,
            };
            let wait = match provider.starting(&failed.failure, begun.elapsed()) {
                Some(pause) => {
                    early += 1;
                    Some(pause)
                }
                None if failed.again && attempts - early <= provider.retries() => {
                    retry::wait(attempts - early, failed.failure.retry_after, retry::jitter())
                }
                None => None,
            };
            match wait {
                Some(wait) if Instant::now() + wait < deadline && (!failed.failure.charged || again()) => {
                    tokio::time::sleep(wait).await;
                }
                _ => return Err(Failure { attempts, ..failed.failure }),
            }
        }
    }

    /// Every key, so that what is answered to agents can be searched for them.
    pub fn secrets(&self) -> Vec<Secret> {
        self.0.values().filter_map(|provider| provider.key().cloned()).collect()
    }
}
