//! Numbers and tokens made for the tests: the same ones in every run.

/// Numbers that look random.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub fn letters(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| char::from(self.of(alphabet.as_bytes()))).collect()
    }
}

pub const DIGITS: &str = "0123456789";
pub const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub const HEX: &str = "0123456789abcdef";
pub const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A number of a shape (`9` a digit, `A` a letter, `?` either, others as they are) that passes a check.
pub fn number(dice: &mut Dice, shape: &str, check: impl Fn(&[u8]) -> bool) -> String {
    for _ in 0..2_000_000 {
        let made: String = shape
            .chars()
            .map(|c| match c {
                '9' => char::from(dice.of(DIGITS.as_bytes())),
                'A' => char::from(dice.of(CAPITALS.as_bytes())),
                '?' => char::from(dice.of(b"0123456789ABCDEFGHJKLMNPQRTUWXY")),
                other => other,
            })
            .collect();
        if check(made.as_bytes()) {
            return made;
        }
    }
    panic!("no number of the shape {shape}")
}

/// A number with the last character changed until it passes the check no more.
pub fn spoilt(number: &str, check: impl Fn(&[u8]) -> bool) -> Option<String> {
    let (front, last) = number.split_at(number.len() - 1);
    let others = if last.as_bytes()[0].is_ascii_digit() { DIGITS } else { CAPITALS };
    others.chars().map(|other| format!("{front}{other}")).find(|other| !check(other.as_bytes()))
}

/// A number in groups.
pub fn grouped(number: &str, groups: &[usize], separator: &str) -> String {
    let mut rest = number;
    let mut parts = Vec::new();
    for group in groups {
        let (part, next) = rest.split_at(*group);
        parts.push(part);
        rest = next;
    }
    assert!(rest.is_empty(), "{number} in {groups:?}");
    parts.join(separator)
}
