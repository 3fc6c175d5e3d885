//! How nf_tables rules are said in netlink: the vocabulary ([`Match`], [`Act`]) and the transaction ([`Batch`]).
//!
//! Attribute numbers are those of `linux/netfilter/nf_tables.h`. A message knows its
//! [`Step`], so that the kernel's refusal of it can be told as what is missing.
//!
//! A transaction here only adds. One that also changed something would leave the kernel work for later, and closing its
//! socket would wait for that: 15 ms were measured, thirty times what all of this takes.

use super::log;
use super::netlink::{self, Attributes, Messages, Socket};
use super::{NetError, Step};

const TABLE: &str = "nanoclaw";
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`; the subsystem they are for stands in their header.
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const SUBSYSTEM: u8 = 10;
/// `struct nfgenmsg` of the messages around a batch: family, version, subsystem.
const SUBSYSTEM_HEADER: [u8; 4] = [0, 0, 0, SUBSYSTEM];
const NEW_TABLE: u16 = (SUBSYSTEM as u16) << 8;
const NEW_CHAIN: u16 = NEW_TABLE | 3;
const NEW_RULE: u16 = NEW_TABLE | 6;
/// `NFPROTO_INET`: a table for IPv4 and IPv6 at once. The kernel has it only where it has IPv6.
const FAMILY_INET: u8 = 1;
pub(super) const FAMILY_V4: u8 = 2;
pub(super) const FAMILY_V6: u8 = 10;
/// `NF_INET_LOCAL_OUT`.
const HOOK_OUTPUT: u32 = 3;
/// `NF_IP_PRI_NAT_DST`, `NF_IP_PRI_FILTER`.
const PRIORITY_NAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const REGISTER: u32 = 1;

/// The two chains of a cell, both on the way out of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// Chooses where a connection goes.
    Door,
    /// Decides whether a packet goes at all; what no rule accepts is dropped.
    Fence,
}

/// What a rule asks of a packet, in the order it is asked. Later ones may rely on earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// `meta nfproto`
    Family(u8),
    /// `meta l4proto`
    Protocol(u8),
    /// `meta l4proto !=`
    NotProtocol(u8),
    /// Bytes of the IP header; needs [`Match::Family`].
    Address { offset: u32, bytes: Vec<u8> },
    /// The bytes are others.
    NotAddress { offset: u32, bytes: Vec<u8> },
    /// Destination port; needs a protocol that has them in the place where TCP and UDP do.
    Port(u16),
    /// `ct direction reply`
    Reply,
    /// `ct state related`
    Related,
}

/// What happens to a packet that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Accept,
    /// To this port of the loopback address.
    Redirect(u16),
    /// Log, then drop.
    Refuse,
}

/// What it asks, all of it, and what then happens.
pub(super) type Rule = (Vec<Match>, Act);

/// A transaction: it makes the table, and what is added to it, when it is committed.
pub(super) struct Batch {
    messages: Messages,
    /// Which message is which step.
    steps: Vec<(u32, Step)>,
    v6: bool,
}

impl Batch {
    /// Begins with the table, for both address families or, without `v6`, for IPv4 alone.
    pub(super) fn new(v6: bool) -> Self {
        let mut batch = Self { messages: Messages::default(), steps: Vec::new(), v6 };
        batch.messages.push(BATCH_BEGIN, 0, &SUBSYSTEM_HEADER, |_| {});
        batch.push(NEW_TABLE, netlink::CREATE | netlink::EXCL, Step::Table, |table| table.text(1, TABLE));
        batch
    }

    /// Makes a chain.
    pub(super) fn chain(&mut self, chain: Chain) {
        let (kind, priority, policy, step) = match chain {
            Chain::Door => ("nat", PRIORITY_NAT, ACCEPT, Step::NatChain),
            Chain::Fence => ("filter", PRIORITY_FILTER, DROP, Step::FilterChain),
        };
        self.push(NEW_CHAIN, netlink::CREATE, step, |attributes| {
            attributes.text(1, TABLE);
            attributes.text(3, chain.name());
            attributes.text(7, kind);
            attributes.number(5, policy);
            attributes.nested(4, |hook| {
                hook.number(1, HOOK_OUTPUT);
                hook.raw(2, &priority.to_be_bytes());
            });
        });
    }

    /// Adds a rule at the end of a chain. One that asks for IPv6 is left out where the table has none.
    pub(super) fn rule(&mut self, chain: Chain, (matches, act): &Rule) {
        if !self.v6 && matches.contains(&Match::Family(FAMILY_V6)) {
            return;
        }
        let tracks = matches.iter().any(|each| matches!(each, Match::Reply | Match::Related));
        let step = match act {
            Act::Redirect(_) => Step::Redirect,
            Act::Refuse => Step::LogRule,
            Act::Accept if tracks => Step::Tracking,
            Act::Accept => Step::Accept,
        };
        self.push(NEW_RULE, netlink::CREATE | netlink::APPEND, step, |rule| {
            rule.text(1, TABLE);
            rule.text(2, chain.name());
            rule.nested(4, |expressions| {
                for each in matches {
                    each.write(expressions);
                }
                act.write(expressions);
            });
        });
    }

    /// Hands the transaction to the kernel, which takes all of it or nothing.
    pub(super) fn commit(mut self, socket: &Socket) -> Result<(), NetError> {
        // The kernel answers in order, and errors in any case, so the answer to the last message says it all.
        let last = self.messages.acknowledge_last();
        self.messages.push(BATCH_END, 0, &SUBSYSTEM_HEADER, |_| {});
        socket.ask(&self.messages, last).map_err(|refused| {
            let step = self.steps.iter().find(|(number, _)| *number == refused.message);
            step.map_or(Step::Netfilter, |(_, step)| *step).failed(refused.errno)
        })
    }

    fn push(&mut self, kind: u16, flags: u16, step: Step, fill: impl FnOnce(&mut Attributes<'_>)) {
        let family = if self.v6 { FAMILY_INET } else { FAMILY_V4 };
        let number = self.messages.push(kind, flags, &[family, 0, 0, 0], fill);
        self.steps.push((number, step));
    }
}

impl Chain {
    fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Fence => "fence",
        }
    }
}

/// One expression of the nf_tables machine: its name and its parameters.
fn expression(list: &mut Attributes<'_>, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
    list.nested(1, |element| {
        element.text(1, name);
        element.nested(2, fill);
    });
}

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

fn compare(list: &mut Attributes<'_>, operator: u32, bytes: &[u8]) {
    expression(list, "cmp", |cmp| {
        cmp.number(1, REGISTER);
        cmp.number(2, operator);
        cmp.nested(3, |data| data.raw(1, bytes));
    });
}

/// `meta`: `key` is 15 for the address family (`NFT_META_NFPROTO`), 16 for the protocol (`NFT_META_L4PROTO`).
fn meta(list: &mut Attributes<'_>, key: u32) {
    expression(list, "meta", |meta| {
        meta.number(2, key);
        meta.number(1, REGISTER);
    });
}

/// `payload`: bytes of the network header (`base` 1) or of the transport header (2).
fn payload(list: &mut Attributes<'_>, base: u32, offset: u32, length: usize) {
    expression(list, "payload", |payload| {
        payload.number(1, REGISTER);
        payload.number(2, base);
        payload.number(3, offset);
        payload.number(4, u32::try_from(length).unwrap_or(u32::MAX));
    });
}

/// `ct`: `key` is 0 for the state, 1 for the direction.
fn ct(list: &mut Attributes<'_>, key: u32) {
    expression(list, "ct", |ct| {
        ct.number(2, key);
        ct.number(1, REGISTER);
    });
}

fn verdict(list: &mut Attributes<'_>, code: u32) {
    expression(list, "immediate", |immediate| {
        immediate.number(1, 0);
        immediate.nested(2, |data| data.nested(2, |verdict| verdict.number(1, code)));
    });
}

impl Match {
    fn write(&self, list: &mut Attributes<'_>) {
        match self {
            Self::Family(family) => {
                meta(list, 15);
                compare(list, EQUAL, &[*family]);
            }
            Self::Protocol(protocol) => {
                meta(list, 16);
                compare(list, EQUAL, &[*protocol]);
            }
            Self::NotProtocol(protocol) => {
                meta(list, 16);
                compare(list, NOT_EQUAL, &[*protocol]);
            }
            Self::Address { offset, bytes } => {
                payload(list, 1, *offset, bytes.len());
                compare(list, EQUAL, bytes);
            }
            Self::NotAddress { offset, bytes } => {
                payload(list, 1, *offset, bytes.len());
                compare(list, NOT_EQUAL, bytes);
            }
            Self::Port(port) => {
                payload(list, 2, 2, 2);
                compare(list, EQUAL, &port.to_be_bytes());
            }
            Self::Reply => {
                ct(list, 1);
                compare(list, EQUAL, &[1]); // IP_CT_DIR_REPLY
            }
            Self::Related => {
                ct(list, 0);
                expression(list, "bitwise", |bitwise| {
                    bitwise.number(1, REGISTER);
                    bitwise.number(2, REGISTER);
                    bitwise.number(3, 4);
                    bitwise.nested(4, |mask| mask.raw(1, &4_u32.to_ne_bytes())); // the bit of IP_CT_RELATED
                    bitwise.nested(5, |xor| xor.raw(1, &0_u32.to_ne_bytes()));
                });
                compare(list, NOT_EQUAL, &0_u32.to_ne_bytes());
            }
        }
    }
}

impl Act {
    fn write(self, list: &mut Attributes<'_>) {
        match self {
            Self::Accept => verdict(list, ACCEPT),
            Self::Redirect(port) => {
                expression(list, "immediate", |immediate| {
                    immediate.number(1, REGISTER);
                    immediate.nested(2, |data| data.raw(1, &port.to_be_bytes()));
                });
                expression(list, "redir", |redir| {
                    redir.number(1, REGISTER);
                    redir.number(3, 2); // NF_NAT_RANGE_PROTO_SPECIFIED
                });
            }
            Self::Refuse => {
                expression(list, "log", |to| {
                    to.raw(1, &log::GROUP.to_be_bytes());
                    to.number(3, log::SNAPLEN);
                });
                verdict(list, DROP);
            }
        }
    }
}

#[cfg(test)]
mod tests;
