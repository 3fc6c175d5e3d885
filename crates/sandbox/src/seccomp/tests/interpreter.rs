//! Classic BPF as far as a seccomp filter may use it, written from its specification and not from the assembler.

use crate::seccomp::Instruction;

pub(super) const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
pub(super) const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

pub(super) struct End {
    pub(super) verdict: u32,
    pub(super) steps: usize,
    /// Whether anything but the number and the machine was loaded.
    pub(super) saw_arguments: bool,
}

/// Runs a program over one call. Panics where the kernel would not have taken the program.
pub(super) fn run(program: &[Instruction], arch: u32, number: u32, arguments: &[u64; 6]) -> End {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(arch.to_le_bytes());
    data.extend(0xdead_beef_u64.to_le_bytes());
    arguments.iter().for_each(|argument| data.extend(argument.to_le_bytes()));

    let mut end = End { verdict: 0, steps: 0, saw_arguments: false };
    let (mut at, mut accumulator) = (0, 0_u32);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        end.steps += 1;
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => {
                assert!(k % 4 == 0 && k < 64, "load from {k}");
                end.saw_arguments |= k >= 8;
                accumulator = u32::from_le_bytes(data[k as usize..k as usize + 4].try_into().unwrap());
            }
            0x54 => accumulator &= k,
            0x15 => jump(accumulator == k),
            0x35 => jump(accumulator >= k),
            0x45 => jump(accumulator & k != 0),
            0x05 => at += k as usize,
            0x06 => {
                end.verdict = k;
                return end;
            }
            other => panic!("instruction {other:#x}"),
        }
    }
}
