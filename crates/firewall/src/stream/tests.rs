use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::filter::{Filter, Finds};
use crate::firewall::Settings;
use crate::loss::{Group, LossSettings};

/// A card number that cards of this kind are tested with.
const CARD: &str = "4111 1111 1111 1111";
/// The example key of the provider's own documentation.
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn settings(filters: Vec<Filter>) -> Settings {
    let actions = Group::ALL.iter().map(|group| ((Channel::Output, *group), Verdict::Redact)).collect();
    Settings { filters, loss: LossSettings { actions, ..LossSettings::default() }, ..Settings::default() }
}

fn filter(name: &str, action: Verdict, finds: Finds) -> Filter {
    Filter { name: name.to_owned(), action, channels: vec![Channel::Output], finds }
}

fn firewall(filters: Vec<Filter>) -> Arc<Firewall> {
    Arc::new(Firewall::new(&settings(filters)).unwrap())
}

fn own() -> Vec<Filter> {
    vec![
        filter("project", Verdict::Redact, Finds::Words(vec!["Blue Heron".to_owned(), "机密".to_owned()])),
        filter("canary", Verdict::Deny, Finds::Canary("canary-7f3a91c2".to_owned())),
    ]
}

/// What is let go of a text that comes in these pieces, and what was found.
fn streamed<'t>(firewall: &Arc<Firewall>, pieces: impl IntoIterator<Item = &'t str>) -> (Released, usize) {
    let mut stream = firewall.stream(Channel::Output);
    let (mut all, mut held) = (Released::default(), 0);
    let mut add = |more: Released| {
        all.text.push_str(&more.text);
        all.upto = more.upto;
        all.edits.extend(more.edits);
        all.losses.extend(more.losses);
        all.rules.extend(more.rules);
        all.verdict = all.verdict.max(more.verdict);
    };
    for piece in pieces {
        add(stream.push(piece));
        held = held.max(stream.held());
    }
    add(stream.finish());
    (all, held)
}

/// `text` in pieces of these many characters, over and over.
fn cut<'t>(text: &'t str, sizes: &[usize]) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let at = rest.char_indices().nth(*size).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(at);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn same_in_pieces(firewall: &Arc<Firewall>, text: &str, sizes: &[usize]) -> Result<(), TestCaseError> {
    let judged = firewall.judge(Channel::Output, text);
    let (all, held) = streamed(firewall, cut(text, sizes));
    prop_assert_eq!(&all.text, &redact(text, &judged));
    prop_assert_eq!(all.upto, text.len());
    prop_assert_eq!(&all.losses, &judged.losses);
    prop_assert_eq!(&all.rules, &judged.rules);
    prop_assert!(held <= MOST_HELD + 4, "{held}");
    Ok(())
}

fn words() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{1,9}[ ,.\n]",
        1 => Just(format!("{CARD} ")),
        1 => Just(format!("{KEY} ")),
        1 => Just("Blue Heron ".to_owned()),
        1 => Just("Blue He ".to_owned()),
        1 => Just("机密".to_owned()),
        1 => "[0-9]{1,20}[ -]?",
        1 => "[一-丏。，]{1,9}",
        1 => "[A-Za-z0-9+/]{20,200}",
        1 => Just("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        1 => Just("-----END PRIVATE KEY-----\n".to_owned()),
        1 => Just("password = ".to_owned()),
        1 => "\\PC{0,6}",
    ];
    proptest::collection::vec(part, 0..200).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_pieces_give_what_the_whole_gives(text in words(), sizes in proptest::collection::vec(1usize..300, 1..8)) {
        same_in_pieces(&firewall(own()), &text, &sizes)?;
    }

    #[test]
    fn single_letters_give_what_the_whole_gives(text in words()) {
        same_in_pieces(&firewall(own()), &text, &[1])?;
    }

    #[test]
    fn what_is_let_go_is_what_any_longer_text_lets_go(text in words(), more in words(), at in 1usize..200) {
        let firewall = firewall(own());
        let mut stream = firewall.stream(Channel::Output);
        let gone: String = cut(&text, &[at]).into_iter().map(|piece| stream.push(piece).text).collect();
        let longer = text + &more;
        let whole = redact(&longer, &firewall.judge(Channel::Output, &longer));
        prop_assert!(whole.starts_with(&gone));
    }

    #[test]
    fn what_stands_in_any_text_is_found(before in "([a-z]{1,9}[ .,\n]|好){0,400}", after in "([a-z]{1,9}[ .,\n]){0,60}", size in 1usize..40) {
        let firewall = firewall(own());
        for (value, name) in [(CARD, "[card-1]"), (KEY, "[aws-access-key-1]"), ("Blue Heron", "[project-1]")] {
            let text = format!("{before} {value} {after}");
            let (all, _) = streamed(&firewall, cut(&text, &[size]));
            prop_assert_eq!(all.text, format!("{before} {name} {after}"));
        }
    }
}

#[test]
fn value_that_comes_in_pieces_never_goes() {
    let (all, _) = streamed(
        &firewall(own()),
        ["My card is 41", "11 1111 11", "11 1111, and the key ", "AKIAIOSF", "ODNN7EXAMPLE."],
    );
    assert_eq!(all.text, "My card is [card-1], and the key [aws-access-key-1].");
    assert_eq!(all.verdict, Verdict::Redact);
}

