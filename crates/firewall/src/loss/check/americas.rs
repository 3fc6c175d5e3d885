//! Numbers of persons and firms in the Americas.

use super::{date, digits, luhn, uniform, value, weighted};

/// A social security number of the United States: what is never given is not one.
pub fn us_ssn(number: &[u8]) -> bool {
    let (Some(area), Some(group), Some(serial)) = (value(number, 0, 3), value(number, 3, 2), value(number, 5, 4))
    else {
        return false;
    };
    number.len() == 9 && !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !uniform(number)
}

/// A tax number of those who have no social security number.
pub fn us_itin(number: &[u8]) -> bool {
    let group = value(number, 3, 2).is_some_and(|group| matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99));
    number.len() == 9 && number.first() == Some(&b'9') && group && digits(number).is_some()
}

/// A routing number of a bank of the United States.
pub fn us_routing(number: &[u8]) -> bool {
    let front = value(number, 0, 2).is_some_and(|front| matches!(front, 1..=12 | 21..=32 | 61..=72 | 80));
    number.len() == 9 && front && weighted(number, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_some_and(|sum| sum % 10 == 0)
}

/// A Canadian social insurance number.
pub fn ca_sin(number: &[u8]) -> bool {
    number.len() == 9 && number.first() != Some(&b'8') && luhn(number)
}

/// A Brazilian tax number of a person: two check digits.
pub fn br_cpf(number: &[u8]) -> bool {
    let first = weighted(number, &[10, 9, 8, 7, 6, 5, 4, 3, 2]);
    let second = weighted(number, &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    number.len() == 11
        && !uniform(number)
        && first.map(eleven) == value(number, 9, 1)
        && second.map(eleven) == value(number, 10, 1)
}

/// A Brazilian tax number of a firm: two check digits.
pub fn br_cnpj(number: &[u8]) -> bool {
    let first = weighted(number, &[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
    let second = weighted(number, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
    number.len() == 14
        && !uniform(number)
        && first.map(eleven) == value(number, 12, 1)
        && second.map(eleven) == value(number, 13, 1)
}

fn eleven(sum: u32) -> u32 {
    match sum % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    }
}

/// A Chilean tax number: the check character may be K.
pub fn cl_rut(number: &[u8]) -> bool {
    let Some((check, front)) = number.split_last() else { return false };
    let Some(front) = digits(front) else { return false };
    let sum: u32 = front.iter().rev().zip([2, 3, 4, 5, 6, 7, 2, 3]).map(|(digit, weight)| digit * weight).sum();
    let wanted = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        digit => u8::try_from(digit).map_or(0, |digit| b'0' + digit),
    };
    matches!(front.len(), 7 | 8) && wanted == *check
}

/// A Mexican population code: the day of birth, the sex, the check digit.
pub fn mx_curp(number: &[u8]) -> bool {
    // Ñ stands between N and O in the order.
    let place = |byte: &u8| match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'N' => Some(u32::from(byte - b'A') + 10),
        b'O'..=b'Z' => Some(u32::from(byte - b'A') + 11),
        _ => None,
    };
    let born = (value(number, 4, 2), value(number, 6, 2), value(number, 8, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let sum: Option<u32> =
        number.iter().zip((2..=18).rev()).map(|(byte, weight)| place(byte).map(|place| place * weight)).sum();
    number.len() == 18
        && date(year, month, day)
        && matches!(number.get(10), Some(b'H' | b'M' | b'X'))
        && sum.map(|sum| (10 - sum % 10) % 10) == value(number, 17, 1)
}
