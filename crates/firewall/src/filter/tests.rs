use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::firewall::{Firewall, Settings};

fn filter(finds: Finds) -> Filter {
    Filter { name: "f".to_owned(), action: Verdict::Deny, channels: vec![Channel::Output, Channel::Tool], finds }
}

fn filters(finds: Finds) -> Filters {
    Filters::new(&[filter(finds)], BTreeMap::new()).unwrap()
}

fn words(words: &[&str]) -> Finds {
    Finds::Words(words.iter().map(|word| (*word).to_owned()).collect())
}

/// What is found in a text, as it stands there.
fn found<'t>(filters: &Filters, text: &'t str) -> Vec<&'t str> {
    let hits = filters.find(Channel::Tool, &Readings::of(text));
    hits.iter().map(|hit| text.get(hit.span.start..hit.span.end).unwrap()).collect()
}

#[test]
fn words_of_latin_scripts_have_borders_and_chinese_ones_have_none() {
    let filters = filters(words(&["Falcon", "猎鹰计划", "project x"]));
    assert_eq!(found(&filters, "the FALCON flies; falcons and afalcon do not"), ["FALCON"]);
    assert_eq!(found(&filters, "关于猎鹰计划的文件"), ["猎鹰计划"]);
    assert_eq!(found(&filters, "Project\n  X and project xy, projectx"), ["Project\n  X"]);
    assert_eq!(found(&filters, "猎鹰falcon计划"), ["falcon"]);
}

#[test]
fn width_and_invisible_characters_hide_no_word() {
    let filters = filters(words(&["falcon"]));
    assert_eq!(found(&filters, "ｆａｌｃｏｎ"), ["ｆａｌｃｏｎ"]);
    assert_eq!(found(&filters, "x fal\u{200b}con y"), ["fal\u{200b}con"]);
}

#[test]
fn a_filter_is_for_its_channels_only() {
    let filters = filters(words(&["falcon"]));
    assert!(filters.find(Channel::User, &Readings::of("falcon")).is_empty());
    assert!(filters.acts_on(Channel::Output) && !filters.acts_on(Channel::User));
    assert!(filters.longest(Channel::Output) >= 6 && filters.longest(Channel::User) == 0);
}

#[test]
fn a_pattern_names_what_it_fits() {
    let filters = filters(Finds::Pattern("ACC-[0-9]{6}".to_owned()));
    assert_eq!(found(&filters, "敏ACC-123456 and ACC-12345, ACC-999999."), ["ACC-123456", "ACC-999999"]);
}

#[test]
fn a_wrong_pattern_is_refused_with_its_place() {
    let error = |text: &str| filter(Finds::Pattern(text.to_owned())).check().unwrap_err().to_string();
    assert_eq!(error("敏a(b"), "the pattern is wrong at its character 3 (`(`): unclosed group");
    assert_eq!(error("a*"), "the pattern fits the empty text, and so every place of every text");
    assert!(
        error("(?:(?:a{1000}){1000}){1000}").contains("bytes to search with"),
        "{}",
        error("(?:(?:a{1000}){1000}){1000}")
    );
    assert!(error(&"(".repeat(100)).contains("wrong at its character"));
    assert!(error(&"a".repeat(3000)).contains("more than 2048"));
}

#[test]
fn a_topic_takes_several_words() {
    let topic = Finds::Topic { words: ["merger", "target", "收购"].map(str::to_owned).to_vec(), at_least: 2 };
    let filters = filters(topic);
    assert_eq!(found(&filters, "merger, merger, merger"), Vec::<&str>::new());
    assert_eq!(found(&filters, "a Merger: 收购 it"), ["Merger: 收购"]);
    let many = format!("{} target", "merger ".repeat(2 * MOST_HITS));
    assert_eq!(found(&filters, &many).len(), 1);
}

#[test]
fn a_canary_is_found_within_longer_words() {
    let filters = filters(Finds::Canary("zx-Canary-7719".to_owned()));
    assert_eq!(found(&filters, "aazx-canary-7719bb"), ["zx-canary-7719"]);
}

#[test]
fn what_would_fit_everything_is_refused() {
    for (finds, message) in [
        (words(&[]), "there are no words in it"),
        (words(&["a"]), "`a` has fewer than 2 letters and digits"),
        (words(&["--"]), "`--` has fewer than 2 letters and digits"),
        (Finds::Canary("abc".to_owned()), "`abc` has fewer than 8 letters and digits"),
        (Finds::Topic { words: vec!["ab".to_owned()], at_least: 2 }, "it takes 2 of 1 words"),
        (Finds::Topic { words: vec!["ab".to_owned()], at_least: 0 }, "it takes 0 of 1 words"),
        (words(&[&"a".repeat(300)]), "a text of 300 bytes is longer than 256"),
    ] {
        assert_eq!(filter(finds).check().unwrap_err().to_string(), message);
    }
}

