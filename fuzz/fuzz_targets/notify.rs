//! The decoder of notified calls, as far as it is pure: any call, with any arguments, and any bytes where its path should
//! be. It never panics; the two halves of the profile agree; and no path leads out of the root.
//!
//! Input: four bytes of call number, six times eight bytes of arguments, then memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_config::SandboxMode;
use nanoclaw_sandbox::notify::request::{Change, FileChange, PATH_MAX, Place, Subject, c_string, normalise, subject};
use nanoclaw_sandbox::seccomp::{Outcome, evaluate};

fuzz_target!(|bytes: &[u8]| {
    let Some((number, rest)) = bytes.split_first_chunk::<4>() else { return };
    let Some((words, memory)) = rest.split_first_chunk::<48>() else { return };
    let number = u32::from_le_bytes(*number);
    let mut arguments = [0; 6];
    for (argument, word) in arguments.iter_mut().zip(words.chunks_exact(8)) {
        *argument = u64::from_le_bytes(word.try_into().unwrap());
    }

    let subject = subject(number, &arguments);
    for mode in [SandboxMode::Restricted, SandboxMode::Standard] {
        // What is asked about has something to record; what is only refused may be any call.
        if evaluate(mode, number, &arguments) == Outcome::Ask {
            assert_ne!(subject, Subject::Other);
        }
    }
    let place = |place: Place| assert!(place.empty || arguments.contains(&place.pointer));
    match subject {
        Subject::File(FileChange { place: at, change: Change::Link { from } | Change::Move { from }, .. }) => {
            place(at);
            place(from);
        }
        Subject::File(FileChange { place: at, .. }) | Subject::Exec(at) => place(at),
        Subject::Other => {}
    }

    if let Some(path) = c_string(memory) {
        assert!(path.len() < PATH_MAX && !path.contains(&0));
        for base in [b"/".as_slice(), b"/workspace/a", path] {
            let whole = normalise(base, path);
            assert!(whole.starts_with(b"/") && (whole.len() == 1 || !whole.ends_with(b"/")));
            assert!(whole.split(|b| *b == b'/').skip(1).all(|name| name != b"." && name != b".."));
            assert_eq!(normalise(b"/elsewhere", &whole), whole, "it is a fixed point");
        }
    }
});
