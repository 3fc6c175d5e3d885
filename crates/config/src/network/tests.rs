use std::net::IpAddr;

use nanoclaw_request::DnsName;

use super::*;

fn read(text: &str) -> NetTarget {
    parse_net_rule("r", text).unwrap_or_else(|e| panic!("{text}: {e}")).target
}

fn said(text: &str) -> String {
    match parse_net_rule("r", text) {
        Ok(rule) => panic!("{text} was read as {rule:?}"),
        Err(error) => error.to_string(),
    }
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn host(pattern: HostPattern, ports: &[u16], raw: bool) -> NetTarget {
    NetTarget::Host { pattern, ports: ports.to_vec(), addresses: Vec::new(), raw }
}

fn cidr(address: &str, prefix: u8, ports: &[u16], raw: bool) -> NetTarget {
    let net = IpNet::new(address.parse::<IpAddr>().unwrap(), prefix).unwrap();
    NetTarget::Cidr { net, ports: ports.to_vec(), raw }
}

#[test]
fn every_form_means_what_the_reference_says() {
    let exact = |text| HostPattern::Exact(name(text));
    for (text, expected) in [
        ("api.bank.com", host(exact("api.bank.com"), &[80, 443], false)),
        ("API.Bank.com.:8443", host(exact("api.bank.com"), &[8443], false)),
        ("intranet", host(exact("intranet"), &[80, 443], false)),
        ("_x.bank.com", host(exact("_x.bank.com"), &[80, 443], false)),
        ("tcp://db.bank.com:5432", host(exact("db.bank.com"), &[5432], true)),
        ("*.bank.com", host(HostPattern::OneLabel(name("bank.com")), &[80, 443], false)),
        ("**.bank.com:443", host(HostPattern::AnyDepth(name("bank.com")), &[443], false)),
        ("93.184.216.34", cidr("93.184.216.34", 32, &[80, 443], false)),
        ("169.254.169.254:80", cidr("169.254.169.254", 32, &[80], false)),
        ("10.0.0.0/8", cidr("10.0.0.0", 8, &[80, 443], false)),
        ("10.0.0.0/8:443", cidr("10.0.0.0", 8, &[443], false)),
        ("tcp://10.1.2.3:22", cidr("10.1.2.3", 32, &[22], true)),
        ("[fd00::1]", cidr("fd00::1", 128, &[80, 443], false)),
        ("[fd00::1]:443", cidr("fd00::1", 128, &[443], false)),
        ("[fd00::/8]:443", cidr("fd00::", 8, &[443], false)),
        ("tcp://[fd00::/8]:22", cidr("fd00::", 8, &[22], true)),
        ("host-service:127.0.0.1:8080", NetTarget::HostService { address: "127.0.0.1:8080".parse().unwrap() }),
        ("host-service:[::1]:8080", NetTarget::HostService { address: "[::1]:8080".parse().unwrap() }),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let rule = parse_net_rule("--allow-net[0]", "API.bank.com").unwrap();
    assert_eq!((rule.id.as_str(), rule.text.as_str()), ("--allow-net[0]", "API.bank.com"));
}

#[test]
fn international_names_become_their_dns_form() {
    let ascii = |text: &str| match read(text) {
        NetTarget::Host { pattern: HostPattern::Exact(name) | HostPattern::OneLabel(name), .. } => name.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ascii("bücher.example"), "xn--bcher-kva.example");
    assert_eq!(ascii("BÜCHER.Example:443"), "xn--bcher-kva.example");
    assert_eq!(ascii("faß.example"), "xn--fa-hia.example");
    assert_eq!(ascii("*.例え.jp"), "xn--r8jz45g.jp");
    assert_eq!(ascii("銀行api.example"), ascii("銀行API。example"));
    assert_eq!(ascii("xn--bcher-kva.example"), "xn--bcher-kva.example");
    assert_eq!(ascii("пример.испытание"), "xn--e1afmkfd.xn--80akhbyknj4f");
}

#[test]
fn look_alike_names_are_refused() {
    assert_eq!(
        said("аpple.com"),
        "`аpple.com` mixes letters of different scripts, such as `а` (U+0430) and `p` (U+0070); \
         letters that look alike can name another host; if this one is meant, write its `xn--` form"
    );
    assert_eq!(
        said("☃\u{1f}.com"),
        "`☃\\u{1f}.com` has a space or a control character in it; write one host per rule, without spaces"
    );
    assert_eq!(
        said("a\u{2260}\u{fffd}.com"),
        "`a≠\u{fffd}.com` is not a host: `\u{fffd}` (U+FFFD) cannot stand in a host name; \
         check the spelling against UTS #46, the rules for international names"
    );
    assert_eq!(
        said("xn--a.com"),
        "`xn--a.com` is not a host: `xn--a` is not a valid international label; \
         check the spelling against UTS #46, the rules for international names"
    );
}

/// Each of these is something that people write, or a disguise of an address that a lax reader would follow.
#[test]
fn everything_else_is_refused_with_what_to_write() {
    for (text, expected) in [
        ("", "the network rule is empty; write a host such as `api.bank.com` or remove the rule"),
        (" a.com", "` a.com` has a space or a control character in it; write one host per rule, without spaces"),
        (
            "a.com b.com",
            "`a.com b.com` has a space or a control character in it; write one host per rule, without spaces",
        ),
        (
            "https://api.bank.com/v1?x=1",
            "`https://api.bank.com/v1?x=1` is a URL, not a host; write `api.bank.com:443`; only `tcp://HOST:PORT` has a scheme, for bytes that are neither TLS nor HTTP",
        ),
        (
            "http://u:p@a.com:8080/",
            "`http://u:p@a.com:8080/` is a URL, not a host; write `a.com:8080`; only `tcp://HOST:PORT` has a scheme, for bytes that are neither TLS nor HTTP",
        ),
        (
            "udp://a.com",
            "`udp://a.com` is a URL, not a host; write `a.com:PORT`; only `tcp://HOST:PORT` has a scheme, for bytes that are neither TLS nor HTTP",
        ),
        ("tcp://a.com", "`tcp://a.com` names no port; raw TCP has no usual port; write `tcp://a.com:PORT`"),
        ("a.com/v1", "`a.com/v1` has a path; only the host counts, not what is on it; write `a.com`"),
        ("a.com:443/v1", "`443/v1` is not a port; a rule names a host and a port, not a path; write `:443`"),
        ("u@a.com", "`u@a.com` has a user name in it; write the host only; whoever reaches it signs in for themselves"),
        (
            "a.com:0",
            "`0` is not a port; write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443",
        ),
        (
            "a.com:0443",
            "`0443` is not a port; write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443",
        ),
        (
            "a.com:65536",
            "`65536` is not a port; write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443",
        ),
        (
            "a.com:",
            "`` is not a port; write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443",
        ),
        (
            "a.com:80,443",
            "`80,443` is not a port; one port per rule; for several, write `{ host: HOST, ports: [80, 443] }`",
        ),
        ("a.com:*", "`*` is not a port; one port per rule; for several, write `{ host: HOST, ports: [80, 443] }`"),
        (
            "*",
            "`*` would allow every host; name the hosts that are meant; `*.bank.com` is every name directly below bank.com",
        ),
        (
            "*:443",
            "`*` would allow every host; name the hosts that are meant; `*.bank.com` is every name directly below bank.com",
        ),
        ("*.com", "`*.com` is every host below `com`; name at least two labels after the `*.`, such as `*.bank.com`"),
        ("**.com", "`**.com` is every host below `com`; name at least two labels after the `*.`, such as `*.bank.com`"),
        (
            "a*.bank.com",
            "`a*.bank.com` has a `*` in a place where it means nothing; `*.` and `**.` stand only at the beginning, in place of whole labels",
        ),
        (
            "*.*.bank.com",
            "`*.*.bank.com` has a `*` in a place where it means nothing; `*.` and `**.` stand only at the beginning, in place of whole labels",
        ),
        (
            "***.bank.com",
            "`***.bank.com` has a `*` in a place where it means nothing; `*.` and `**.` stand only at the beginning, in place of whole labels",
        ),
        (
            ".bank.com",
            "`.bank.com` begins with a dot; write `*.bank.com` for names directly below it, or `**.bank.com` for any depth",
        ),
        (
            "a..com",
            "`a..com` is not a host: the host name has an empty label; write names as `api.bank.com`, with one dot between labels",
        ),
        (
            "-a.com",
            "`-a.com` is not a host: a label of a host name begins or ends with `-`; a host name has letters, digits and dashes, and no dash at the ends of a label",
        ),
        (
            "a%2e.com",
            "`a%2e.com` is not a host: `%` cannot stand in a host name; a host name has letters, digits and dashes, and no dash at the ends of a label",
        ),
        (
            "127.1",
            "`127.1` is not a host: this looks like an address but is not in canonical form; write IPv4 as four decimal numbers, such as `10.1.2.3`",
        ),
        (
            "0x7f000001",
            "`0x7f000001` is not a host: this looks like an address but is not in canonical form; write IPv4 as four decimal numbers, such as `10.1.2.3`",
        ),
        (
            "010.0.0.1",
            "`010.0.0.1` is not a host: this looks like an address but is not in canonical form; write IPv4 as four decimal numbers, such as `10.1.2.3`",
        ),
        (
            "*.0.0.1",
            "`*.0.0.1` is not a host: this looks like an address but is not in canonical form; a `*` stands for names only; write a network such as `10.0.0.0/8` for addresses",
        ),
        (
            "１２７.1",
            "`１２７.1` is not a host: this looks like an address but is not in canonical form; write IPv4 as four decimal numbers, such as `10.1.2.3`",
        ),
        (
            "localhost:8080",
            "`localhost` is this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "x.localhost",
            "`x.localhost` is this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "127.0.0.1:8080",
            "`127.0.0.1` covers this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "126.0.0.0/7",
            "`126.0.0.0/7` covers this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "0.0.0.0",
            "`0.0.0.0` covers this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "[::1]:80",
            "`::1` covers this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        (
            "[::/8]",
            "`::/8` covers this host's loopback; name one service of this host as `host-service:127.0.0.1:PORT`",
        ),
        ("0.0.0.0/0", "`0.0.0.0/0` is every address there is; name the hosts or the networks that are meant"),
        ("[::/0]:443", "`::/0` is every address there is; name the hosts or the networks that are meant"),
        ("[::ffff:10.1.2.3]", "`::ffff:10.1.2.3` is IPv4 written as IPv6; write `10.1.2.3`"),
        ("[::ffff:10.0.0.0/104]", "`::ffff:10.0.0.0/104` is IPv4 written as IPv6; write `10.0.0.0/8`"),
        (
            "[::ffff:0.0.0.0/95]",
            "`::ffff:0.0.0.0/95` has bits set behind its prefix; write the network `::fffe:0:0/95`, or the address alone `::ffff:0.0.0.0`",
        ),
        (
            "10.1.2.3/8",
            "`10.1.2.3/8` has bits set behind its prefix; write the network `10.0.0.0/8`, or the address alone `10.1.2.3`",
        ),
        (
            "[fd00::1/8]",
            "`fd00::1/8` has bits set behind its prefix; write the network `fd00::/8`, or the address alone `fd00::1`",
        ),
        ("10.0.0.0/33", "`10.0.0.0/33` has no valid prefix length; write a whole number from 0 to 32 after the `/`"),
        ("10.0.0.0/08", "`10.0.0.0/08` has no valid prefix length; write a whole number from 0 to 32 after the `/`"),
        ("10.0.0.0/", "`10.0.0.0/` has no valid prefix length; write a whole number from 0 to 32 after the `/`"),
        (
            "fd00::1:443",
            "`fd00::1:443` does not tell its address from its port; put IPv6 in brackets: `[fd00::1]`, `[fd00::1]:443` or `[fd00::/8]:443`",
        ),
        ("[fd00::1", "`[fd00::1` has no closing `]`; write `[IPv6]:PORT`"),
        (
            "[fd00::]/8",
            "`[fd00::]/8` goes on after `]`; write `[IPv6]:PORT`, and the prefix length inside the brackets: `[fd00::/8]:443`",
        ),
        ("[a.com]:443", "`[a.com]` is not an IPv6 address; brackets are for IPv6 only; write the host without them"),
        (
            "[fe80::1%eth0]",
            "`fe80::1%eth0` is not an IP address or network; write an address such as `10.1.2.3` or a network such as `10.0.0.0/8` or `fd00::/8`",
        ),
        (
            "host-service:10.0.0.1:80",
            "`host-service:10.0.0.1:80` does not name a loopback address; `host-service` is for services on this host's loopback; write other addresses as `IP:PORT`",
        ),
        (
            "host-service:127.0.0.1",
            "`host-service:127.0.0.1` names no port; write `host-service:127.0.0.1:PORT` or `host-service:[::1]:PORT`",
        ),
        (
            "host-service:localhost:80",
            "`host-service:localhost:80` names no IP address; write `host-service:127.0.0.1:PORT` or `host-service:[::1]:PORT`",
        ),
        (
            "host-service:[::ffff:127.0.0.1]:80",
            "`host-service:[::ffff:127.0.0.1]:80` does not name a loopback address; `host-service` is for services on this host's loopback; write other addresses as `IP:PORT`",
        ),
    ] {
        assert_eq!(said(text), expected);
    }
    let long = format!("{}.com", "a".repeat(64));
    assert_eq!(
        said(&long),
        format!(
            "`{long}` is not a host: the host name is longer than DNS allows; a name has at most 253 characters, and 63 between two dots"
        )
    );
}
