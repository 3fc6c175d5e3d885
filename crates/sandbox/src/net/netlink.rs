//! Netlink messages: writing them with checked lengths, sending them, waiting for the kernel's answer.
//!
//! The central type is [`Messages`], one buffer of messages that the kernel takes in one send (for nf_tables: one
//! transaction). Formats are those of netlink(7), rtnetlink(7) and `linux/netfilter/nfnetlink.h`. The same reader
//! ([`records`], [`attributes`]) serves answers and logged packets; it never reads past the bytes it is given.

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, netlink};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Length of a message header (`struct nlmsghdr`), in bytes.
const HEADER: usize = 16;
/// Marks an attribute that holds attributes (`NLA_F_NESTED`).
const NESTED: u16 = 1 << 15;
/// The kinds that answers have (`NLMSG_ERROR`).
const ERROR: u16 = 2;

/// `NLM_F_REQUEST`: every message to the kernel has it.
pub(super) const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: answer also when all is well.
pub(super) const ACK: u16 = 0x4;
/// `NLM_F_EXCL`: the thing must not be there yet.
pub(super) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make the thing.
pub(super) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: put it last.
pub(super) const APPEND: u16 = 0x800;

/// Rounds up to netlink's alignment of four bytes.
const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

/// Messages of one send, numbered from 1.
#[derive(Default)]
pub(super) struct Messages {
    bytes: Vec<u8>,
    count: u32,
    /// Where the last message begins.
    last: usize,
    too_long: bool,
}

impl Messages {
    /// Adds a message: its `kind`, its `flags` besides [`REQUEST`], the fixed header of its family, its attributes.
    /// Returns its number, by which the kernel names it in an answer.
    pub(super) fn push(&mut self, kind: u16, flags: u16, fixed: &[u8], fill: impl FnOnce(&mut Attributes<'_>)) -> u32 {
        self.count += 1;
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(fixed);
        let mut attributes = Attributes { bytes: &mut self.bytes, too_long: &mut self.too_long };
        attributes.pad();
        fill(&mut attributes);
        let length = self.bytes.len() - start;
        match (u32::try_from(length), self.bytes.get_mut(start..start + 4)) {
            (Ok(length), Some(place)) => place.copy_from_slice(&length.to_ne_bytes()),
            _ => self.too_long = true,
        }
        self.count
    }

    /// Asks for an answer to the message that was added last, and returns its number.
    pub(super) fn acknowledge_last(&mut self) -> u32 {
        // The flags are the 16 bits after length and kind; ACK is in one byte of them or the other.
        let [first, second] = ACK.to_ne_bytes();
        if let Some([one, other]) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            *one |= first;
            *other |= second;
        }
        self.count
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// `EMSGSIZE` if an attribute or a message did not fit into its length field.
    pub(super) fn bytes(&self) -> Result<&[u8], Errno> {
        if self.too_long { Err(Errno::MSGSIZE) } else { Ok(&self.bytes) }
    }
}

/// The attributes of one message, or of one attribute that holds others.
pub(super) struct Attributes<'a> {
    bytes: &'a mut Vec<u8>,
    too_long: &'a mut bool,
}

impl Attributes<'_> {
    /// Bytes as they are.
    pub(super) fn raw(&mut self, kind: u16, value: &[u8]) {
        self.framed(kind, |attributes| attributes.bytes.extend_from_slice(value));
    }

    /// A 32-bit number in network order.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.raw(kind, &value.to_be_bytes());
    }

    /// A text with the zero byte that ends it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.framed(kind, |attributes| {
            attributes.bytes.extend_from_slice(value.as_bytes());
            attributes.bytes.push(0);
        });
    }

    /// An attribute that holds the attributes that `fill` adds.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        self.framed(kind | NESTED, fill);
    }

    fn framed(&mut self, kind: u16, fill: impl FnOnce(&mut Attributes<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&0_u16.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(&mut Attributes { bytes: self.bytes, too_long: self.too_long });
        let length = self.bytes.len() - start;
        match (u16::try_from(length), self.bytes.get_mut(start..start + 2)) {
            (Ok(length), Some(place)) => place.copy_from_slice(&length.to_ne_bytes()),
            _ => *self.too_long = true,
        }
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }
}

/// A netlink socket of the caller's network namespace.
pub(super) struct Socket(OwnedFd);

/// What the kernel refused: the number of the message and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) message: u32,
    pub(super) errno: Errno,
}

impl Socket {
    /// Opens a socket of `protocol`; `None` is routing (`NETLINK_ROUTE`).
    pub(super) fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol).map(Self)
    }

    /// Sends `messages` and waits for the answer to the `last` of them (it must carry [`ACK`]), or the first refusal.
    ///
    /// The kernel works synchronously: the answer is there when the send returns, so this does not block for long.
    pub(super) fn ask(&self, messages: &Messages, last: u32) -> Result<(), Refused> {
        let failed = |errno| Refused { message: last, errno };
        let bytes = messages.bytes().map_err(failed)?;
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        let sent = rustix::net::sendto(&self.0, bytes, SendFlags::empty(), &kernel).map_err(failed)?;
        if sent != bytes.len() {
            return Err(failed(Errno::MSGSIZE));
        }
        let mut buffer = [0_u8; 8192];
        loop {
            let Some(answer) = receive(self.0.as_fd(), &mut buffer).map_err(failed)? else { continue };
            for record in records(answer).filter(|record| record.kind == ERROR) {
                match record.answer() {
                    Some(Ok(())) if record.number == last => return Ok(()),
                    Some(Ok(())) => {}
                    Some(Err(errno)) => return Err(Refused { message: record.number, errno }),
                    None => return Err(failed(Errno::BADMSG)),
                }
            }
        }
    }

    /// The socket itself.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.0
    }
}

