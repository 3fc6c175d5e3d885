//! Raw system calls with arguments that cannot dangle, and the names of errno values and signals.
//!
//! Attacks must reach the kernel exactly as written, without a library that rejects, retries or replaces them. This is
//! the one place of the module that does so.

use std::ffi::CStr;
use std::marker::PhantomData;

/// One argument of a system call: a number, or a pointer to something that lives at least as long as the argument.
#[derive(Clone, Copy)]
pub(super) struct Arg<'a>(libc::c_long, PhantomData<&'a ()>);

impl Arg<'_> {
    /// The null pointer, or zero.
    pub(super) const NULL: Arg<'static> = Arg(0, PhantomData);

    fn number(value: libc::c_long) -> Self {
        Arg(value, PhantomData)
    }
}

/// A pointer to `value`, to read from or, since the borrow is unique, to write to.
pub(super) fn at<T: Copy>(value: &mut T) -> Arg<'_> {
    Arg(std::ptr::from_mut(value) as libc::c_long, PhantomData)
}

/// A pointer to the first of `bytes`, to read from or write to.
pub(super) fn bytes_at(bytes: &mut [u8]) -> Arg<'_> {
    Arg(bytes.as_mut_ptr() as libc::c_long, PhantomData)
}

/// A pointer to the first of `values`, to read from.
pub(super) fn read_at<T>(values: &[T]) -> Arg<'_> {
    Arg(values.as_ptr() as libc::c_long, PhantomData)
}

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(text: &'a CStr) -> Self {
        Arg(text.as_ptr() as libc::c_long, PhantomData)
    }
}

macro_rules! number_arguments {
    ($($number:ty)*) => {$(
        impl From<$number> for Arg<'_> {
            fn from(value: $number) -> Self {
                Arg::number(value as libc::c_long)
            }
        }
    )*};
}
number_arguments!(i32 u32 i64 u64 usize);

/// Makes system call `number`. `Err` holds the errno.
pub(super) fn raw<const N: usize>(number: libc::c_long, arguments: [Arg<'_>; N]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = padded(arguments);
    // SAFETY: pointer arguments borrow memory that outlives the call (see `Arg`), of the type that the call fills or
    // reads; numbers that the kernel reads as addresses are null or rejected by it. No caller passes a call that
    // changes mappings of this process other than adding one that nobody uses.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { Err(last_errno()) } else { Ok(result) }
}

/// Six arguments, as many as a system call can have; missing ones are zero.
fn padded<const N: usize>(arguments: [Arg<'_>; N]) -> [libc::c_long; 6] {
    let mut six = [0; 6];
    for (slot, argument) in six.iter_mut().zip(arguments) {
        *slot = argument.0;
    }
    six
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// [`raw`] with each argument converted to [`Arg`].
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        $crate::attack::system::raw($number, [$($crate::attack::system::Arg::from($argument)),*])
    };
}
pub(super) use call;

/// Makes system call `number` of the 32-bit x86 table through `int 0x80`, without arguments. This gate exists for
/// 64-bit programs too, and a filter that does not compare the architecture reads the number in the wrong table.
#[cfg(target_arch = "x86_64")]
pub(super) fn int80(number: u32) -> i64 {
    let result: i64;
    // SAFETY: the callers' numbers (getpid, getuid) take no arguments and touch no memory; the kernel may clobber r8 to
    // r11, which are declared. rbx holds whatever the compiler left there and is not changed.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") i64::from(number) => result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

macro_rules! name_table {
    ($function:ident, $what:literal: $($name:ident)*) => {
        #[doc = concat!("The name of ", $what, ", or its number where it is not in the table.")]
        pub(super) fn $function(number: i32) -> String {
            let known = [$((libc::$name, stringify!($name))),*];
            known.iter().find(|(value, _)| *value == number)
                .map_or_else(|| format!(concat!($what, " {}"), number), |(_, name)| (*name).to_owned())
        }
    };
}
name_table!(errno_name, "errno":
    E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EBADF EBUSY ECHILD ECONNREFUSED ECONNRESET EDQUOT EEXIST
    EFAULT EFBIG EHOSTUNREACH EINVAL EIO EISDIR ELOOP EMFILE ENETUNREACH ENFILE ENODEV ENOENT ENOEXEC ENOKEY ENOMEM
    ENOPROTOOPT ENOSPC ENOSYS ENOTBLK ENOTCONN ENOTDIR ENOTEMPTY ENOTTY ENXIO EOPNOTSUPP EPERM EPIPE EPROTONOSUPPORT
    EPROTOTYPE EROFS ESOCKTNOSUPPORT ESRCH ETIMEDOUT ETOOMANYREFS ETXTBSY EUSERS EXDEV);
name_table!(signal_name, "signal": SIGABRT SIGBUS SIGFPE SIGILL SIGKILL SIGPIPE SIGSEGV SIGSYS SIGTERM SIGTRAP SIGXCPU SIGXFSZ);
