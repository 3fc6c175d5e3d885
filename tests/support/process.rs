//! Programs that end in time, or are ended.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up. Nothing here needs nearly as much, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
const TICK: Duration = Duration::from_millis(20);

/// What became of a program.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it said beside.
    pub stderr: String,
}

impl Finished {
    /// Its exit status, `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it wrote, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// What it wrote, after it ended with status 0.
    #[track_caller]
    pub fn good(&self) -> String {
        assert_eq!(self.code(), Some(0), "{self:?}");
        self.text()
    }

    /// The summary that `--json` ends with.
    #[track_caller]
    pub fn summary(&self) -> serde_json::Value {
        let text = self.text();
        let last = text.lines().last().unwrap_or_else(|| panic!("no summary: {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs to the end, with this input. A program that does not end is killed, and the test fails.
#[track_caller]
pub fn finish(command: Command, input: &[u8]) -> Finished {
    let mut running = Background::start(command, Stdio::piped());
    let mut stdin = running.child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // Whoever does not read all of its input may well end without it.
    thread::spawn(move || stdin.write_all(&input).is_ok());
    running.finish()
}

/// A program that runs on.
pub struct Background {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    copies: Vec<thread::JoinHandle<()>>,
}

impl Background {
    /// Starts it with this input.
    pub fn start(mut command: Command, stdin: Stdio) -> Self {
        let spawned = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (out, err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let copies = vec![collect(out, &stdout), collect(err, &stderr)];
        Self { child, stdout, stderr, copies }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// What it has written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().expect("the lock")).into_owned()
    }

    /// What it has said so far.
    pub fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().expect("the lock")).into_owned()
    }

    /// Waits until it has written this.
    #[track_caller]
    pub fn writes(&self, text: &str) {
        let came = appears(|| self.text().contains(text));
        assert!(came, "`{text}` did not come; output:\n{}\nerrors:\n{}", self.text(), self.errors());
    }

    /// Waits until it has said this on standard error.
    #[track_caller]
    pub fn says(&self, text: &str) {
        let came = appears(|| self.errors().contains(text));
        assert!(came, "`{text}` did not come; errors:\n{}", self.errors());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("a pid");
        kill_process(pid, signal).expect("a running process");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    let killed = self.child.kill();
                    panic!("it does not end ({killed:?}); output:\n{}\nerrors:\n{}", self.text(), self.errors());
                }
                None => thread::sleep(TICK),
            }
        };
        for copy in self.copies.drain(..) {
            copy.join().expect("a copy");
        }
        Finished { status, stdout: std::mem::take(&mut self.stdout.lock().expect("the lock")), stderr: self.errors() }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ended_meanwhile = self.child.kill().is_err();
            let _reaped = self.child.wait().is_err();
        }
    }
}

fn collect(mut from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<u8>>>) -> thread::JoinHandle<()> {
    let into = into.clone();
    thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n) = from.read(&mut buffer)
            && n > 0
        {
            into.lock().expect("the lock").extend_from_slice(&buffer[..n]);
        }
    })
}

/// Whether something comes true in time.
pub fn appears(mut check: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if check() {
            return true;
        }
        thread::sleep(TICK);
    }
    false
}

/// Waits until something is there, and gives it.
#[track_caller]
pub fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    appears(|| {
        found = find();
        found.is_some()
    });
    found.unwrap_or_else(|| panic!("{what}: it did not happen"))
}

/// The processes of this machine, zombies left out, with `marker` among their arguments, this test left out.
pub fn marked(marker: &str) -> Vec<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).filter(|pid| *pid != own);
    let has = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| String::from_utf8_lossy(argument).contains(marker))
    };
    pids.filter(has).collect()
}

/// Whether a process has ended, even if nobody has reaped it.
pub fn gone(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}
