//! The program that proves, and how it is asked.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cedar_policy::RequestEnv;
use cedar_policy::Schema;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, Env, WellFormedAsserts};
use tokio::process::Command;
use tokio::runtime::Runtime;

/// Longest time that a solver may take for one question unless it is told another.
pub const LONGEST_PROOF: Duration = Duration::from_secs(30);
/// How much longer than it should a solver may take before it is ended.
const GRACE: Duration = Duration::from_secs(1);
/// The stack of the thread that proves, in bytes: formulas nest as deeply as there are policies.
const STACK: usize = 256 * 1024 * 1024;
/// Most memory that a solver may take, in bytes; then it ends, and nothing is proven.
const MOST_MEMORY: u64 = 4 * 1024 * 1024 * 1024;
/// The variable that names a solver.
const VARIABLE: &str = "CVC5";
/// The solver, and the package that has it.
const CVC5: &str = "cvc5";

/// Why nothing can be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProverError {
    /// The solver is not there.
    #[error(
        "`{0}` cannot be run: {1}; proofs need the solver cvc5: install the package `cvc5`, or name the program with --solver or {VARIABLE}"
    )]
    Missing(PathBuf, io::Error),
    /// This program's own fault, or the machine's.
    #[error("{0}")]
    Broken(String),
}

/// A solver that is there, warm between questions.
#[derive(Debug)]
pub struct Prover {
    program: PathBuf,
    limit: Duration,
    runtime: Runtime,
    pub(crate) schema: Schema,
    warm: Option<CedarSymCompiler<LocalSolver>>,
}

/// What a solver says to the question whether there is an example.
pub(crate) enum Found {
    /// There is none.
    Nothing,
    /// This one.
    Example(Box<Env>),
    /// It does not know, and why.
    Unknown(String),
}

/// Where a program is, as a shell finds it.
fn find(program: &Path) -> io::Result<PathBuf> {
    let everywhere = std::env::var_os("PATH").unwrap_or_default();
    let here = program.components().count() > 1;
    let mut places = std::env::split_paths(&everywhere).map(|place| place.join(program));
    let found = if here { Some(program.to_path_buf()) } else { places.find(|place| place.is_file()) };
    let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    if std::fs::metadata(&found)?.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(found)
}

impl Prover {
    /// One that asks the program `chosen`; else what the variable `CVC5` names; else `cvc5` where programs are. It takes at
    /// most `limit` for one question.
    ///
    /// # Errors
    /// There is no such program.
    pub fn new(chosen: Option<&Path>, limit: Duration) -> Result<Self, ProverError> {
        let program = chosen.map(Path::to_path_buf).or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        let program = program.unwrap_or_else(|| CVC5.into());
        let broken = |error: &dyn std::fmt::Display| ProverError::Broken(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| broken(&e))?;
        let (schema, _) = Schema::from_cedarschema_str(nanoclaw_policy::SCHEMA).map_err(|error| broken(&error))?;
        let mut prover = Self { program, limit, runtime, schema, warm: None };
        prover.warm = Some(prover.start()?);
        Ok(prover)
    }

    fn start(&self) -> Result<CedarSymCompiler<LocalSolver>, ProverError> {
        let _inside = self.runtime.enter();
        let limit = format!("--tlimit-per={}", self.limit.as_millis());
        // Arguments of tools are sets of texts, for which cvc5 before 1.1 must be told.
        let arguments = [OsStr::new("--lang"), OsStr::new("smt"), OsStr::new("--strings-exp"), OsStr::new(&limit)];
        let missing = |error: io::Error| ProverError::Missing(self.program.clone(), error);
        let program = find(&self.program).map_err(missing)?;
        // A shell sets the limit and becomes the solver: setting it between fork and exec is no safe code.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -v \"$0\" && exec \"$@\""]).arg((MOST_MEMORY / 1024).to_string());
        command.arg(program).args(arguments).kill_on_drop(true);
        let solver = match LocalSolver::from_command(&mut command) {
            Ok(solver) => solver,
            Err(cedar_policy_symcc::err::SolverError::Io(error)) => return Err(missing(error)),
            Err(error) => return Err(ProverError::Broken(error.to_string())),
        };
        CedarSymCompiler::new(solver).map_err(|error| ProverError::Broken(error.to_string()))
    }

    /// Asks whether all of it can be so at once.
    pub(crate) fn solve(&mut self, asserts: &WellFormedAsserts<'_>) -> Found {
        let mut compiler = match self.warm.take().map_or_else(|| self.start(), Ok) {
            Ok(compiler) => compiler,
            Err(error) => return Found::Unknown(error.to_string()),
        };
        let limit = self.limit.saturating_add(GRACE);
        let answer = self.runtime.block_on(async { tokio::time::timeout(limit, compiler.check_sat(asserts)).await });
        match answer {
            // It ends with the value that is dropped here.
            Err(_) => Found::Unknown(format!("the solver took longer than {:?}", self.limit)),
            Ok(Err(Error::SolverUnknown)) => Found::Unknown(format!("the solver found no answer in {:?}", self.limit)),
            // What it will say next is anybody's guess.
            Ok(Err(error)) => Found::Unknown(error.to_string()),
            Ok(Ok(None)) => {
                self.warm = Some(compiler);
                Found::Nothing
            }
            Ok(Ok(Some(example))) => {
                self.warm = Some(compiler);
                Found::Example(Box::new(example))
            }
        }
    }

    /// Does what takes a deep stack.
    pub(crate) fn deep<T: Send>(&mut self, work: impl FnOnce(&mut Self) -> T + Send) -> Result<T, String> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || work(self));
            let thread = thread.map_err(|error| format!("no thread to prove with: {error}"))?;
            thread.join().map_err(|_| "the proof failed within this program".to_owned())
        })
    }

    /// The kinds of request that an action of agents can be. There is one.
    pub(crate) fn environment(&self, action: &str) -> Option<RequestEnv> {
        let is = |environment: &RequestEnv| {
            environment.principal().basename() == "Agent" && environment.action().id().unescaped() == action
        };
        self.schema.request_envs().find(is)
    }
}
