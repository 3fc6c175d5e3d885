//! The operator's side of the control socket.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nanoclaw_gate::{Answered, Question, Shelf};
use nanoclaw_sandbox::wire;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Answer, Request};
use crate::fleet::Status;
use crate::reload::Reloaded;
use crate::state::State;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no fleet is running from state directory `{0}`; start one with `nanoclaw up`, or name its directory with `--state-dir DIR`"
    )]
    NoFleet(std::path::PathBuf),
    /// It was refused.
    #[error("{0}")]
    Refused(String),
    /// The program could not be started.
    #[error("{why}")]
    NotRun {
        /// Why, as the kernel says it.
        errno: i32,
        /// Why, as people say it.
        why: String,
    },
    /// The connection broke.
    #[error("the control plane did not answer: {0}")]
    Broken(#[from] io::Error),
}

/// A connection to a running fleet.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

/// An answer.
#[derive(Debug)]
pub enum Reply {
    /// What every agent is doing.
    Cells(Vec<Status>),
    /// What waits for people's answers.
    Questions(Vec<Question>),
    /// What is withheld from an agent's model.
    Withheld(Shelf),
    /// What an answer did.
    Answered(Answered),
    /// The log.
    Log(File),
    /// The program runs.
    Started {
        /// Its terminal.
        terminal: Option<OwnedFd>,
    },
    /// Events come on this socket.
    Events(UnixStream),
    /// It is under way.
    Done,
    /// The configuration was read again.
    Reloaded(Box<Reloaded>),
    /// The fleet is ending.
    Ending {
        /// The control plane's process.
        process: OwnedFd,
    },
}

impl Client {
    /// Connects to the fleet of this state directory.
    pub fn connect(state: &State) -> Result<Self, ClientError> {
        let no_fleet = || ClientError::NoFleet(state.directory().to_path_buf());
        let address = SocketAddrUnix::new(state.control_socket()).map_err(io::Error::from)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(io::Error::from)?;
        rustix::net::connect(&socket, &address).map_err(|_| no_fleet())?;
        Ok(Self { socket })
    }

    /// Asks once.
    pub fn ask(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Reply, ClientError> {
        wire::send(&self.socket, request, descriptors)?;
        let (answer, fds) = self.receive()?;
        let mut fds = fds.into_iter();
        let mut one = || fds.next().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
        Ok(match answer {
            Answer::Cells => Reply::Cells(wire::from_memory(one()?)?),
            Answer::Questions => Reply::Questions(wire::from_memory(one()?)?),
            Answer::Withheld => Reply::Withheld(wire::from_memory(one()?)?),
            Answer::Answered(answered) => Reply::Answered(answered),
            Answer::Log => Reply::Log(one()?.into()),
            Answer::Started => Reply::Started { terminal: fds.next() },
            Answer::Events => Reply::Events(one()?.into()),
            Answer::Done => Reply::Done,
            Answer::Reloaded => Reply::Reloaded(Box::new(wire::from_memory(one()?)?)),
            Answer::Ending => Reply::Ending { process: one()? },
            Answer::Refused(why) => return Err(ClientError::Refused(why)),
            Answer::NotRun { errno, why } => return Err(ClientError::NotRun { errno, why }),
            Answer::Exited(_) => return Err(ClientError::Broken(io::ErrorKind::InvalidData.into())),
        })
    }

    /// After [`Reply::Started`]: waits for the program's exit status, or 128 + signal.
    pub fn wait(&self) -> Result<i32, ClientError> {
        match self.receive()?.0 {
            Answer::Exited(status) => Ok(status),
            Answer::Refused(why) => Err(ClientError::Refused(why)),
            Answer::Cells
            | Answer::Questions
            | Answer::Withheld
            | Answer::Answered(_)
            | Answer::Log
            | Answer::Started
            | Answer::NotRun { .. }
            | Answer::Events
            | Answer::Done
            | Answer::Reloaded
            | Answer::Ending => Err(ClientError::Broken(io::ErrorKind::InvalidData.into())),
        }
    }

    fn receive(&self) -> Result<(Answer, Vec<OwnedFd>), ClientError> {
        Ok(wire::receive(self.socket.as_fd())?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?)
    }
}
