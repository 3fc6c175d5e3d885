//! What can be typed. Values are checked by `config`, with the same rules as in the file.

mod firewall;
mod people;
mod quarantine;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nanoclaw_config::{Mount, MountMode, NetRule, Rootfs};
use nanoclaw_request::CellId;

pub use firewall::{Firewall, Offsets, Scan, channel};
pub use people::{Certificates, Context, Operators, Tokens};
pub use quarantine::{Quarantine, Withheld};

/// Run AI agents, and any other program, that nobody has to trust.
#[derive(Debug, Parser)]
#[command(name = "nanoclaw", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Where NanoClaw keeps its state (else NANOCLAW_STATE_DIR, /var/lib/nanoclaw as root, $XDG_STATE_HOME/nanoclaw)
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Steer a fleet that runs elsewhere, by what `nanoclaw context add` knows of it (else NANOCLAW_CONTEXT)
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "state_dir")]
    pub context: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one program in a cell of its own
    Run(Box<Run>),
    /// Run the fleet of a configuration, supervised, in the foreground
    Up(Up),
    /// List the running fleet
    Ps(Ps),
    /// Show an agent's output
    Logs(Logs),
    /// Run one more program in a running agent's cell
    Exec(Exec),
    /// Talk with an agent
    Chat(Chat),
    /// Have an agent do one thing, and print its answer
    Ask(Ask),
    /// See what waits for a person's answer, and answer it
    Approvals(Approvals),
    /// Stop one agent
    Stop(Stop),
    /// Have the running fleet read its configuration again, and put its policies in force
    Reload(Reload),
    /// List what agents have read, or have it forgotten
    Labels(Labels),
    /// Stop the fleet
    Down,
    /// Say what this host offers and lacks, or attack a cell from inside
    Doctor(Doctor),
    /// Read the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Check configurations
    #[command(subcommand)]
    Config(Config),
    /// See the policies of a configuration, and ask them
    #[command(subcommand)]
    Policy(Policy),
    /// Judge texts as the prompt firewall does
    #[command(subcommand)]
    Firewall(Firewall),
    /// Describe the REST API of the control plane
    #[command(subcommand)]
    Api(Api),
    /// Get to know control planes elsewhere, or forget them
    #[command(subcommand)]
    Context(Context),
    /// See who may steer a fleet, and invite people
    #[command(subcommand)]
    Operator(Operators),
    /// See and make tokens for programs that steer a fleet
    #[command(subcommand)]
    Token(Tokens),
    /// See and revoke the certificates of those who steer a fleet
    #[command(subcommand)]
    Certificate(Certificates),
    /// Install OpenClaw, or take over its configuration
    #[command(subcommand, name = "openclaw")]
    OpenClaw(OpenClaw),
    /// The built-in agent, inside its cell
    #[command(hide = true)]
    AgentInside {
        /// What the control plane tells it
        settings: PathBuf,
    },
    /// What `doctor --attack` runs inside a cell
    #[command(hide = true)]
    AttackInside {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// `nanoclaw run`
#[derive(Debug, Args)]
pub struct Run {
    /// Take mode, rules and limits from this configuration
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What the cell sees as `/`: `host`, `minimal` or a directory
    #[arg(long, value_parser = rootfs)]
    pub rootfs: Option<Rootfs>,
    /// Show a file or directory of the host, read-only
    #[arg(long, value_name = "PATH[:DEST]", value_parser = read_only)]
    pub ro: Vec<Mount>,
    /// Show a file or directory of the host, writable
    #[arg(long, value_name = "PATH[:DEST]", value_parser = writable)]
    pub rw: Vec<Mount>,
    /// Let the cell reach this; nothing else is reachable
    #[arg(long, value_name = "HOST[:PORT]", value_parser = network)]
    pub allow_net: Vec<NetRule>,
    /// Set a variable of the environment
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Start in this directory of the cell
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<PathBuf>,
    /// Memory and swap, such as 512Mi
    #[arg(long, value_parser = memory)]
    pub memory: Option<u64>,
    /// CPU cores, such as 0.5
    #[arg(long, value_parser = cpus)]
    pub cpus: Option<u32>,
    /// Processes and threads
    #[arg(long, value_parser = pids)]
    pub pids: Option<u32>,
    /// Bytes in each writable place, such as 1Gi
    #[arg(long, value_parser = disk)]
    pub disk: Option<u64>,
    /// Open files of each process
    #[arg(long, value_parser = files)]
    pub files: Option<u32>,
    /// Wall time, such as 90s or 1h; the exit status is then 124
    #[arg(long, value_parser = time)]
    pub timeout: Option<Duration>,
    /// The cell's name; with --config, an agent of that name gives what no option says
    #[arg(long, value_name = "ID", value_parser = CellId::parse)]
    pub name: Option<CellId>,
    /// End with one line of JSON: exit status, usage (CPU, peak memory, I/O) and refusals
    #[arg(long)]
    pub json: bool,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `nanoclaw up`
#[derive(Debug, Args)]
pub struct Up {
    /// The configuration
    #[arg(short, long, value_name = "FILE", default_value = "nanoclaw-config.yaml")]
    pub config: PathBuf,
}

/// `nanoclaw ps`
#[derive(Debug, Args)]
pub struct Ps {
    /// One line of JSON per agent
    #[arg(long)]
    pub json: bool,
}

/// `nanoclaw logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Which agent
    pub agent: String,
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
}

/// `nanoclaw exec`
#[derive(Debug, Args)]
pub struct Exec {
    /// Which agent
    pub agent: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `nanoclaw chat`
#[derive(Debug, Args)]
pub struct Chat {
    /// Which agent; may be left out where only one can be spoken to
    pub agent: Option<String>,
    /// Go on with this session, or begin it
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
}

/// `nanoclaw ask`
#[derive(Debug, Args)]
pub struct Ask {
    /// Which agent
    pub agent: String,
    /// What it is to do; `-`, or nothing where standard input is no terminal, reads it from there
    pub prompt: Option<String>,
    /// Go on with this session, or begin it
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Print what happens as it comes, one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Have the answer follow the JSON Schema in this file, and print only the answer
    #[arg(long, value_name = "FILE")]
    pub schema: Option<PathBuf>,
}

/// `nanoclaw openclaw`
#[derive(Debug, Subcommand)]
pub enum OpenClaw {
    /// Install the OpenClaw that agents of kind `openclaw` run, and its Node.js: about 860 MB, through npm
    Install {
        /// Where to; the default is `openclaw` in the state directory
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Make a NanoClaw configuration of an OpenClaw one, and say what of it could not be carried over
    Import {
        /// OpenClaw's configuration, such as ~/.openclaw/openclaw.json
        file: PathBuf,
        /// Where to write; `-` is standard output
        #[arg(short, long, value_name = "FILE", default_value = "nanoclaw-config.yaml")]
        output: PathBuf,
    },
}

/// `nanoclaw approvals`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Approvals {
    /// One line of JSON per question
    #[arg(long)]
    pub json: bool,
    /// Go on with what comes
    #[arg(short, long)]
    pub watch: bool,
    #[command(subcommand)]
    pub what: Option<Approval>,
}

/// What to do with one question.
#[derive(Debug, Subcommand)]
pub enum Approval {
    /// Show all of one question
    Show {
        /// Which question
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what waits, one question after the other, and answer each
    Answer,
    /// Let it be done, once
    Approve {
        /// Which question
        id: String,
        /// The digest of what you have seen; on a terminal the question is shown first, and this may be left out
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
    },
    /// Do not let it be done
    Deny {
        /// Which question
        id: String,
        /// Why, for the agent and the log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a tool call be made with other arguments, once
    Edit {
        /// Which question
        id: String,
        /// All arguments, as a JSON object, or `@` and the name of a file that holds it
        #[arg(long, value_name = "JSON|@FILE")]
        arguments: String,
    },
}

/// `nanoclaw api`
#[derive(Debug, Subcommand)]
pub enum Api {
    /// Print the OpenAPI document, which a running fleet serves at `/v1/openapi.json`
    Schema,
}

/// `nanoclaw reload`
#[derive(Debug, Args)]
pub struct Reload {
    /// Only say what it would change
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `nanoclaw labels`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Labels {
    /// One line of JSON per agent
    #[arg(long)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<LabelsCommand>,
}

/// What can be done about what an agent has read.
#[derive(Debug, Subcommand)]
pub enum LabelsCommand {
    /// Forget what an agent has read, as if it were new; that is on record
    Reset {
        /// Which agent
        agent: String,
    },
}

/// `nanoclaw stop`
#[derive(Debug, Args)]
pub struct Stop {
    /// Which agent
    pub agent: String,
}

/// `nanoclaw doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Start a cell and attack it from inside; fails if anything succeeds that should not
    #[arg(long)]
    pub attack: bool,
}

/// `nanoclaw audit`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Show the records
    Tail(Tail),
    /// Search the whole log
    Query(QueryLog),
    /// Write records in a form that other programs take
    Export(ExportLog),
    /// Write a page for an auditor: what was done, what was refused, and whether the log was changed
    Report(ReportLog),
    /// Check that nothing in the log was changed, and say where if it was
    Verify(VerifyLog),
    /// Write the proof that one record is in the log, for somebody who has only its public keys
    Prove(ProveRecord),
    /// Watch logs of other machines: vouch for their checkpoints, unless they were rewritten or rolled back
    Witness(Witness),
    /// Have a witness vouch for this log
    Cosign(Cosign),
}

/// Which records are meant.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Only this agent, or `operator:NAME`, or `system:nanoclaw`
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Only this action, such as `net_connect`
    #[arg(long)]
    pub action: Option<String>,
    /// Only this result: allowed, denied, done, failed or noted
    #[arg(long)]
    pub result: Option<String>,
    /// Only records in which this text stands, in this spelling
    #[arg(long)]
    pub text: Option<String>,
    /// Not before this: `2026-03-21`, `2026-03-21T20:15:30Z`, or a time before now such as `2h`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<jiff::Timestamp>,
    /// Before this
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<jiff::Timestamp>,
}

/// `nanoclaw audit query`
#[derive(Debug, Args)]
pub struct QueryLog {
    #[command(flatten)]
    pub wanted: Wanted,
    /// At most so many records, the oldest ones
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// The records as they are, one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `nanoclaw audit export`
#[derive(Debug, Args)]
pub struct ExportLog {
    #[command(flatten)]
    pub wanted: Wanted,
    /// jsonl (the records as they are), ocsf (events of OCSF 1.8, one a line) or csv
    #[arg(long, value_name = "FORM", default_value = "jsonl")]
    pub format: Format,
    /// Where to write (else to standard output). What is there is replaced once all is written
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `nanoclaw audit report`
#[derive(Debug, Args)]
pub struct ReportLog {
    /// Only this agent, or `operator:NAME`, or `system:nanoclaw`; else all of them
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Not before this: `2026-03-21`, `2026-03-21T20:15:30Z`, or a time before now such as `2h`
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<jiff::Timestamp>,
    /// Before this
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub to: Option<jiff::Timestamp>,
    /// Where to write the page, in HTML. What is there is replaced once all is written
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// A form of records.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    Jsonl,
    Ocsf,
    Csv,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "jsonl" => Ok(Format::Jsonl),
            "ocsf" => Ok(Format::Ocsf),
            "csv" => Ok(Format::Csv),
            _ => Err("use jsonl, ocsf or csv".to_owned()),
        }
    }
}

/// A point in time, or how long before now.
fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    let day =
        || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|at| at.timestamp());
    let before = || jiff::Timestamp::now().checked_sub(nanoclaw_config::parse_timeout(text).ok()?).ok();
    text.parse().ok().or_else(day).or_else(before).ok_or_else(|| {
        "write a day (`2026-03-21`, in UTC), a time (`2026-03-21T20:15:30Z`), or how long ago (`90s`, `2h`)".to_owned()
    })
}

