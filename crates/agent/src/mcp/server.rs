//! One server: started when it is needed, asked what it has, called, and started again when it has ended.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::model::{CallToolRequestParams, PaginatedRequestParams, ProtocolVersion, SubscriptionFilter, Tool};
use rmcp::service::{ClientLifecycleMode, Peer, RunningService, ServiceError, serve_client_with_lifecycle};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::client::Client;
use super::config::McpServer;
use super::guard::Guard;
use super::journal::Journal;
use super::offer::{self, Listed, MOST_TOOLS};
use super::stdio::Process;
use super::watch::{self, Watch};
use super::{content, failure, http, stdio};
use crate::settings::ToolNames;
use crate::tools::{Job, Output, ToolError};

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until it is started and has said which tools it has.
    pub start: Duration,
    /// Until it has answered a call.
    pub call: Duration,
    /// After a start has failed, until the next one is tried.
    pub pause: Duration,
}

impl Patience {
    /// In a cell.
    pub(crate) const USUAL: Self = Self { start: LONGEST_START, call: LONGEST_CALL, pause: SHORTEST_PAUSE };
}

/// Longest time until a server is started and has said which tools it has.
pub(crate) const LONGEST_START: Duration = Duration::from_secs(60);

/// Longest time until a server has answered a call.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(300);

/// Shortest time from a failed start to the next one.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_secs(60);

/// Most pages of a list of tools.
const MOST_PAGES: usize = 32;

/// A server of the settings.
#[derive(Debug)]
pub(super) struct Server {
    way: McpServer,
    directory: PathBuf,
    rules: ToolNames,
    patience: Patience,
    journal: Rc<Journal>,
    /// Held while the server is started, so that it is started once.
    running: Mutex<Option<Running>>,
    listed: RefCell<Vec<Listed>>,
    /// Whether it was to run and does not.
    missing: Cell<bool>,
    /// When a start failed.
    failed: Cell<Option<Instant>>,
    /// Sessions in whose turn it was started again.
    again: RefCell<BTreeSet<String>>,
}

/// A server that was started.
#[derive(Debug)]
pub(super) struct Running {
    service: RunningService<RoleClient, Client>,
    watch: Arc<Watch>,
    process: Option<Process>,
    /// Hears of changes, where a server tells them only to those who ask.
    listening: JoinSet<()>,
}

impl Running {
    fn gone(&self) -> bool {
        self.service.is_transport_closed() || self.watch.flooded()
    }

    /// Why it is gone.
    async fn end(&self) -> String {
        if self.watch.flooded() {
            return watch::FLOOD.to_owned();
        }
        match &self.process {
            Some(process) => process.end().await.unwrap_or_else(|| "it closed its output".to_owned()),
            None => "the connection ended".to_owned(),
        }
    }

    /// Whether it speaks the protocol of 2026-07-28 or later, in which lists say how long they hold.
    fn modern(&self) -> bool {
        self.service.peer_info().is_some_and(|info| !info.protocol_version.has_initialize())
    }

    /// Asks a server that tells of changes only when it is asked. Without an answer its lists are asked for at each turn,
    /// as far as they do not hold longer.
    fn listen(&mut self) {
        let tells = self
            .service
            .peer_info()
            .is_some_and(|info| info.capabilities.tools.as_ref().and_then(|tools| tools.list_changed).unwrap_or(false));
        if !(tells && self.modern()) {
            return;
        }
        let (peer, watch) = (self.service.peer().clone(), Arc::clone(&self.watch));
        self.listening.spawn(async move {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            let Ok(mut subscription) = peer.listen(filter).await else { return };
            while let Ok(Some(_)) = subscription.next().await {
                watch.change();
            }
        });
    }
}

