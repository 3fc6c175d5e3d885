//! What starts turns of agents: schedules, webhooks, and where those are served.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::keys::{SCHEDULE, WEBHOOK};
use super::reader::{Field, Fields, Reader};
use super::secret::secret;
use crate::display::shown;
use crate::value::cron;
use crate::{Scheduled, ValueError, Webhook, When};

/// Most schedules of one agent.
const MAX_SCHEDULES: usize = 64;
/// Bounds of `every`, in milliseconds: 1 s to 365 days.
const EVERY: RangeInclusive<u64> = 1000..=365 * 86_400_000;

const PROMPT: &str = "write what the agent is told, such as `prompt: \"Look for new orders.\"`";

/// Reads when turns start by themselves.
pub(super) fn schedule(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<Scheduled> {
    let help = "write a list such as `[{ cron: \"0 9 * * 1-5\", prompt: \"…\" }]`";
    let Some(items) = r.list(field, MAX_SCHEDULES, help) else { return Vec::new() };
    let mut all = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &SCHEDULE, "write `{ cron: \"0 9 * * 1-5\", prompt: \"…\" }`") else {
            continue;
        };
        let when = when(r, &fields);
        let prompt = prompt(r, &fields, "a schedule");
        if let (Some(when), Some(prompt)) = (when, prompt) {
            all.push(Scheduled { when, prompt });
        }
    }
    all
}

fn when(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<When> {
    match (fields.get("cron"), fields.get("every")) {
        (Some(field), None) => {
            let text = r.text(&field, "write five fields such as `\"0 9 * * 1-5\"`")?;
            r.check(field.place(), cron(text)).map(When::Cron)
        }
        (None, Some(field)) => r.time(&field, &EVERY).map(When::Every),
        (Some(_), Some(field)) => {
            r.error(field.key, "a schedule has both `cron` and `every`", "keep one of the two, or write two schedules");
            None
        }
        (None, None) => {
            let help = "add `cron: \"0 9 * * 1-5\"` or `every: 15m`";
            r.error(fields.place, "a schedule does not say when", help);
            None
        }
    }
}

fn prompt(r: &mut Reader<'_>, fields: &Fields<'_>, what: &str) -> Option<String> {
    let Some(field) = fields.get("prompt") else {
        r.error(fields.place, format!("{what} has no `prompt`"), PROMPT);
        return None;
    };
    r.words(&field, PROMPT).map(str::to_owned)
}

/// Reads a webhook, which something must listen for.
pub(super) fn webhook(r: &mut Reader<'_>, field: &Field<'_>, listens: bool) -> Option<Webhook> {
    let fields = r.fields(field, &WEBHOOK, "write `{ token: { env: HOOK_TOKEN }, prompt: \"…\" }`")?;
    if !listens {
        r.error(field.key, "nothing listens for this `webhook`", "add `listen: 127.0.0.1:7280` at the top level");
    }
    let token = match fields.get("token") {
        Some(field) => secret(r, &field),
        None => {
            r.error(fields.place, "`webhook` has no `token`", "add `token: { env: HOOK_TOKEN }`; callers present it");
            None
        }
    };
    let prompt = prompt(r, &fields, "`webhook`");
    Some(Webhook { token: token?, prompt: prompt? })
}

/// Reads an address and a port. `usual` is the port of the example.
pub(super) fn socket(text: &str, usual: u16) -> Result<SocketAddr, ValueError> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        let port = match text.split_once(':') {
            Some((_, port)) => port,
            None => text,
        };
        let port = port.parse::<u16>().ok().filter(|port| *port != 0).unwrap_or(usual);
        let help = format!("write `127.0.0.1:{port}` or `\"[::1]:{port}\"`");
        return Err(ValueError::new(format!("`{}` is not an address and a port", shown(text)), help));
    };
    if address.port() == 0 {
        let help = format!("write one such as `127.0.0.1:{usual}`");
        return Err(ValueError::new(format!("`{}` names no port", shown(text)), help));
    }
    Ok(address)
}

/// Reads the address on which webhooks and metrics are served.
pub(super) fn listen(r: &mut Reader<'_>, field: &Field<'_>) -> Option<SocketAddr> {
    let text = r.verbatim(field, "an address and a port", "write `127.0.0.1:7280`")?;
    r.check(field.place(), loopback(text))
}

fn loopback(text: &str) -> Result<SocketAddr, ValueError> {
    let address = socket(text, 7280)?;
    if !address.ip().is_loopback() {
        let own: IpAddr = if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() };
        let own = SocketAddr::new(own, address.port());
        return Err(ValueError::new(
            format!(
                "`{}` is not on this host's loopback, and what is served there has no TLS of its own yet",
                shown(text)
            ),
            format!("write `{own}`, and put a proxy with TLS before it if others must reach it"),
        ));
    }
    Ok(address)
}