/// `nanoclaw audit verify`
#[derive(Debug, Args)]
pub struct VerifyLog {
    /// The log's public keys, as they stood in its `log.vkey`; else those that lie in the log are taken
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// An earlier `checkpoint` that was held elsewhere: the log must have grown out of it
    #[arg(long = "checkpoint", value_name = "FILE")]
    pub checkpoints: Vec<PathBuf>,
    /// The public keys of a witness, who must vouch for the log
    #[arg(long = "witness", value_name = "FILE")]
    pub witnesses: Vec<PathBuf>,
    /// The report as one JSON object
    #[arg(long)]
    pub json: bool,
    /// The log, such as a copy of it (else the one of the state directory)
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// `nanoclaw audit witness`
#[derive(Debug, Args)]
pub struct Witness {
    /// Where to remember what was vouched for, and the keys
    #[arg(long, value_name = "DIR")]
    pub directory: PathBuf,
    /// What the witness is called, such as `witness.example/1`; no spaces, no `+`
    #[arg(long)]
    pub name: String,
    /// Where to listen, without TLS: what is sent is signed
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: std::net::SocketAddr,
    /// The public keys of a log to watch, as they stand in its `log.vkey`
    #[arg(long = "log", value_name = "FILE", required = true)]
    pub logs: Vec<PathBuf>,
}

/// `nanoclaw audit cosign`
#[derive(Debug, Args)]
pub struct Cosign {
    /// Where the witness is: `https://HOST[:PORT]`, or `http://`
    #[arg(long, value_name = "URL")]
    pub witness: String,
    /// Its public keys, as they stand in its `witness.vkey`
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Certificates of an authority that vouches for the witness's TLS, beside those of the system
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Again and again, with this pause, such as `10s`; else once
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub every: Option<Duration>,
}

/// `nanoclaw audit prove`
#[derive(Debug, Args)]
pub struct ProveRecord {
    /// The number of the record: its `seq`
    pub seq: u64,
    /// Where to write the proof (else to standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `nanoclaw audit tail`
#[derive(Debug, Args)]
pub struct Tail {
    /// Go on with what comes
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last so many records
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Only this agent, or `operator:NAME` (`operator:0` is root on this machine), or `system:nanoclaw`
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// Only this result: allowed, denied, done, failed or noted
    #[arg(long)]
    pub result: Option<String>,
    /// The records as they are, one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `nanoclaw config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check a configuration: every mistake with its place, and what is read but not enforced
    Check {
        /// The configuration
        #[arg(default_value = "nanoclaw-config.yaml")]
        file: PathBuf,
    },
    /// Print the JSON Schema of configurations
    Schema,
}

/// What decides which action of which agent is done.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Print every policy that holds: NanoClaw's own, those that the configuration's rules stand for, and those of files
    Show {
        /// The configuration
        #[arg(short, long, default_value = "nanoclaw-config.yaml")]
        config: PathBuf,
        /// Only what concerns this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// Check a configuration and the policies that it names, as `nanoclaw config check` does
    Check {
        /// The configuration
        #[arg(default_value = "nanoclaw-config.yaml")]
        file: PathBuf,
        /// The same, as the other commands take it
        #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
    },
    /// Print the schema that policies are checked against
    Schema,
    /// Say what would be decided, by which policies, and what would change it
    ///
    /// Such as `nanoclaw policy explain analyst tool_call shell command="git status"`. Ends with 0 if it would be
    /// allowed, at once or if people agree, with 1 if it would be refused.
    ///
    /// AGENT may say what was read before, and that a trusted user said all arguments:
    /// `'analyst[untrusted,confidential,vouched]'`.
    /// ACTION is `net_resolve`, `net_connect`, `http_request`, `net_datagram`, `file_write`, `exec`, `syscall`,
    /// `model_call` or `tool_call`.
    /// RESOURCE is a name, HOST:PORT, ADDRESS:PORT, a path, a program, a system call, a model or a tool. Behind it stand
    /// the arguments of a tool call; `address`, `evidence` of a connection; `method`, `path` of a request; `command` of a
    /// program.
    Explain {
        /// The configuration
        #[arg(short, long, default_value = "nanoclaw-config.yaml")]
        config: PathBuf,
        /// Instead: the decision that the audit log has under this number
        #[arg(long, conflicts_with = "question")]
        seq: Option<u64>,
        /// What is asked; more about it as KEY=VALUE
        #[arg(required_unless_present = "seq", num_args = 3.., value_names = ["AGENT", "ACTION", "RESOURCE"])]
        question: Vec<String>,
    },
    /// Say what one configuration decides differently from another
    ///
    /// Ends with 0 if nothing is newly allowed, with 1 if something is.
    Diff {
        /// The configuration before
        old: PathBuf,
        /// The configuration after
        new: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Propose rules that would have allowed what an agent was refused
    ///
    /// Reads the audit log. Nothing is allowed by it: the rules are for a person to read, and to put into the configuration.
    Learn {
        /// The configuration
        #[arg(short, long, default_value = "nanoclaw-config.yaml")]
        config: PathBuf,
        /// Which agent
        #[arg(value_parser = CellId::parse)]
        agent: CellId,
        /// Only what was refused from this record on
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        since: u64,
        /// Only these kinds of actions: some of `net_connect`, `http_request`, `tool_call`, `exec`, `file_write`, `model_call`,
        /// with commas between
        #[arg(long, value_delimiter = ',', value_name = "ACTION")]
        kinds: Vec<nanoclaw_server::learn::Kind>,
        /// A new file to write to; else standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Play recorded sessions, and say what would be decided on each call
    ///
    /// A session is a line of JSON: `{"id": "1", "user": "what the user says", "steps": [{"call": {"name": "send_email",
    /// "arguments": {}}, "result": "sent"}]}`. A line of JSON is printed for each. Results are read whatever is decided, and
    /// nobody approves of anything.
    Replay {
        /// The configuration
        #[arg(short, long, default_value = "nanoclaw-config.yaml")]
        config: PathBuf,
        /// Whose sessions they are
        agent: String,
        /// The sessions; `-` is standard input
        file: PathBuf,
    },
    /// Prove what is never allowed, for every request that there can be, or show one that is
    ///
    /// Takes the solver cvc5. Ends with 0 if all is proven, with 1 if something is refuted, with 2 if something is not
    /// decided.
    Prove(Prove),
    /// Compare decisions with a table of expected ones
    ///
    /// Each line is `allow`, `ask` or `deny` and a question as `explain` takes it; a line that begins with `#` is a
    /// comment. Ends with 0 if all is as expected, with 1 if something is not.
    Test {
        /// The configuration
        #[arg(short, long, default_value = "nanoclaw-config.yaml")]
        config: PathBuf,
        /// The table; `-` is standard input
        file: PathBuf,
    },
}

/// `nanoclaw policy prove`
#[derive(Debug, Args)]
pub struct Prove {
    /// The configuration
    #[arg(short, long, default_value = "nanoclaw-config.yaml")]
    pub config: PathBuf,
    /// The solver (else the variable CVC5, else `cvc5` on the PATH)
    #[arg(long, value_name = "PROGRAM")]
    pub solver: Option<PathBuf>,
    /// Longest time for one question to the solver (else 30s)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub limit: Option<Duration>,
    /// `never AGENT|group:GROUP|any ACTION [unasked] [when EXPRESSION]`, `never-errors`, or a file with a line of that for
    /// each statement
    pub statement: String,
}

fn text<T>(result: Result<T, nanoclaw_config::ValueError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn rootfs(value: &str) -> Result<Rootfs, String> {
    let base = std::env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
    text(nanoclaw_config::parse_rootfs(value, &base))
}

fn read_only(value: &str) -> Result<Mount, String> {
    mount(value, MountMode::Ro)
}

fn writable(value: &str) -> Result<Mount, String> {
    mount(value, MountMode::Rw)
}

fn mount(value: &str, mode: MountMode) -> Result<Mount, String> {
    let base = std::env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
    text(nanoclaw_config::parse_mount(value, mode, &base))
}

fn network(value: &str) -> Result<NetRule, String> {
    text(nanoclaw_config::parse_net_rule(&format!("--allow-net {value}"), value))
}

fn variable(value: &str) -> Result<(String, String), String> {
    text(nanoclaw_config::parse_env(value))
}

fn memory(value: &str) -> Result<u64, String> {
    text(nanoclaw_config::parse_memory(value))
}

fn disk(value: &str) -> Result<u64, String> {
    text(nanoclaw_config::parse_disk(value))
}

fn pids(value: &str) -> Result<u32, String> {
    text(nanoclaw_config::parse_pids(value))
}

fn files(value: &str) -> Result<u32, String> {
    text(nanoclaw_config::parse_files(value))
}

fn cpus(value: &str) -> Result<u32, String> {
    text(nanoclaw_config::parse_cpus(value))
}

fn time(value: &str) -> Result<Duration, String> {
    text(nanoclaw_config::parse_timeout(value))
}
