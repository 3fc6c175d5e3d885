//! What servers may ask of the agent: nothing.
//!
//! An agent offers no sampling (a server would use the agent's model), no roots (there are none to list) and no
//! elicitation (there is nobody to ask). Of what a server tells, only one thing counts: that its tools have changed.

use std::sync::Arc;

use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ErrorCode, ErrorData, Implementation,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, RoleClient};

use super::watch::Watch;

/// The agent, as a server sees it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    watch: Arc<Watch>,
}

impl Client {
    pub(super) fn new(watch: Arc<Watch>) -> Self {
        Self { watch }
    }
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let agent = Implementation::new("nanoclaw", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), agent)
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "elicitation/create", None))
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.watch.change();
    }
}
