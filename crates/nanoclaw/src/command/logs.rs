//! `nanoclaw logs`: what an agent wrote.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nanoclaw_server::control::{Client, ClientError, Reply, Request};

use crate::cli::Logs;
use crate::output::{self, FAILED, Failure};
use crate::remote::{self, part};

/// Copies the log to standard output. On a terminal, control characters are shown instead of obeyed: they come from
/// a program that nobody trusts.
pub fn main(state_dir: Option<&Path>, arguments: &Logs) -> Result<ExitCode, Failure> {
    let state = super::fleet(state_dir)?;
    let path = state.log(&arguments.agent);
    let request = Request::Logs { cell: arguments.agent.clone() };
    let client = match Client::connect(&state) {
        Err(error @ ClientError::NoFleet(_)) if path.is_file() => {
            let message = format!("{error}; what `{}` wrote before is in `{}`", arguments.agent, path.display());
            return Err(Failure::with_status(message, FAILED));
        }
        client => client?,
    };
    let Reply::Log(mut log) = client.ask(&request, &[])? else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    };
    let safe = std::io::stdout().is_terminal();
    let mut buffer = vec![0; 64 * 1024];
    while !output::unread() {
        let n = log.read(&mut buffer)?;
        let text = buffer.get(..n).unwrap_or_default();
        if n > 0 {
            if safe {
                output::data(&visible(text))
            } else {
                output::data(text)
            }
            continue;
        }
        if !arguments.follow {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        // The log was rotated: what stands at the path now is newer.
        let replaced = std::fs::metadata(&path).is_ok_and(|now| log.metadata().is_ok_and(|had| !same_file(&now, &had)));
        if replaced {
            log = std::fs::File::open(&path)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of the log of an agent elsewhere.
pub fn over(client: &remote::Client, arguments: &Logs) -> Result<ExitCode, Failure> {
    if arguments.follow {
        let message = "`logs --follow` needs the host itself; leave out `--follow` for what there is";
        return Err(Failure::with_status(message, FAILED));
    }
    let log = client.text(&format!("/v1/agents/{}/logs", part(&arguments.agent)?))?.text;
    let text = if std::io::stdout().is_terminal() { visible(log.as_bytes()) } else { log.into_bytes() };
    output::data(&text);
    Ok(ExitCode::SUCCESS)
}

fn same_file(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// C0 except newline and tab, DEL, and 8-bit C1 as `\xNN`. UTF-8 continuation bytes lie in the C1 range, so only what
/// is not valid UTF-8, or decodes to C1, is escaped.
fn visible(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                out.extend(c.escape_default().to_string().bytes());
            } else {
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            }
        }
        for byte in chunk.invalid() {
            out.extend(format!("\\x{byte:02x}").bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn terminal_escapes_are_shown_not_obeyed() {
        let out = super::visible("ok 漢\x1b]52;c;AAAA\x07\u{9b}31m\n".as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), "ok 漢\\u{1b}]52;c;AAAA\\u{7}\\u{9b}31m\n");
        assert_eq!(super::visible(b"\x9b31m"), b"\\x9b31m");
    }
}