impl Server {
    pub(super) fn new(way: McpServer, directory: PathBuf, rules: ToolNames, patience: Patience) -> Self {
        Self {
            journal: Rc::new(Journal::new(way.name())),
            way,
            directory,
            rules,
            patience,
            running: Mutex::new(None),
            listed: RefCell::default(),
            missing: Cell::new(false),
            failed: Cell::new(None),
            again: RefCell::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.way.name()
    }

    /// What can be offered.
    pub(super) fn listed(&self) -> Vec<Listed> {
        self.listed.borrow().clone()
    }

    /// Writes a line about it into the log.
    pub(super) fn note(&self, text: &str) {
        self.journal.note(text);
    }

    /// Whether it was to run and does not.
    pub(super) fn missing(&self) -> bool {
        self.missing.get()
    }

    /// A turn in `session` begins: the server is started if it does not run. Says whether its tools may be others.
    pub(super) async fn begin(&self, session: &str) -> bool {
        self.again.borrow_mut().remove(session);
        let mut running = self.running.lock().await;
        if let Some(gone) = running.take_if(|running| running.gone()) {
            self.journal.note(&gone.end().await);
        }
        if running.is_some() {
            drop(running);
            return self.refresh(true).await;
        }
        if self.failed.get().is_some_and(|at| at.elapsed() < self.patience.pause) {
            // The start may have been interrupted, and nobody been told that it is missing.
            return true;
        }
        *running = self.start().await.ok();
        true
    }

    /// Asks a server whose tools have changed which ones it has. Says whether they may be others.
    pub(super) async fn refresh(&self, new_turn: bool) -> bool {
        let mut slot = self.running.lock().await;
        let Some(running) = slot.as_ref().filter(|running| !running.gone()) else { return false };
        let told = running.watch.take_change();
        if !(told || new_turn && running.modern()) {
            return false;
        }
        running.watch.begin();
        match timeout(self.patience.start, self.list(running)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                self.journal.note(&why);
                return false;
            }
            Err(_) => {
                *slot = None;
                self.fail("it does not answer any more");
            }
        }
        true
    }

    /// Calls a tool by the server's own name for it.
    pub(super) async fn call(&self, tool: &str, job: &Job) -> Result<Output, ToolError> {
        let arguments = job.arguments::<Map<String, Value>>()?;
        let (peer, watch) = self.ready(&job.session).await?;
        watch.begin();
        let mut dropped = watch.dropped();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let says = |what: &str| ToolError::new(format!("the MCP server `{}`: {what}", self.name()));
        let answer = tokio::select! {
            biased;
            answer = timeout(self.patience.call, peer.call_tool_once(params)) => answer,
            _ = dropped.changed() => {
                return Err(if watch.flooded() { self.ended().await } else { says(&watch::too_long()) });
            }
        };
        match answer {
            Ok(Ok(response)) => content::output(response),
            // Also said where only the answer broke off.
            Ok(Err(ServiceError::TransportClosed)) => match dropped.has_changed() {
                Ok(true) if !watch.flooded() => Err(says(&watch::too_long())),
                _ => Err(self.ended().await),
            },
            Ok(Err(error)) => Err(says(&failure::text(&error))),
            Err(_) => Err(says(&format!(
                "no answer within {} s; it is not known whether the call took effect",
                self.patience.call.as_secs()
            ))),
        }
    }

    /// It ended while it was called.
    async fn ended(&self) -> ToolError {
        let why = match &*self.running.lock().await {
            Some(running) if running.gone() => running.end().await,
            _ => {
                let name = self.name();
                return ToolError::new(format!(
                    "the MCP server `{name}`: the answer broke off; it is not known whether the call took effect"
                ));
            }
        };
        ToolError::new(format!(
            "the MCP server `{}` is gone: {why}. It is not known whether the call took effect. The next call starts it \
             again, without what it knew",
            self.name()
        ))
    }

    /// A server that can be called. One that has ended is started again, once in a turn.
    async fn ready(&self, session: &str) -> Result<(Peer<RoleClient>, Arc<Watch>), ToolError> {
        let mut running = self.running.lock().await;
        if let Some(gone) = running.take_if(|running| running.gone()) {
            self.journal.note(&gone.end().await);
        }
        if running.is_none() {
            if !self.again.borrow_mut().insert(session.to_owned()) {
                return Err(ToolError::new(format!(
                    "the MCP server `{}` has ended again and is not started a second time in this turn; work without it",
                    self.name()
                )));
            }
            let failed = |why: String| {
                ToolError::new(format!(
                    "the MCP server `{}` cannot be started again: {why}; work without it",
                    self.name()
                ))
            };
            let started = self.start().await.map_err(failed)?;
            // The list is there, but not with those who offer it.
            started.watch.change();
            *running = Some(started);
        }
        let Some(running) = running.as_ref() else { return Err(ToolError::new("the MCP server is gone")) };
        Ok((running.service.peer().clone(), Arc::clone(&running.watch)))
    }

    /// Starts the server and asks for its tools. The error is in part in the words of the server.
    pub(super) async fn start(&self) -> Result<Running, String> {
        self.journal.begin();
        // Until it runs it counts as failed: where the turn is interrupted meanwhile, the next one does not wait again.
        self.missing.set(true);
        self.failed.set(Some(Instant::now()));
        let result = match timeout(self.patience.start, self.connect()).await {
            Ok(result) => result,
            Err(_) => Err(format!("it was not ready within {} s", self.patience.start.as_secs())),
        };
        match result {
            Ok(running) => {
                self.missing.set(false);
                self.failed.set(None);
                Ok(running)
            }
            Err(why) => {
                self.fail(&why);
                Err(why)
            }
        }
    }

