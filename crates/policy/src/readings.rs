//! How servers read a request. The same bytes are not the same to all of them: some decode what is encoded, twice even, take `\`
//! or several slashes for one, leave parameters of a path out, or do not look at the case of a method. Policies are asked
//! about every reading, and all of them must be allowed, so that none is a way around a policy.

/// Most rounds in which a path is decoded.
const MOST_ROUNDS: usize = 8;

/// Method and path as they are written, and then as they may be read, each once.
pub(crate) fn readings(method: &str, path: &str) -> Vec<(String, String)> {
    let mut readings = vec![(method.to_owned(), path.to_owned())];
    let method = method.to_ascii_uppercase();
    let as_written = path.to_owned();
    let paths = if path.starts_with('/') { vec![as_written, normal(path), bare(path)] } else { vec![as_written] };
    for path in paths {
        let reading = (method.clone(), path);
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    readings
}

/// The normal form of RFC 3986 section 6.2.2: nothing is encoded without need, and no segment is `.` or `..`.
fn normal(path: &str) -> String {
    let needless = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    without_dots(decoded(path, needless).split('/'))
}

/// The path at its barest: decoded to the end, with single slashes, without parameters (RFC 3986 section 3.3) and without
/// what comes after a zero.
fn bare(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..MOST_ROUNDS {
        let next = decoded(&text, |_| true);
        if next == text {
            break;
        }
        text = next;
    }
    let text = text.split('\0').next().unwrap_or_default().replace('\\', "/");
    let slash = if text.ends_with('/') { "/" } else { "" };
    let segments = text.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    let path = without_dots(std::iter::once("").chain(segments.filter(|segment| !segment.is_empty())));
    if path.ends_with('/') { path } else { path + slash }
}

/// The segments as a path, after RFC 3986 section 5.2.4.
fn without_dots<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut open = false;
    for segment in segments {
        open = [".", ".."].contains(&segment);
        match segment {
            "." => {}
            // The first one is what comes before the first slash.
            ".." => kept.truncate(kept.len().saturating_sub(1).max(1)),
            _ => kept.push(segment),
        }
    }
    let path = kept.join("/");
    if open || path.is_empty() { path + "/" } else { path }
}

/// The text with those encoded bytes decoded that `which` wants; the others with capital digits.
fn decoded(text: &str, which: impl Fn(u8) -> bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match after {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let Some(code) = code else {
            bytes.push(*first);
            rest = after;
            continue;
        };
        if which(code) {
            bytes.push(code);
        } else {
            bytes.extend_from_slice(format!("%{code:02X}").as_bytes());
        }
        rest = after.get(2..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_disguise_is_read_as_what_it_is() {
        for disguise in [
            "/admin",
            "//admin",
            "/./admin",
            "/x/../admin",
            "/../admin",
            "/%61dmin",
            "/x/%2e%2E/admin",
            "/x/..%2fadmin",
            "/x%2f..%2fadmin",
            "/%252e/%2561dmin",
            "/x\\..\\admin",
            "/x%5c..%5cadmin",
            "/x/..;a=b/admin",
            "/;a/admin;b=c",
            "/admin%00.png",
            "/x//..//../admin",
        ] {
            let readings = readings("GET", disguise);
            assert!(readings.contains(&("GET".to_owned(), "/admin".to_owned())), "{disguise}: {readings:?}");
            assert_eq!(readings[0].1, disguise, "what is written is asked about too");
        }
        assert!(readings("GET", "/x/../admin/").contains(&("GET".to_owned(), "/admin/".to_owned())));
        assert!(readings("GET", "/a//../b").iter().any(|(_, path)| path == "/a/b"), "an empty segment is one to some");
    }

    #[test]
    fn a_plain_request_is_one_question() {
        for path in ["/", "/v1/chat", "/v1/", "/a.b/c-d_e~f", "*", ""] {
            assert_eq!(readings("GET", path), [("GET".to_owned(), path.to_owned())]);
        }
        assert_eq!(readings("GET", "/%41%zz%4"), [("/%41%zz%4"), ("/A%zz%4")].map(|path| ("GET".into(), path.into())));
    }

    #[test]
    fn what_is_encoded_without_end_is_read_as_far_as_servers_go() {
        let encoded = |times: usize| format!("/%{}61dmin", "25".repeat(times - 1));
        let reads = |times| readings("GET", &encoded(times)).iter().any(|(_, path)| path == "/admin");
        assert!((1..=MOST_ROUNDS).all(reads) && !reads(MOST_ROUNDS + 1));
    }

    #[test]
    fn a_method_in_small_letters_is_asked_about_in_capital_ones_too() {
        let expected = [("dElete", "/"), ("DELETE", "/")].map(|(method, path)| (method.to_owned(), path.to_owned()));
        assert_eq!(readings("dElete", "/"), expected);
    }
}
