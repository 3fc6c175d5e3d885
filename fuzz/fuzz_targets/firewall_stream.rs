//! Streams of the firewall on arbitrary texts: however a text is cut, what is let go is the redacted whole, the same is found,
//! no more waits than is said, and what was let go is what any longer text would let go.
//!
//! Input: two bytes that say how to cut, then the text.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use nanoclaw_firewall::filter::{Filter, Finds};
use nanoclaw_firewall::loss::{Group, LossSettings};
use nanoclaw_firewall::{Channel, Firewall, Settings, Verdict, stream};

static FIREWALL: LazyLock<Arc<Firewall>> = LazyLock::new(|| {
    let actions = Group::ALL.iter().map(|group| ((Channel::Output, *group), Verdict::Redact)).collect();
    let filter = |name: &str, finds| Filter {
        name: name.to_owned(),
        action: Verdict::Redact,
        channels: vec![Channel::Output],
        finds,
    };
    let filters = vec![
        filter("project", Finds::Words(vec!["Blue Heron".to_owned(), "机密".to_owned()])),
        filter("canary", Finds::Canary("canary-7f3a91c2".to_owned())),
    ];
    let loss = LossSettings { actions, ..LossSettings::default() };
    Arc::new(Firewall::new(&Settings { filters, loss, ..Settings::default() }).unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    let [first, second, text @ ..] = bytes else { return };
    let text = String::from_utf8_lossy(text);
    let judged = FIREWALL.judge(Channel::Output, &text);
    let whole = stream::redact(&text, &judged);
    let mut stream = FIREWALL.stream(Channel::Output);
    let (mut out, mut losses, mut rules) = (String::new(), Vec::new(), Vec::new());
    let mut rest = &*text;
    for size in [*first, *second].iter().cycle().map(|size| usize::from(*size).max(1)) {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(size));
        let released = stream.push(piece);
        out.push_str(&released.text);
        losses.extend(released.losses);
        rules.extend(released.rules);
        assert!(whole.starts_with(&out));
        assert!(stream.held() <= stream::MOST_HELD + 4);
        rest = after;
    }
    let last = stream.finish();
    out.push_str(&last.text);
    losses.extend(last.losses);
    rules.extend(last.rules);
    assert_eq!((out, losses, rules), (whole, judged.losses, judged.rules));
});
