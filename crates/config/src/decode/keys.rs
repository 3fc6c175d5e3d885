//! Every key that a file may have, level by level. The JSON Schema and the decoder are tested against these tables.

/// One kind of mapping.
#[derive(Debug)]
pub(crate) struct Level {
    /// How messages call it.
    pub(crate) name: &'static str,
    /// The keys that it may have.
    pub(crate) keys: &'static [&'static str],
    /// Keys that later versions will have, with what to do today.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

pub(crate) const TOP: Level = Level {
    name: "the top level",
    keys: &["sandbox_mode", "allowed_networks", "prompt_filters", "audit_enabled", "limits", "agents"],
    later: &[("models", LATER), ("budget", LATER), ("schedule", LATER)],
};

pub(crate) const AGENT: Level = Level {
    name: "an agent",
    keys: &[
        "id",
        "command",
        "rootfs",
        "mounts",
        "env",
        "workdir",
        "limits",
        "allowed_networks",
        "restart",
        "health",
        "stop_grace",
    ],
    later: &[
        ("image", "unpack the image into a directory and write `rootfs: ./DIRECTORY`"),
        ("kind", "write the program to run as `command`"),
        ("schedule", "start the agent when it is due, for example from cron with `nanoclaw run`"),
        ("models", LATER),
        ("budget", LATER),
    ],
};

pub(crate) const LIMITS: Level =
    Level { name: "`limits`", keys: &["cpu", "memory", "pids", "disk", "files", "timeout"], later: &[] };

pub(crate) const MOUNT: Level = Level { name: "a mount", keys: &["source", "target", "mode"], later: &[] };

pub(crate) const NET_RULE: Level =
    Level { name: "a network rule", keys: &["host", "ports", "addresses", "protocol"], later: &[] };

pub(crate) const HEALTH: Level =
    Level { name: "`health`", keys: &["command", "interval", "timeout", "retries"], later: &[] };

pub(crate) const ALL: [&Level; 6] = [&TOP, &AGENT, &LIMITS, &MOUNT, &NET_RULE, &HEALTH];

const LATER: &str = "remove it";

/// What to do about an unknown key.
pub(crate) fn advice(level: &Level, key: &str) -> String {
    let elsewhere: Vec<&str> = ALL.iter().filter(|other| other.keys.contains(&key)).map(|other| other.name).collect();
    if !elsewhere.is_empty() {
        return format!("`{key}` is a key of {}", elsewhere.join(" and of "));
    }
    if let Some(near) = nearest(key, level.keys) {
        return format!("did you mean `{near}`?");
    }
    let keys: Vec<String> = level.keys.iter().map(|key| format!("`{key}`")).collect();
    format!("the keys of {} are {}", level.name, keys.join(", "))
}

/// The candidate that `word` is most likely a slip of, also where it is written `likeThis` or `like-this`.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let mut snake = String::new();
    let mut after_lower = false;
    for c in word.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        snake.push(if matches!(c, '-' | ' ' | '.') { '_' } else { c.to_ascii_lowercase() });
    }
    let part = |candidate: &&&'c str| snake.len() >= 4 && candidate.contains(&snake);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&snake, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| candidates.iter().find(part).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_lead_to_the_key_that_was_meant() {
        for (slip, key) in [
            ("alowed_networks", Some("allowed_networks")),
            ("allowedNetworks", Some("allowed_networks")),
            ("allowed-networks", Some("allowed_networks")),
            ("SANDBOX_MODE", Some("sandbox_mode")),
            ("agent", Some("agents")),
            ("limit", Some("limits")),
            ("network", Some("allowed_networks")),
            ("audit", Some("audit_enabled")),
            ("net", None),
            ("x", None),
        ] {
            assert_eq!(nearest(slip, TOP.keys), key, "{slip}");
        }
        assert_eq!(nearest("comand", AGENT.keys), Some("command"));
        assert_eq!(nearest("mem", LIMITS.keys), None);
    }

    #[test]
    fn a_key_of_another_level_is_recognised() {
        assert_eq!(advice(&TOP, "env"), "`env` is a key of an agent");
        assert_eq!(advice(&AGENT, "memory"), "`memory` is a key of `limits`");
        assert_eq!(advice(&MOUNT, "zzz"), "the keys of a mount are `source`, `target`, `mode`");
    }
}
