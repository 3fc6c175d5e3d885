//! What the control plane itself has to show, in the OpenMetrics text format. It is gathered when it is asked for: nothing
//! is counted twice, and nothing is kept for it.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

use nanoclaw_audit::Counters;
use nanoclaw_request::CellId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::fleet::{Fleet, Phase};
use crate::plane::Plane;

type Real = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Agent {
    agent: String,
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    agent: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    sink: String,
    kind: &'static str,
}

/// All of them, with those of models.
pub(crate) async fn text(plane: &Plane, fleet: &Fleet) -> String {
    let mut registry = Registry::with_prefix("nanoclaw");
    agents(plane, fleet, &mut registry).await;
    audit(plane, &mut registry);
    sinks(plane, &mut registry);
    let waiting = Gauge::<i64>::default();
    waiting.set(plane.desk.waiting().len() as i64);
    registry.register("approvals_waiting", "Questions that wait for people", waiting);
    let fips = Gauge::<i64>::default();
    fips.set(nanoclaw_vault::tls::is_fips().into());
    registry.register("fips_mode", "Whether all cryptography is that of a FIPS 140-3 module", fips);
    let mut own = String::new();
    // Writing to a string does not fail.
    let _complete = encode(&mut own, &registry).is_ok();
    match &plane.models {
        Some(models) => own.trim_end_matches("# EOF\n").to_owned() + &models.metrics().text(),
        None => own,
    }
}

async fn agents(plane: &Plane, fleet: &Fleet, registry: &mut Registry) {
    let up = Family::<Agent, Gauge<i64>>::default();
    let well = Family::<Agent, Gauge<i64>>::default();
    let uptime = Family::<Agent, Real>::default();
    let restarts = Family::<Agent, Counter>::default();
    let cpu = Family::<Agent, Counter<f64, AtomicU64>>::default();
    let memory = Family::<Agent, Gauge<i64>>::default();
    let processes = Family::<Agent, Gauge<i64>>::default();
    let requests = Family::<Asked, Counter>::default();
    for status in fleet.status().await {
        let agent = Agent { agent: status.id.clone(), kind: status.kind };
        let running = matches!(status.phase, Phase::Running | Phase::Unwell | Phase::Stopping);
        up.get_or_create(&agent).set(running.into());
        well.get_or_create(&agent).set((status.phase == Phase::Running).into());
        if running {
            uptime.get_or_create(&agent).set(status.uptime_seconds as f64);
        }
        restarts.get_or_create(&agent).inc_by(status.restarts.into());
        if let Some(used) = status.cpu_us {
            cpu.get_or_create(&agent).inc_by(used as f64 / 1e6);
        }
        if let Some(bytes) = status.memory_bytes {
            memory.get_or_create(&agent).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        if let Some(count) = status.pids {
            processes.get_or_create(&agent).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        if let Ok(id) = CellId::parse(&status.id) {
            let Counters { allowed, refused } = plane.recorder.counters(&id);
            for (result, count) in [("allowed", allowed), ("denied", refused)] {
                requests.get_or_create(&Asked { agent: status.id.clone(), result }).inc_by(count);
            }
        }
    }
    registry.register("agent_up", "Whether the agent's cell runs", up);
    registry.register("agent_well", "Whether it runs and its health check, if it has one, succeeds", well);
    registry.register_with_unit("agent_uptime", "Since its cell was started", Unit::Seconds, uptime);
    registry.register("agent_restarts", "How often it was restarted", restarts);
    registry.register_with_unit("agent_cpu", "CPU time that this run of its cell has used", Unit::Seconds, cpu);
    registry.register_with_unit("agent_memory", "Memory that its cell uses now", Unit::Bytes, memory);
    registry.register("agent_processes", "Processes and threads of its cell now", processes);
    registry.register("agent_requests", "What it asked for since the start, by what it was answered", requests);
}

fn audit(plane: &Plane, registry: &mut Registry) {
    let gauge = |value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        gauge
    };
    let directory = plane.state.audit();
    let writable = plane.recorder.failure().is_none();
    registry.register(
        "audit_writable",
        "Whether the log can be written; if not, nothing is allowed",
        gauge(writable.into()),
    );
    let written = *plane.recorder.written().borrow();
    registry.register("audit_last_record", "The number of the last record on disk, 0 before the first", gauge(written));
    registry.register_with_unit("audit_size", "Lines of the log on disk", Unit::Bytes, gauge(size(&directory)));
    if let Some(sealed) = plane.recorder.checkpoints() {
        registry.register("audit_sealed_records", "Records that the newest checkpoint counts", gauge(*sealed.borrow()));
    }
    for (file, name, help) in [
        ("checkpoint", "audit_checkpoint_time", "When the newest checkpoint was signed, since 1970"),
        ("witnessed", "audit_witnessed_time", "When a witness last vouched for a checkpoint, since 1970"),
    ] {
        let changed = fs::metadata(directory.join(file)).and_then(|meta| meta.modified());
        if let Some(since) = changed.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            registry.register_with_unit(name, help, Unit::Seconds, gauge(since.as_secs()));
        }
    }
}

fn sinks(plane: &Plane, registry: &mut Registry) {
    let reached = Family::<SinkLabels, Gauge<i64>>::default();
    let lag = Family::<SinkLabels, Gauge<i64>>::default();
    let rejected = Family::<SinkLabels, Counter>::default();
    let failures = Family::<SinkLabels, Counter>::default();
    let written = *plane.recorder.written().borrow();
    for sink in plane.sinks.iter() {
        let labels = SinkLabels { sink: sink.name.clone(), kind: sink.kind };
        reached.get_or_create(&labels).set(sink.is_reached().into());
        let behind = written.saturating_sub(sink.delivered());
        lag.get_or_create(&labels).set(i64::try_from(behind).unwrap_or(i64::MAX));
        rejected.get_or_create(&labels).inc_by(sink.rejected());
        failures.get_or_create(&labels).inc_by(sink.failures());
    }
    registry.register("sink_reached", "Whether the last delivery to the sink succeeded", reached);
    registry.register("sink_lag_records", "Records on disk that the sink has not got yet", lag);
    registry.register("sink_rejected", "Records that the sink refused for good since the start", rejected);
    registry.register("sink_failures", "Deliveries that failed and are tried again, since the start", failures);
}

/// Bytes of all segments.
fn size(directory: &Path) -> u64 {
    let segments = fs::read_dir(directory).into_iter().flatten().flatten();
    let lines = segments.filter(|entry| entry.path().extension().is_some_and(|end| end == "jsonl"));
    lines.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}
