//! What keeps pages in a browser out: a page can make a person's browser send requests here, with the certificate that
//! the person chose for this server, but it cannot choose these fields.
//!
//! No answer lets another origin read it (there are no CORS fields), and there are no cookies. What is left is checked
//! here: the server that the request is meant for (a name of the attacker's can be made to lead here), the page that it
//! comes from, and that a body is JSON, which a form cannot send.

use std::net::IpAddr;

use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};
use nanoclaw_request::{RefusalCode, Stage};

use super::answer::Fault;
use super::connection::MAX_HEAD_BYTES;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what comes from a page of another site, or is meant for another server. `names` are those of this server.
pub(super) fn check(uri: &Uri, headers: &HeaderMap, names: &[String]) -> Result<(), Fault> {
    let host = only(headers, HOST)?.ok_or_else(|| misdirected("the field `Host` is missing"))?;
    let Some(authority) = host.parse::<Authority>().ok().filter(|authority| is_ours(authority, names)) else {
        return Err(misdirected("the field `Host` names another server"));
    };
    if uri.authority().is_some_and(|named| *named != authority) {
        return Err(misdirected("the request names another server than its field `Host`"));
    }
    if let Some(origin) = only(headers, ORIGIN)?
        && origin.strip_prefix("https://").is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
    {
        return Err(foreign("the request comes from a page of another origin"));
    }
    match only(headers, SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(foreign("the request comes from a page of another site")),
    }
}

/// Refuses a head that is too long. The HTTP library stops reading a head somewhat above that; this is exact.
pub(super) fn check_size(uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if path + fields.sum::<usize>() <= MAX_HEAD_BYTES {
        return Ok(());
    }
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let reason = format!("the head of the request is longer than {MAX_HEAD_BYTES} bytes");
    Err(Fault::of(status, Stage::Inspect, RefusalCode::Malformed, reason, "send less"))
}

/// Refuses a body that is not JSON by its field.
pub(super) fn check_body(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = only(headers, CONTENT_TYPE)?.unwrap_or_default();
    let (kind, parameters) = kind.split_once(';').map_or((kind, ""), |(kind, parameters)| (kind, parameters.trim()));
    let plain = parameters.is_empty() || parameters.eq_ignore_ascii_case("charset=utf-8");
    if kind.trim_end().eq_ignore_ascii_case("application/json") && plain {
        return Ok(());
    }
    let help = "send `Content-Type: application/json`";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Fault::of(status, Stage::Inspect, RefusalCode::Malformed, "the body is not JSON by its field", help))
}

/// The value of a field that stands there once at most.
pub(super) fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Fault> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Fault::malformed(format!("the field `{name}` cannot be read"), "use ASCII")),
        },
        (Some(_), Some(_)) => Err(Fault::malformed(format!("the field `{name}` stands there twice"), "send it once")),
    }
}

fn is_ours(authority: &Authority, names: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let loopback = bare.parse::<IpAddr>().map_or(bare.eq_ignore_ascii_case("localhost"), |at| at.is_loopback());
    loopback || names.iter().any(|ours| ours.eq_ignore_ascii_case(bare))
}

fn misdirected(reason: &str) -> Fault {
    let help = "`api.names` of the configuration says how this server is called";
    Fault::of(StatusCode::MISDIRECTED_REQUEST, Stage::Identify, RefusalCode::NotYou, reason, help)
}

fn foreign(reason: &str) -> Fault {
    Fault::of(StatusCode::FORBIDDEN, Stage::Identify, RefusalCode::NotYou, reason, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(fields: &[(&'static str, &str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let names = ["Claw.bank.example".to_owned(), "192.0.2.7".to_owned(), "2001:db8::7".to_owned()];
        check(&"/v1/me".parse().unwrap(), &headers, &names).err().map(|fault| fault.status.as_u16())
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        for host in
            ["127.0.0.1:7443", "[::1]:7443", "localhost", "claw.BANK.example:7443", "192.0.2.7", "[2001:db8::7]"]
        {
            assert_eq!(checked(&[("host", host)]), None, "{host}");
        }
        for host in
            ["evil.example", "claw.bank.example.evil.example", "192.0.2.8", "", "a b", "x@localhost", "localhost@evil"]
        {
            assert_eq!(checked(&[("host", host)]), Some(421), "{host}");
        }
        assert_eq!(checked(&[]), Some(421));
        assert_eq!(checked(&[("host", "localhost"), ("host", "localhost")]), Some(400));
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        let with = |name: &'static str, value: &str| checked(&[("host", "localhost:7443"), (name, value)]);
        assert_eq!(with("origin", "https://localhost:7443"), None);
        for origin in
            ["https://localhost", "http://localhost:7443", "https://localhost:8080", "null", "https://evil.example", ""]
        {
            assert_eq!(with("origin", origin), Some(403), "{origin}");
        }
        assert_eq!(with("sec-fetch-site", "none"), None);
        assert_eq!(with("sec-fetch-site", "same-origin"), None);
        assert_eq!(with("sec-fetch-site", "cross-site"), Some(403));
        assert_eq!(with("sec-fetch-site", "same-site"), Some(403));
    }

    #[test]
    fn what_a_form_can_send_is_no_json() {
        let kind = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            check_body(&headers).is_ok()
        };
        for good in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
            assert!(kind(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
            "text/plain; application/json",
        ] {
            assert!(!kind(bad), "{bad}");
        }
        assert!(check_body(&HeaderMap::new()).is_err());
    }
}