/// Receives one datagram; `None` if it was not the kernel that sent it.
pub(super) fn receive<'a>(fd: BorrowedFd<'_>, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Errno> {
    let (received, from) = rustix::io::retry_on_intr(|| {
        rustix::net::recvfrom(fd, &mut *buffer, RecvFlags::empty()).map(|(_, length, from)| (length, from))
    })?;
    let from_kernel = from.is_some_and(|from: SocketAddrAny| {
        netlink::SocketAddrNetlink::try_from(from).is_ok_and(|from| from.pid() == 0)
    });
    Ok(buffer.get(..received).filter(|_| from_kernel))
}

/// One received message.
pub(super) struct Record<'a> {
    /// `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_seq`: the number of the message it answers.
    pub(super) number: u32,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

impl Record<'_> {
    /// What an `NLMSG_ERROR` says: done, or the error. `None` if the code is no error number.
    fn answer(&self) -> Option<Result<(), Errno>> {
        match i32::from_ne_bytes(*self.body.first_chunk()?).checked_neg()? {
            0 => Some(Ok(())),
            code @ 1..4096 => Some(Err(Errno::from_raw_os_error(code))),
            _ => None,
        }
    }
}

/// The messages in `bytes`, up to the first one whose length cannot be.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let message = rest.get(..length)?;
        let record = Record {
            kind: u16::from_ne_bytes(*message.get(4..)?.first_chunk()?),
            number: u32::from_ne_bytes(*message.get(8..)?.first_chunk()?),
            body: message.get(HEADER..)?,
        };
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(record)
    })
}

/// The attributes in `bytes` as (kind, value), up to the first one whose length cannot be.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..length)?;
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some((kind & !NESTED, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_cover_the_content_and_padding_follows_it() {
        let mut messages = Messages::default();
        let number = messages.push(0x0a00, CREATE, &[1, 0, 0, 0], |attributes| {
            attributes.text(1, "nanoclaw");
            attributes.nested(4, |hook| hook.number(1, 3));
        });
        assert_eq!(number, 1);
        #[rustfmt::skip]
        let expected = [
            48, 0, 0, 0,  0x00, 0x0a, 0x01, 0x04,  1, 0, 0, 0,  0, 0, 0, 0,
            1, 0, 0, 0,
            13, 0, 1, 0, b'n', b'a', b'n', b'o', b'c', b'l', b'a', b'w', 0, 0, 0, 0,
            12, 0, 4, 0x80, 8, 0, 1, 0, 0, 0, 0, 3,
        ];
        assert_eq!(messages.bytes(), Ok(&expected[..]));
    }

    #[test]
    fn an_answer_is_asked_for_to_the_last_message_alone() {
        let mut messages = Messages::default();
        messages.push(7, CREATE, &[], |_| {});
        messages.push(8, CREATE, &[], |_| {});
        assert_eq!(messages.acknowledge_last(), 2);
        let bytes = messages.bytes().unwrap();
        assert_eq!((&bytes[6..8], &bytes[22..24]), (&0x401_u16.to_ne_bytes()[..], &0x405_u16.to_ne_bytes()[..]));
    }

    #[test]
    fn an_attribute_longer_than_its_length_field_is_an_error() {
        let mut messages = Messages::default();
        messages.push(0, 0, &[], |attributes| attributes.raw(1, &vec![0; 0x1_0000]));
        assert_eq!(messages.bytes(), Err(Errno::MSGSIZE));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut messages = Messages::default();
        messages.push(7, 0, &[9; 4], |attributes| attributes.raw(3, b"abcde"));
        messages.push(8, 0, &[9; 4], |attributes| attributes.nested(5, |inner| inner.number(1, 2)));
        let read: Vec<_> = records(messages.bytes().unwrap())
            .map(|record| (record.kind, record.number, attributes(&record.body[4..]).collect::<Vec<_>>()))
            .collect();
        assert_eq!(read, [(7, 1, vec![(3, &b"abcde"[..])]), (8, 2, vec![(5, &[8, 0, 1, 0, 0, 0, 0, 2][..])])]);
    }

    #[test]
    fn impossible_lengths_end_the_reading() {
        assert_eq!(records(&[0xff; 64]).count(), 0);
        assert_eq!(records(&[0; 64]).count(), 0, "a message shorter than its header");
        assert_eq!(attributes(&[3, 0, 1, 0, 9, 9, 9, 9]).count(), 0, "an attribute shorter than its header");
        assert_eq!(attributes(&[9, 0, 1, 0, 9, 9, 9, 9]).count(), 0, "an attribute longer than what is there");
    }

    #[test]
    fn an_answer_is_told_from_an_acknowledgement() {
        let answer = |code: i32| {
            let mut bytes = vec![20, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(code.to_ne_bytes());
            bytes
        };
        let read = |bytes: &[u8]| records(bytes).map(|record| (record.number, record.answer())).collect::<Vec<_>>();
        assert_eq!(read(&answer(0)), [(5, Some(Ok(())))]);
        assert_eq!(read(&answer(-2)), [(5, Some(Err(Errno::NOENT)))]);
        assert_eq!(read(&answer(i32::MIN)), [(5, None)]);
        assert_eq!(read(&answer(1)), [(5, None)]);
    }
}