#[test]
fn more_places_than_are_named_are_covered_all_the_same() {
    let filters = filters(Finds::Pattern("ab".to_owned()));
    let text = "ab ".repeat(MOST_HITS + 50);
    let hits = filters.find(Channel::Tool, &Readings::of(&text));
    assert_eq!((hits.len(), hits.last().unwrap().span.end), (MOST_HITS, text.len()));
}

/// No digest for use: it only has to differ where its input does.
fn keyed() -> Keyed {
    Keyed(|key, message| {
        let mut digest = [0_u8; 32];
        for (number, byte) in key.iter().chain(message).enumerate() {
            for (place, out) in digest.iter_mut().enumerate() {
                *out = out.wrapping_mul(31).wrapping_add(byte ^ (number * 7 + place * 13) as u8);
            }
        }
        digest
    })
}

fn known(values: &str) -> Filters {
    let text = known_values(values, [7; SALT], keyed()).unwrap();
    let list = KnownValues::read(&text, keyed()).unwrap();
    let path = PathBuf::from("/x");
    Filters::new(&[filter(Finds::Known(path.clone()))], BTreeMap::from([(path, list)])).unwrap()
}

#[test]
fn known_values_are_found_however_they_are_grouped() {
    let filters = known("1234567890\nMax Mustermann, 1970-01-01\n\n王小明先生\n");
    assert_eq!(found(&filters, "no. 12345-678 90!"), ["12345-678 90"]);
    assert_eq!(found(&filters, "MAX MUSTERMANN (1970/01/01)"), ["MAX MUSTERMANN (1970/01/01"]);
    assert_eq!(found(&filters, "他是王小明先生吗"), ["王小明先生"]);
    assert_eq!(found(&filters, "12345678901 and 123456789"), Vec::<&str>::new());
}

#[test]
fn a_file_of_known_values_holds_none_of_them() {
    let text = known_values("1234567890\n", [7; SALT], keyed()).unwrap();
    assert!(!text.contains("1234567890") && text.starts_with("nanoclaw-known-values 1\nsalt 0707"), "{text}");
}

#[test]
fn a_damaged_file_of_known_values_is_refused() {
    let text = known_values("1234567890\nabcdefgh\n", [7; SALT], keyed()).unwrap();
    let read = |text: &str| KnownValues::read(text, keyed()).map(drop);
    assert_eq!(read(&text), Ok(()));
    assert_eq!(read("1234567890\n"), Err(KnownError::Other));
    let cut: String = text.lines().take(6).map(|line| format!("{line}\n")).collect();
    assert_eq!(read(&cut), Err(KnownError::Count { said: 2, found: 1 }));
    assert_eq!(read(&text.replace("salt 07", "salt zz")), Err(KnownError::Line(2)));
    assert_eq!(read(&format!("{text}zz\n")), Err(KnownError::Line(8)));
    assert_eq!(read(&text.replace("lengths ", "lengths fffffffffffffffffffffffff")), Err(KnownError::Line(4)));
    for cut in 0..text.len() {
        assert!(read(&text[..cut]).is_err() || cut + 1 == text.len(), "{cut}");
    }
}

#[test]
fn values_that_stand_everywhere_are_refused_by_their_line() {
    let write = |values: &str| known_values(values, [7; SALT], keyed()).map(drop);
    assert_eq!(write("1234567890\nabc\n"), Err(KnownError::Short(2)));
    assert_eq!(write(&"a".repeat(65)), Err(KnownError::Long(1)));
    assert_eq!(write("\n\n"), Err(KnownError::None));
}

#[test]
fn a_list_that_was_not_read_is_no_filter_that_finds_nothing() {
    let settings = Settings { filters: vec![filter(Finds::Known("/x".into()))], ..Settings::default() };
    assert_eq!(Firewall::new(&settings).unwrap_err().to_string(), "filter 1: the values of `/x` were not read");
}

#[test]
fn a_filter_decides_what_is_done_with_the_text() {
    let settings = Settings { filters: vec![filter(words(&["falcon"]))], ..Settings::default() };
    let firewall = Firewall::new(&settings).unwrap();
    let judgement = firewall.judge(Channel::Tool, "the falcon");
    assert_eq!((judgement.verdict, judgement.rules[0].id.as_ref(), judgement.flagged()), (Verdict::Deny, "f", false));
    assert_eq!(firewall.judge(Channel::Tool, "the eagle").verdict, Verdict::Allow);
}
