//! The whole: names, overlaps, readings, settings, long input, and what a stream needs.

use super::made::Dice;
use super::*;
use crate::verdict::Verdict;
use crate::view::{Form, View};

#[test]
fn kinds_have_one_name_each_and_every_hit_has_a_kind() {
    let mut ids: Vec<&str> = kinds().iter().map(|kind| kind.id).collect();
    assert!(
        ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'))
    );
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(all, ids.len());
    assert!(kinds().iter().all(|kind| !kind.title.is_empty() && !kind.needs.is_empty()));
}

#[test]
fn the_more_certain_kind_wins_and_hits_do_not_overlap() {
    let token = ["ghp", "_16C7e42F292c6912E7710c838347Ae178B4a"].concat();
    assert_eq!(found(&format!("api_key = {token}")), [("github-token".to_owned(), token)]);
    assert_eq!(found("password: 4111 1111 1111 1111")[0].0, "card");
    assert_eq!(found("手机13812345678，卡号6222021234567890128")[0].0, "cn-mobile");
    let text = "postgres://bob@corp.example:s3cr3t9@db.example.com/x 4111111111111111 4111111111111111";
    let hits = Detectors::new(&LossSettings::default()).find(Channel::Output, &Readings::of(text));
    assert!(hits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{hits:?}");
    assert_eq!(hits.len(), 3, "{hits:?}");
}

#[test]
fn digits_of_full_width_and_invisible_letters_hide_nothing() {
    assert_eq!(found("卡号４１１１　１１１１　１１１１　１１１１。")[0].1, "４１１１　１１１１　１１１１　１１１１");
    assert_eq!(found("card 4111\u{200b}1111\u{200b}1111\u{200b}1111")[0].0, "card");
    assert_eq!(found("身份证１１０１０１１９９００３０７４４７７")[0].0, "cn-resident-id");
}

#[test]
fn what_another_reading_holds_is_reported_where_its_source_stands() {
    let text = "see NDExMTExMTExMTExMTExMQ== there";
    let plain = {
        let mut view = View::default();
        view.put("4111111111111111", Span { start: 4, end: 28 });
        view
    };
    let mut readings = Readings::of(text);
    readings.all.truncate(1);
    readings.all.push(crate::view::Reading { forms: vec![Form::Base64], plain, folded: View::default() });
    let hits = Detectors::new(&LossSettings::default()).find(Channel::Output, &readings);
    assert_eq!(hits.len(), 1);
    assert_eq!(
        (&*hits[0].kind, hits[0].span, hits[0].forms.as_slice()),
        ("card", Span { start: 4, end: 28 }, &[Form::Base64][..])
    );
}

#[test]
fn settings_say_what_is_done_by_channel_group_and_kind() {
    let mut settings = LossSettings::default();
    let text = "4111111111111111 and 192.168.1.20 and 00:1A:2b:3C:4d:5E and fe80::1ff:fe23:4567:890a";
    let verdicts = |settings: &LossSettings, channel| -> Vec<(String, Verdict)> {
        let hits = Detectors::new(settings).find(channel, &Readings::of(text));
        hits.iter().map(|hit| (hit.kind.to_string(), hit.verdict)).collect()
    };
    assert_eq!(verdicts(&settings, Channel::Output), [("card".to_owned(), Verdict::Allow)], "listed and let go");
    settings.actions.insert((Channel::Output, Group::Payment), Verdict::Redact);
    assert_eq!(verdicts(&settings, Channel::Output), [("card".to_owned(), Verdict::Redact)]);
    assert_eq!(verdicts(&settings, Channel::Tool), [("card".to_owned(), Verdict::Allow)]);
    settings.kinds.insert("card".to_owned(), Verdict::Deny);
    assert_eq!(verdicts(&settings, Channel::Output), [("card".to_owned(), Verdict::Deny)]);
    settings.actions.insert((Channel::Output, Group::Network), Verdict::Redact);
    let kinds: Vec<String> = verdicts(&settings, Channel::Output).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["card", "ip-address", "mac-address", "ip-address"]);
}

