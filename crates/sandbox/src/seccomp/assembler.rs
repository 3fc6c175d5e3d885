//! Classic BPF programs, put together from blocks.
//!
//! A block ends in a verdict on every path, and jumps only forwards and only inside itself, so blocks can be nested
//! without labels. [`branch`] is the only maker of jumps: it takes the two sides whole, so an offset cannot point
//! outside them, and it spells a jump that is too long for eight bits as a short one around a long one.

/// One instruction, as the kernel takes it (`struct sock_filter`, linux/filter.h).
pub type Instruction = libc::sock_filter;

/// Instructions that give a verdict on every path.
pub(super) type Block = Vec<Instruction>;

/// Byte offsets in `struct seccomp_data` (linux/seccomp.h).
pub(super) const NUMBER: u32 = 0;
/// See [`NUMBER`].
pub(super) const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What a jump asks of the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// It is this value.
    Equal(u32),
    /// It is this value or more, unsigned.
    AtLeast(u32),
    /// It has one of these bits.
    AnyBit(u32),
}

/// Loads 32 bits of `struct seccomp_data` at a byte offset.
pub(super) fn load(offset: u32) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

/// Loads the low half of an argument. Both machines are little-endian.
pub(super) fn load_low(argument: u8) -> Instruction {
    load(ARGUMENTS + 8 * u32::from(argument))
}

/// Loads the high half of an argument.
pub(super) fn load_high(argument: u8) -> Instruction {
    load(ARGUMENTS + 8 * u32::from(argument) + 4)
}

/// Keeps these bits of the accumulator.
pub(super) fn keep(mask: u32) -> Instruction {
    statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask)
}

/// The block that gives this verdict (`SECCOMP_RET_*` and its data).
pub(super) fn verdict(action: u32) -> Block {
    vec![statement(libc::BPF_RET | libc::BPF_K, action)]
}

/// Goes on in `yes` where the accumulator passes the test, else in `no`.
pub(super) fn branch(test: Test, yes: Block, no: Block) -> Block {
    let (kind, k) = match test {
        Test::Equal(k) => (libc::BPF_JEQ, k),
        Test::AtLeast(k) => (libc::BPF_JGE, k),
        Test::AnyBit(k) => (libc::BPF_JSET, k),
    };
    let jump = statement(libc::BPF_JMP | kind | libc::BPF_K, k);
    let mut block = match u8::try_from(no.len()) {
        Ok(over_no) => vec![Instruction { jt: over_no, ..jump }],
        // A program has at most 4096 instructions (BPF_MAXINSNS), so its length fits.
        Err(_) => {
            vec![Instruction { jf: 1, ..jump }, statement(libc::BPF_JMP | libc::BPF_JA, no.len() as u32)]
        }
    };
    block.extend(no);
    block.extend(yes);
    block
}

fn statement(code: u32, k: u32) -> Instruction {
    // Codes are sums of flags below 0x100.
    Instruction { code: code as u16, jt: 0, jf: 0, k }
}