    /// The server is not there, and is not for a while.
    fn fail(&self, why: &str) {
        self.journal.note(&format!("it does not run: {why}"));
        self.listed.borrow_mut().clear();
        self.missing.set(true);
        self.failed.set(Some(Instant::now()));
    }

    async fn connect(&self) -> Result<Running, String> {
        // First the question that servers of 2026-07-28 answer, and others refuse; then, with those that take it amiss,
        // what was said before.
        let modern = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let running = match self.serve(modern).await {
            Ok(running) => running,
            Err(Unserved::Unstarted(why)) => return Err(why),
            Err(Unserved::Unspoken(_)) => {
                self.serve(ClientLifecycleMode::Initialize).await.map_err(|error| match error {
                    Unserved::Unstarted(why) | Unserved::Unspoken(why) => why,
                })?
            }
        };
        self.list(&running).await.map(|()| running)
    }

    async fn serve(&self, mode: ClientLifecycleMode) -> Result<Running, Unserved> {
        let watch = Arc::new(Watch::default());
        let client = Client::new(Arc::clone(&watch));
        let mut dropped = watch.dropped();
        let starting = async {
            Ok(match &self.way {
                McpServer::Program { command, env, .. } => {
                    let (pipes, process) = stdio::start(command, env, &self.directory, &self.journal, &watch)
                        .map_err(Unserved::Unstarted)?;
                    let service = serve_client_with_lifecycle(client, Guard::new(pipes, &watch), mode).await;
                    (service, Some(process))
                }
                McpServer::Web { url, .. } => {
                    let transport = http::transport(url, &watch).map_err(Unserved::Unstarted)?;
                    let guarded = Guard::new(transport, &watch);
                    (serve_client_with_lifecycle(client, guarded, mode).await, None)
                }
            })
        };
        let (service, process) = tokio::select! {
            biased;
            started = starting => started?,
            _ = dropped.changed() => return Err(Unserved::Unspoken(watch.dropped_what("its first answer"))),
        };
        let service = match (service, &process) {
            (Ok(service), _) => service,
            (Err(error), Some(process)) if failure::closed(&error) => {
                let end = if watch.flooded() { Some(watch::FLOOD.to_owned()) } else { process.end().await };
                return Err(Unserved::Unspoken(end.unwrap_or_else(|| "it closed its output".to_owned())));
            }
            (Err(error), _) => return Err(Unserved::Unspoken(failure::unserved(&error))),
        };
        let mut running = Running { service, watch, process, listening: JoinSet::new() };
        running.listen();
        Ok(running)
    }

    async fn list(&self, running: &Running) -> Result<(), String> {
        let mut dropped = running.watch.dropped();
        let tools = tokio::select! {
            biased;
            tools = tools(running.service.peer()) => tools,
            _ = dropped.changed() => return Err(running.watch.dropped_what("its list of tools")),
        };
        match tools {
            Ok(tools) => {
                let listed = offer::offers(self.name(), tools, &self.rules, &self.journal);
                let proposal = offer::proposal(&listed);
                let before = offer::proposal(&self.listed.replace(listed));
                if let Some(line) = proposal.filter(|line| before.as_ref() != Some(line)) {
                    self.note(&line);
                }
                Ok(())
            }
            Err(ServiceError::TransportClosed) => Err(running.end().await),
            Err(error) => Err(format!("its tools cannot be listed: {}", failure::text(&error))),
        }
    }
}

/// Asks for all tools, page by page.
async fn tools(peer: &Peer<RoleClient>) -> Result<Vec<Tool>, ServiceError> {
    let mut tools = Vec::new();
    let mut cursor = None;
    if peer.peer_info().is_some_and(|info| info.capabilities.tools.is_some()) {
        for _ in 0..MOST_PAGES {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = peer.list_tools(Some(params)).await?;
            tools.extend(page.tools);
            cursor = page.next_cursor;
            if cursor.is_none() || tools.len() > MOST_TOOLS {
                break;
            }
        }
    }
    Ok(tools)
}

/// Why there is no service.
enum Unserved {
    /// There is nothing to speak to.
    Unstarted(String),
    /// It does not speak as it should.
    Unspoken(String),
}
