//! `nanoclaw-verify`: checks an audit log without the program that wrote it.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nanoclaw_tlog::proof::Proof;
use nanoclaw_tlog::verify::{Trust, directory};

const USAGE: &str = "nanoclaw-verify: checks an audit log of NanoClaw, or the proof that a record is in one

  nanoclaw-verify [OPTIONS] DIRECTORY   the log in DIRECTORY, such as /var/lib/nanoclaw/audit
  nanoclaw-verify [OPTIONS] --proof F   the file F that `nanoclaw audit prove` wrote

  --key FILE         the log's public keys, as they stood in its `log.vkey`; else those in DIRECTORY
  --checkpoint FILE  an earlier `checkpoint` of the log that you held: it must be the beginning of this one
  --witness FILE     the public keys of a witness, who must vouch for the log

Ends with 0 where nothing was changed, with 1 where something was, with 2 where it cannot say.";

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).map(PathBuf::from)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nanoclaw-verify: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = PathBuf>) -> Result<ExitCode, String> {
    let (mut log, mut witnesses, mut held, mut proof, mut place) = (Vec::new(), Vec::new(), Vec::new(), None, None);
    while let Some(argument) = arguments.next() {
        let option = argument.to_string_lossy().into_owned();
        let mut value = || arguments.next().ok_or_else(|| format!("`{option}` names no file; try `--help`"));
        match option.as_str() {
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            "--key" => log.push(value()?),
            "--witness" => witnesses.push(value()?),
            "--checkpoint" => held.push(value()?),
            "--proof" => proof = Some(value()?),
            _ if option.starts_with('-') => return Err(format!("`{option}` is no option; try `--help`")),
            _ if place.is_none() => place = Some(argument),
            _ => return Err(format!("`{option}` is a second directory; try `--help`")),
        }
    }
    let trust = Trust::read(&log, &witnesses, &held).map_err(|error| error.to_string())?;
    match (place, proof) {
        (Some(place), None) => {
            let report = directory(&place, &trust);
            print!("{report}");
            Ok(ExitCode::from(u8::from(!report.is_clean())))
        }
        (None, Some(file)) => show(&file, &trust),
        _ => Err("it takes either a directory or `--proof`; try `--help`".to_owned()),
    }
}

/// Checks a proof, and prints the record that it is about.
fn show(file: &Path, trust: &Trust) -> Result<ExitCode, String> {
    if trust.log.is_empty() {
        return Err("a proof is checked with `--key`: the log's public keys".to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
    let checked = text.parse::<Proof>().and_then(|proof| Ok((proof.verify(&trust.log, &trust.witnesses)?, proof)));
    match checked {
        Ok(((checkpoint, vouchers), proof)) => {
            println!("verified   entry {} of {} is in the log {}:", proof.index, checkpoint.size, checkpoint.origin);
            for voucher in vouchers {
                println!("witness    {} vouches for it with {}", voucher.key.name(), voucher.key.algorithm());
            }
            println!("{}", ascii(&proof.entry));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            println!("CHANGED    `{}`: {error}", file.display());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A record as JSON in ASCII: agents choose some of its text, and terminals obey some characters.
fn ascii(entry: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(entry).chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            text.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}
