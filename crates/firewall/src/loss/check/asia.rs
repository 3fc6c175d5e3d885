//! Numbers of persons and firms in Asia and Oceania.

use super::{date, digit, digits, last, luhn, remainder, uniform, value, verhoeff, weighted};

/// A Chinese resident id (GB 11643): the province, the day of birth and the check character.
pub fn cn_resident_id(number: &[u8]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let province = value(number, 0, 2).is_some_and(cn_province);
    let born = (value(number, 6, 4), value(number, 10, 2), value(number, 12, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let check = weighted(number, &WEIGHTS).and_then(|sum| b"10X98765432".get(sum as usize % 11).copied());
    number.len() == 18 && province && (1900..2100).contains(&year) && date(year, month, day) && check == last(number)
}

/// A Chinese resident id as they were until 1999: no check character.
pub fn cn_resident_id_15(number: &[u8]) -> bool {
    let born = (value(number, 6, 2), value(number, 8, 2), value(number, 10, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    number.len() == 15 && value(number, 0, 2).is_some_and(cn_province) && date(year, month, day)
}

fn cn_province(code: u32) -> bool {
    matches!(code, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
}

/// The unified social credit code of a Chinese firm (GB 32100).
pub fn uscc(number: &[u8]) -> bool {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    let values: Option<Vec<usize>> =
        number.iter().map(|byte| LETTERS.iter().position(|letter| letter == byte)).collect();
    let Some(values) = values else { return false };
    let front = matches!(number, [b'1' | b'5' | b'9' | b'A'..=b'Y', b'1'..=b'9' | b'A', ..]);
    let place = value(number, 2, 6).is_some_and(|place| place == 100_000 || cn_province(place / 10_000));
    // The weights are the powers of three.
    let (sum, _) = values.iter().take(17).fold((0, 1), |(sum, weight), value| (sum + value * weight, weight * 3 % 31));
    number.len() == 18 && front && place && values.last() == Some(&((31 - sum % 31) % 31))
}

/// A Chinese mobile number: 11 digits whose first three are given to a network.
pub fn cn_mobile(number: &[u8]) -> bool {
    number.len() == 11
        && value(number, 0, 3).is_some_and(|front| {
            matches!(front, 130..=139 | 145..=149 | 150..=153 | 155..=159 | 162 | 165..=167 | 170..=178 | 180..=193 | 195..=199)
        })
        && number.get(3..).is_some_and(|rest| !uniform(rest))
        && digits(number).is_some()
}

/// An id of Taiwan: a letter for the county, 1 or 2, and the check digit.
pub fn tw_id(number: &[u8]) -> bool {
    matches!(number.get(1), Some(b'1' | b'2')) && tw_sum(number)
}

/// A residence permit of Taiwan: the second character is 8 or 9, before 2021 a letter from A to D.
pub fn tw_residence_permit(number: &[u8]) -> bool {
    matches!(number.get(1), Some(b'8' | b'9' | b'A'..=b'D')) && tw_sum(number)
}

fn tw_sum(number: &[u8]) -> bool {
    // The letters in the order of their numbers, from 10.
    let place = |letter: &u8| b"ABCDEFGHJKLMNPQRSTUVXYWZIO".iter().position(|known| known == letter);
    let Some(first) = number.first().and_then(place) else { return false };
    let first = first as u32 + 10;
    let second = match number.get(1) {
        Some(letter @ b'A'..=b'D') => place(letter).map(|place| place as u32 % 10),
        Some(byte) => digit(*byte),
        None => None,
    };
    let rest = number.get(2..).and_then(|rest| weighted(rest, &[7, 6, 5, 4, 3, 2, 1, 1]));
    let sum = second.zip(rest).map(|(second, rest)| first / 10 + first % 10 * 9 + second * 8 + rest);
    number.len() == 10 && sum.is_some_and(|sum| sum % 10 == 0)
}

/// An id of Hong Kong: one or two letters, six digits, and the check character.
pub fn hk_id(number: &[u8]) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase().then(|| u32::from(byte - b'A') + 10);
    let (front, rest) = match *number {
        [one, ref rest @ ..] if rest.len() == 7 => (letter(one).map(|one| 36 * 9 + one * 8), rest),
        [one, two, ref rest @ ..] if rest.len() == 7 => {
            (letter(one).zip(letter(two)).map(|(one, two)| one * 9 + two * 8), rest)
        }
        _ => return false,
    };
    let check = match rest.last() {
        Some(b'A') => Some(10),
        Some(byte) => digit(*byte),
        None => None,
    };
    let sum =
        front.zip(weighted(rest, &[7, 6, 5, 4, 3, 2])).zip(check).map(|((front, rest), check)| front + rest + check);
    sum.is_some_and(|sum| sum % 11 == 0)
}

/// An id of Macau: eight digits, the first 1, 5 or 7. How the last one is made is not public.
pub fn macau_id(number: &[u8]) -> bool {
    number.len() == 8 && matches!(number.first(), Some(b'1' | b'5' | b'7'))
}

/// A Japanese individual number.
pub fn jp_my_number(number: &[u8]) -> bool {
    let Some(rest) = weighted(number, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]).map(|sum| sum % 11) else { return false };
    let check = if rest <= 1 { 0 } else { 11 - rest };
    number.len() == 12 && !uniform(number) && value(number, 11, 1) == Some(check)
}

/// A Korean resident number: the day of birth and the digit for century and sex. Those given since October 2020 have no
/// check digit.
pub fn kr_rrn_dated(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    number.len() == 13 && date(year, month, day) && matches!(number.get(6), Some(b'1'..=b'8'))
}

/// A Korean resident number with its check digit.
pub fn kr_rrn(number: &[u8]) -> bool {
    let Some(rest) = weighted(number, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]).map(|sum| sum % 11) else { return false };
    let check = if matches!(number.get(6), Some(b'5'..=b'8')) { 13 - rest } else { 11 - rest };
    kr_rrn_dated(number) && value(number, 12, 1) == Some(check % 10)
}

/// An Indian Aadhaar.
pub fn in_aadhaar(number: &[u8]) -> bool {
    number.len() == 12 && matches!(number.first(), Some(b'2'..=b'9')) && !uniform(number) && verhoeff(number)
}

/// An Indian tax number: the fourth letter says whose it is.
pub fn in_pan(number: &[u8]) -> bool {
    matches!(number.get(3), Some(b'A' | b'B' | b'C' | b'F' | b'G' | b'H' | b'J' | b'L' | b'P' | b'T'))
        && number.get(5..9).is_some_and(|digits| digits != b"0000")
}

/// An id of Singapore.
pub fn sg_nric(number: &[u8]) -> bool {
    let Some(sum) = number.get(1..).and_then(|rest| weighted(rest, &[2, 7, 6, 5, 4, 3, 2])) else { return false };
    let letter = match number.first() {
        Some(b'S') => b"JZIHGFEDCBA".get(sum as usize % 11),
        Some(b'T') => b"JZIHGFEDCBA".get((sum as usize + 4) % 11),
        Some(b'F') => b"XWUTRQPNMLK".get(sum as usize % 11),
        Some(b'G') => b"XWUTRQPNMLK".get((sum as usize + 4) % 11),
        Some(b'M') => b"KLJNPQRTUWX".get(10 - (sum as usize + 3) % 11),
        _ => None,
    };
    number.len() == 9 && letter.copied() == last(number)
}

/// A Malaysian id: the day of birth and the place.
pub fn my_nric(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let place = value(number, 6, 2)
        .is_some_and(|place| matches!(place, 1..=16 | 21..=59 | 60..=68 | 71 | 72 | 74..=79 | 82..=93 | 98 | 99));
    number.len() == 12 && date(year, month, day) && place
}

/// An Indonesian id: the place and the day of birth, which is 40 later for women.
pub fn id_nik(number: &[u8]) -> bool {
    let born = (value(number, 10, 2), value(number, 8, 2), value(number, 6, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let place = value(number, 0, 2).is_some_and(|place| (11..=96).contains(&place));
    number.len() == 16 && place && date(year, month, if day > 40 { day - 40 } else { day })
}

/// A Thai id.
pub fn th_id(number: &[u8]) -> bool {
    let sum = weighted(number, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    number.len() == 13 && number.first() != Some(&b'0') && sum.map(|sum| (11 - sum % 11) % 10) == value(number, 12, 1)
}

/// An Israeli id.
pub fn il_id(number: &[u8]) -> bool {
    number.len() == 9 && luhn(number)
}

/// A Turkish id: two check digits.
pub fn tr_id(number: &[u8]) -> bool {
    let odd = weighted(number, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = weighted(number, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let (Some(odd), Some(even), Some(tenth)) = (odd, even, value(number, 9, 1)) else { return false };
    number.len() == 11
        && number.first() != Some(&b'0')
        && (odd * 7 + 90 - even) % 10 == tenth
        && value(number, 10, 1) == Some((odd + even + tenth) % 10)
}

/// An Australian tax file number.
pub fn au_tfn(number: &[u8]) -> bool {
    number.len() == 9
        && !uniform(number)
        && weighted(number, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_some_and(|sum| sum % 11 == 0)
}

/// An Australian Medicare number.
pub fn au_medicare(number: &[u8]) -> bool {
    let check = weighted(number, &[1, 3, 7, 9, 1, 3, 7, 9]).map(|sum| sum % 10);
    matches!(number.len(), 10 | 11) && matches!(number.first(), Some(b'2'..=b'6')) && check == value(number, 8, 1)
}

/// A South African id: the day of birth, then whether a citizen, then the check digit.
pub fn za_id(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    number.len() == 13 && date(year, month, day) && matches!(number.get(10), Some(b'0' | b'1')) && luhn(number)
}

/// A Vietnamese id: the province, then the digit for century and sex.
pub fn vn_id(number: &[u8]) -> bool {
    number.len() == 12
        && remainder(number, 97).is_some()
        && value(number, 0, 3).is_some_and(|place| (1..=96).contains(&place))
}
