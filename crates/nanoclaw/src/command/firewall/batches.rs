//! Lines worked on by all cores, in batches: results in order, memory bounded, and nothing held back while input pauses.

use std::io::{self, ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SendError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Bytes that are read at once, if there are as many: a batch is the lines that end in them.
const CHUNK: usize = 128 * 1024;

/// Lines that are worked on together.
#[derive(Debug)]
pub(super) struct Batch {
    /// The number of the first, from 1.
    pub(super) first: u64,
    pub(super) lines: Lines,
}

#[derive(Debug)]
pub(super) enum Lines {
    /// Whole lines, each with its end; the last of the input may have none.
    Whole(Vec<u8>),
    /// One line, which is too long to be kept.
    TooLong,
}

/// Reads `input` to its end, has `work` done on its lines, and gives `take` the results in order, for as long as it wants
/// more. Lines are at most `longest` bytes long.
pub(super) fn run<T: Send>(
    input: impl Read + Send,
    longest: usize,
    work: impl Fn(Batch) -> T + Sync,
    mut take: impl FnMut(T) -> bool,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    // The place of a result is taken before the work on it can begin, so there are never more batches than places.
    let (places, results) = sync_channel::<Receiver<T>>(2 * threads);
    let (jobs, waiting) = channel::<(Batch, SyncSender<T>)>();
    let (waiting, stopped) = (Mutex::new(waiting), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((batch, result)) = next else { break };
                    // Nobody waits for it where the rest of the output is not wanted.
                    result.send(work(batch)).ok();
                }
            });
        }
        let stop = &stopped;
        let reader = scope.spawn(move || Reader { input, longest, places, jobs, line: 1 }.read(stop));
        for result in results {
            let Ok(result) = result.recv() else { break };
            if !take(result) {
                stopped.store(true, Ordering::Relaxed);
                break;
            }
        }
        reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader of standard input failed")))
    })
}

struct Reader<R, T> {
    input: R,
    longest: usize,
    places: SyncSender<Receiver<T>>,
    jobs: Sender<(Batch, SyncSender<T>)>,
    /// The number of the first line that is not given to anybody yet.
    line: u64,
}

/// Nobody wants results any more.
struct Unwanted;

impl<T> From<SendError<T>> for Unwanted {
    fn from(_: SendError<T>) -> Self {
        Self
    }
}

impl<R: Read, T> Reader<R, T> {
    fn read(mut self, stopped: &AtomicBool) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        // What was read of the line that has not ended yet.
        let mut begun: Vec<u8> = Vec::new();
        let mut too_long = false;
        while !stopped.load(Ordering::Relaxed) {
            let length = match self.input.read(&mut chunk) {
                Ok(0) => {
                    let last = match (too_long, begun.is_empty()) {
                        (true, _) => Lines::TooLong,
                        (false, true) => return Ok(()),
                        (false, false) => Lines::Whole(begun),
                    };
                    self.give(last, 1).ok();
                    return Ok(());
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut read = chunk.get(..length).unwrap_or_default();
            if too_long {
                let Some(end) = memchr(read) else { continue };
                read = read.get(end + 1..).unwrap_or_default();
                too_long = false;
                if self.give(Lines::TooLong, 1).is_err() {
                    break;
                }
            }
            let ended = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let (whole, rest) = read.split_at_checked(ended).unwrap_or_default();
            if !whole.is_empty() {
                let count = whole.iter().filter(|byte| **byte == b'\n').count();
                begun.extend_from_slice(whole);
                if self.give(Lines::Whole(std::mem::take(&mut begun)), count as u64).is_err() {
                    break;
                }
            }
            begun.extend_from_slice(rest);
            if begun.len() > self.longest {
                (begun, too_long) = (Vec::new(), true);
            }
        }
        Ok(())
    }

    fn give(&mut self, lines: Lines, count: u64) -> Result<(), Unwanted> {
        let (done, result) = sync_channel(1);
        self.places.send(result)?;
        self.jobs.send((Batch { first: self.line, lines }, done))?;
        self.line += count;
        Ok(())
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out few bytes at a time, however many are wanted.
    struct Slowly<'t>(&'t [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(into.len()).min(self.0.len());
            let (now, later) = self.0.split_at(length);
            into[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn lines(input: &[u8], size: usize, longest: usize) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        let work = |batch: Batch| match batch.lines {
            Lines::TooLong => vec![(batch.first, "too long".to_owned())],
            Lines::Whole(bytes) => {
                let text = String::from_utf8(bytes).unwrap();
                (batch.first..).zip(text.lines().map(str::to_owned)).collect()
            }
        };
        run(Slowly(input, size), longest, work, |found| {
            all.extend(found);
            true
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_come_out_in_order_however_they_come_in() {
        let text: String = (1..=500).map(|n| format!("{n}{}\n", "x".repeat(n % 7))).collect();
        let expected: Vec<(u64, String)> = (1..).zip(text.lines().map(str::to_owned)).collect();
        for size in [1, 3, 64, 100_000] {
            assert_eq!(lines(text.as_bytes(), size, 1000), expected, "{size} bytes at a time");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_others_are_worked_on() {
        let text = format!("a\n{}\nb\n{}", "x".repeat(500), "y".repeat(500));
        let expected = [(1, "a"), (2, "too long"), (3, "b"), (4, "too long")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(lines(text.as_bytes(), 10, 100), expected);
    }

    #[test]
    fn a_last_line_without_an_end_and_no_lines_at_all_are_fine() {
        assert_eq!(lines(b"a\n\nb", 2, 100), [(1, "a".to_owned()), (2, String::new()), (3, "b".to_owned())]);
        assert_eq!(lines(b"", 2, 100), []);
    }

    #[test]
    fn reading_ends_when_nobody_wants_more() {
        let mut count = 0;
        let endless = io::repeat(b'\n');
        run(
            endless,
            100,
            |batch| batch.first,
            |_| {
                count += 1;
                count < 3
            },
        )
        .unwrap();
        assert_eq!(count, 3);
    }
}
