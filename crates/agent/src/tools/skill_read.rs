//! `skill_read`: the instructions of a skill, and the files beside them.

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, file_read};
use crate::skills::{MAIN_FILE, NoFile};

pub(super) fn tool() -> Tool {
    super::tool(
        "skill_read",
        "Read the instructions of a skill, or another text file in its folder. Long files come in pieces.",
        json!({
            "name": {"type": "string", "description": "name of the skill"},
            "file": {"type": "string", "description": "file in its folder; its instructions if left out"},
            "offset": {"type": "integer", "minimum": 1, "description": "first line, from 1"},
            "limit": {"type": "integer", "minimum": 1, "description": "most lines"},
        }),
        &["name"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    file: Option<String>,
    offset: Option<u64>,
    limit: Option<u64>,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { name, file, offset, limit } = job.arguments()?;
    let file = file.unwrap_or_else(|| MAIN_FILE.to_owned());
    let opened = room.skills.open(&name, &file).map_err(|NoFile(text)| ToolError(text))?;
    file_read::lines(opened, &file, offset, limit, job.most)
}
