//! A transport that a server cannot fill with questions.
//!
//! Whatever a server asks is refused, but the refusals wait until it takes them. One that asks and does not listen would
//! fill the memory with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::RoleClient;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use super::watch::Watch;

/// Most questions of a server that wait for their answer; with one more it is cut off.
pub(crate) const MOST_QUESTIONS: usize = 64;

/// A transport whose server is cut off when it asks too much.
pub(super) struct Guard<T> {
    transport: T,
    watch: Arc<Watch>,
    open: Arc<AtomicUsize>,
}

impl<T> Guard<T> {
    pub(super) fn new(transport: T, watch: &Arc<Watch>) -> Self {
        Self { transport, watch: Arc::clone(watch), open: Arc::default() }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Guard<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        let answer = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
        let (sending, open) = (self.transport.send(message), Arc::clone(&self.open));
        async move {
            let sent = sending.await;
            if answer {
                open.fetch_sub(1, Ordering::Relaxed);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let message = self.transport.receive().await?;
        if matches!(message, JsonRpcMessage::Request(_)) && self.open.fetch_add(1, Ordering::Relaxed) >= MOST_QUESTIONS
        {
            self.watch.flood();
            return None;
        }
        Some(message)
    }

    async fn close(&mut self) -> Result<(), T::Error> {
        self.transport.close().await
    }
}
