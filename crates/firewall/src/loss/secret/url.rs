//! Names and passwords in addresses: `postgres://name:password@host`.

use super::quality;
use crate::loss::{Found, Page};

/// Bytes of an address up to its path.
const LONGEST_AUTHORITY: usize = 300;
/// Bytes of the name of a scheme.
const LONGEST_SCHEME: usize = 24;

const DATABASES: &[&[u8]] = &[
    b"postgres",
    b"postgresql",
    b"mysql",
    b"mariadb",
    b"mongodb",
    b"mongodb+srv",
    b"redis",
    b"rediss",
    b"amqp",
    b"amqps",
    b"mssql",
    b"sqlserver",
    b"oracle",
    b"clickhouse",
    b"cockroachdb",
    b"couchdb",
    b"cassandra",
    b"neo4j",
    b"nats",
    b"kafka",
    b"mysql2",
    b"postgresql+psycopg2",
    b"postgresql+asyncpg",
    b"mysql+pymysql",
    b"snowflake",
];

/// Words that stand for a password where one is explained.
const EXPLAINED: &[&[u8]] =
    &[b"password", b"pass", b"passwd", b"pwd", b"pw", b"secret", b"token", b"user", b"username", b"x-access-token"];

/// Looks at a place where `://` stands.
pub(super) fn at(page: &Page<'_>, colon: usize, found: &mut Vec<Found>) {
    let bytes = page.bytes;
    let scheme = bytes.get(..colon).map_or(0, |front| {
        front
            .iter()
            .rev()
            .take(LONGEST_SCHEME)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            .count()
    });
    let from = colon + 3;
    let Some(rest) = bytes.get(from..) else { return };
    let length = rest
        .iter()
        .take(LONGEST_AUTHORITY)
        .take_while(|byte| {
            byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | b'\\')
        })
        .count();
    let Some(authority) = rest.get(..length) else { return };
    let Some(sign) = authority.iter().rposition(|byte| *byte == b'@') else { return };
    let Some(login) = authority.get(..sign) else { return };
    let Some(mark) = login.iter().position(|byte| *byte == b':') else { return };
    let (Some(name), Some(password)) = (login.get(..mark), login.get(mark + 1..)) else { return };
    let template = password.iter().any(|byte| matches!(byte, b'{' | b'}' | b'[' | b']' | b'(' | b')'))
        || password.starts_with(b"$")
        || password.starts_with(b"*")
        || password.starts_with(b"%s");
    let same = password.eq_ignore_ascii_case(name) && !password.is_empty();
    let lower = password.to_ascii_lowercase();
    let explained = EXPLAINED.contains(&lower.as_slice()) || same || quality::is_placeholder(password);
    let host = authority.get(sign + 1..).unwrap_or_default();
    if scheme < 2
        || password.is_empty()
        || template
        || explained
        || !host.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[')
    {
        return;
    }
    let start = colon - scheme;
    let is_database =
        bytes.get(start..colon).is_some_and(|scheme| DATABASES.iter().any(|known| known.eq_ignore_ascii_case(scheme)));
    let trailing = host.iter().rev().take_while(|byte| !byte.is_ascii_alphanumeric() && **byte != b']').count();
    let kind = if is_database { "database-url" } else { "url-credentials" };
    found.push(Found { kind, start, end: from + length - trailing, rank: 95 });
}