#[test]
fn addresses_of_machines_are_told_from_what_is_like_them() {
    let mut settings = LossSettings::default();
    settings.actions.insert((Channel::Output, Group::Network), Verdict::Redact);
    let detectors = Detectors::new(&settings);
    for (text, kinds) in [
        ("10.0.0.1", &["ip-address"][..]),
        ("服务器10.20.30.40，", &["ip-address"]),
        ("at 10.0.0.1:8080/x", &["ip-address"]),
        ("[2001:db8::8a2e:370:7334]", &["ip-address"]),
        ("00-1a-2b-3c-4d-5e", &["mac-address"]),
        ("aa:bb:cc:11:22:33, aa:bb:cc:11:22:34", &["mac-address", "mac-address"]),
        ("mac 0A:1B:2C:3D:4E:5F.", &["mac-address"]),
        ("256.1.1.1 and 1.2.3 and 1.2.3.4.5", &[]),
        ("12:30:45 and std::net::a1::b2 and v1.2.3.4", &[]),
        ("00:1a:2b:3c:4d and 00:1a:2b:3c:4d:5g", &[]),
    ] {
        let hits = detectors.find(Channel::Output, &Readings::of(text));
        assert_eq!(hits.iter().map(|hit| &*hit.kind).collect::<Vec<_>>(), kinds, "{text}");
    }
}

/// Texts that lead as far as possible at every place. What grows faster than the text would not end here.
#[test]
fn long_runs_of_one_sign_end() {
    let detectors = Detectors::new(&LossSettings::default());
    for unit in [
        "4",
        "@",
        "eyJ",
        "sk-",
        "1 ",
        "12-",
        "4111 ",
        "a@",
        "password:",
        "://",
        "-----BEGIN PRIVATE KEY-----",
        "eyJ.",
        "AKIA",
        "密码是",
        "A1 ",
        "+1",
        "Private-Lines: ",
        ":a@",
        "\"auth\"",
    ] {
        let text = unit.repeat(400_000 / unit.len());
        let hits = detectors.search(&text).len();
        assert!(hits <= text.len() / 4, "{unit}: {hits}");
        assert!(tail::unfinished(&text) <= text.len());
    }
}

const PIECES: [&str; 30] = [
    "hello ",
    "the card ",
    "4111 1111 ",
    "1111 1111",
    "4111111111111111 ",
    "password is ",
    "hunter2!x ",
    "密码是",
    "Abc12345",
    "，谢谢。",
    "\n",
    "AB 12 34 56 C ",
    "DE89 3704 0044 ",
    "0532 0130 00 ",
    "IBAN: ",
    "110101199003074477",
    " ssn 078-05-1120",
    "eyJhbGciOiJIUzI1NiJ9",
    ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN ",
    "bob@example.com ",
    "a",
    "-",
    "+86 138 1234 5678 ",
    "call ",
    "OTP: 482913 ",
    "A123456(3) ",
    " it is a passport ",
    "E12345678",
    "postgres://u:p4ss9@h/x ",
    "x1",
];

#[test]
fn what_follows_changes_nothing_before_the_unfinished_end() {
    let detectors = Detectors::new(&LossSettings::default());
    let hits = |text: &str| {
        apart(
            detectors
                .search(text)
                .into_iter()
                .map(|found| (found, Span { start: found.start, end: found.end }, 0))
                .collect(),
        )
    };
    let mut dice = Dice::new(11);
    let begin = ["-----BEG", "IN RSA PRIVATE KEY-----\n"].concat();
    let body = "MIIEpAIBAAKCAQEAq7BFUpkGp3+LQmlQYx2eqzDV+xeG8kx/sQFV18S5JhzGeIJN\n";
    let end = ["-----E", "ND RSA PRIVATE KEY-----\n"].concat();
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..dice.below(14) + 1 {
            match dice.below(32) {
                30 => text.push_str(&begin),
                31 => text.push_str(&format!("{begin}{body}{body}{end}")),
                piece => text.push_str(PIECES[piece]),
            }
        }
        let cut = (0..=dice.below(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let now = hits(&text[..cut]);
        let mut from = detectors.unfinished(&text[..cut]);
        assert!(text.is_char_boundary(from) && from <= cut);
        for (_, span, _) in &now {
            if span.start < from && span.end > from {
                from = span.start;
            }
        }
        let before = |all: Vec<(Found, Span, usize)>| -> Vec<(&str, Span)> {
            all.iter().filter(|(_, span, _)| span.start < from).map(|(found, span, _)| (found.kind, *span)).collect()
        };
        assert_eq!(before(now), before(hits(&text)), "{text:?} cut at {cut}, let go to {from}");
    }
}

#[test]
fn prose_is_let_go_up_to_its_last_word() {
    assert_eq!(tail::unfinished("The quick brown fox jumps"), "The quick brown fox ".len());
    assert_eq!(tail::unfinished("你好，世界"), "你好，世界".len());
    assert_eq!(tail::unfinished("pay with 4111 1111"), "pay with ".len() - "with ".len());
    assert_eq!(tail::unfinished(""), 0);
}