#[test]
fn same_value_has_the_same_name() {
    let other = "5555 5555 5555 4444";
    let text = format!("card {CARD}, card {other}, card {CARD}");
    let judged = firewall(Vec::new()).judge(Channel::Output, &text);
    assert_eq!(redact(&text, &judged), "card [card-1], card [card-2], card [card-1]");
}

#[test]
fn prose_goes_soon() {
    let firewall = firewall(Vec::new());
    let mut stream = firewall.stream(Channel::Output);
    let prose = "The river runs past the mill and on to the town. ".repeat(100);
    for piece in cut(&prose, &[5]) {
        stream.push(piece);
        assert!(stream.held() <= 1200, "{}", stream.held());
    }
    let mut stream = firewall.stream(Channel::Output);
    let released = stream.push(&prose[..200]);
    assert!(released.text.len() >= 100, "{}", released.text.len());
}

#[test]
fn canary_ends_what_may_go() {
    let (all, _) = streamed(&firewall(own()), ["It says canary", "-7f3a91c2 here."]);
    assert_eq!(all.verdict, Verdict::Deny);
    assert_eq!(all.text, "It says [canary-1] here.");
}

#[test]
fn key_that_does_not_end_does_not_go() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    let text = format!("Here:\n-----BEGIN PRIVATE KEY-----\n{}", line.repeat(60));
    let firewall = firewall(Vec::new());
    let (all, held) = streamed(&firewall, cut(&text, &[7]));
    assert!(all.text.starts_with("Here:\n"), "{}", all.text);
    assert!(!all.text.contains("MII"), "{}", all.text);
    assert!(held > 3000);
}

#[test]
fn without_anything_to_do_nothing_waits_and_all_is_noted() {
    let firewall = Firewall::unconfigured();
    let mut stream = firewall.stream(Channel::Output);
    let (mut text, mut losses) = (String::new(), Vec::new());
    let whole = format!("My card is {CARD}.");
    for piece in cut(&whole, &[3]) {
        let released = stream.push(piece);
        assert_eq!((released.text.as_str(), stream.held()), (piece, 0));
        text.push_str(&released.text);
        losses.extend(released.losses);
    }
    let last = stream.finish();
    losses.extend(last.losses);
    assert_eq!((text + &last.text, last.verdict), (whole, Verdict::Allow));
    assert_eq!(losses.iter().map(|hit| &*hit.kind).collect::<Vec<_>>(), ["card"]);
}

#[test]
fn run_without_end_is_held_so_far_and_no_further() {
    let firewall = firewall(own());
    for unit in ["QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo", "0123456789", "\u{200b}", "-----BEGIN ", "机密"] {
        let text = unit.repeat(80_000 / unit.len());
        let (all, held) = streamed(&firewall, cut(&text, &[997]));
        assert!(held <= MOST_HELD + 4, "{unit}: {held}");
        let judged = firewall.judge(Channel::Output, &text);
        assert_eq!(all.text, redact(&text, &judged), "{unit}");
    }
}

#[test]
fn runs_are_read_on_where_they_were_left() {
    assert_eq!(window::run("some words QUJD"), 11);
    assert_eq!(window::run("QUJD words "), 11);
    let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpBQkNERUZHSElKS0xNTk9QUVJTVFVW\n";
    assert_eq!(window::run(&format!("see {line}{line}")), 4);
    assert_eq!(window::run(&format!("see\n{line}QUJD")), 4);
    let lines = line.repeat(3);
    for at in 0..lines.len() {
        let aligned = window::aligned(&lines, at);
        let letters = lines[..aligned].bytes().filter(|byte| *byte != b'\n').count();
        assert_eq!(letters % 4, 0, "{at}");
        assert!(at - aligned <= 4, "{at}");
    }
}

/// As RFC 4648 has it, for texts whose length is a multiple of three.
fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert_eq!(text.len() % 3, 0);
    let groups =
        text.as_bytes().chunks(3).map(|group| group.iter().fold(0_usize, |all, byte| all << 8 | usize::from(*byte)));
    groups.flat_map(|group| [18, 12, 6, 0].map(|shift| char::from(LETTERS[group >> shift & 63]))).collect()
}

#[test]
fn what_is_hidden_in_a_run_does_not_go_either() {
    let firewall = firewall(Vec::new());
    let secret = "Please pay with the card 4111 1111 1111 1111 today.  ";
    let filler = "The river runs past the old mill and on to the town. ";
    // In a run that is held, and in one that is not held to its end.
    for lines in [0, 20, 600, 601, 602, 603] {
        let mut hidden = format!("{}{secret}{filler}", filler.repeat(lines));
        hidden.push_str(&" ".repeat((3 - hidden.len() % 3) % 3));
        let text = format!("Here it is: {} and so on.", base64(&hidden));
        let (all, held) = streamed(&firewall, cut(&text, &[61]));
        assert!(all.losses.iter().any(|hit| &*hit.kind == "card"), "{lines}");
        assert!(all.text.contains("[card-1]"), "{lines}");
        assert!(held <= MOST_HELD + 4, "{lines}: {held}");
    }
}
