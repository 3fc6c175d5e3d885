//! Numbers of persons in Europe.

use super::{date, digit, last, luhn, mod11_10, remainder, uniform, value, weighted};

/// A British national insurance number: which letters are never given.
pub fn uk_nino(number: &[u8]) -> bool {
    let [first, second, rest @ ..] = number else { return false };
    let never = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[*first, *second]);
    !never
        && !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && rest.len() == 7
        && matches!(last(rest), Some(b'A'..=b'D'))
}

/// A number of the British health service.
pub fn uk_nhs(number: &[u8]) -> bool {
    let check = weighted(number, &[10, 9, 8, 7, 6, 5, 4, 3, 2]).map(|sum| (11 - sum % 11) % 11);
    number.len() == 10 && !uniform(number) && check.is_some() && check == value(number, 9, 1)
}

/// A German tax number of a person.
pub fn de_tax_id(number: &[u8]) -> bool {
    number.len() == 11 && number.first() != Some(&b'0') && mod11_10(number)
}

/// A French number of the directory of persons: sex, month of birth, and the key. Corsica has letters.
pub fn fr_nir(number: &[u8]) -> bool {
    let mut body = number.to_vec();
    let corsica = match number.get(5..7) {
        Some(b"2A") => b"19",
        Some(b"2B") => b"18",
        Some(other) if other.iter().all(u8::is_ascii_digit) => {
            &[other.first().copied().unwrap_or(b'0'), other.last().copied().unwrap_or(b'0')]
        }
        _ => return false,
    };
    if let Some(place) = body.get_mut(5..7) {
        place.copy_from_slice(corsica);
    }
    let month = value(number, 3, 2).is_some_and(|month| matches!(month, 1..=12 | 20..=42 | 50..));
    let key = body.get(..13).and_then(|front| remainder(front, 97)).map(|rest| 97 - rest);
    number.len() == 15
        && matches!(number.first(), Some(b'1' | b'2' | b'3' | b'4' | b'7' | b'8'))
        && month
        && key.is_some()
        && key == value(number, 13, 2)
}

const ES_LETTERS: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// A Spanish id.
pub fn es_dni(number: &[u8]) -> bool {
    let letter = value(number, 0, 8).and_then(|value| ES_LETTERS.get(value as usize % 23)).copied();
    number.len() == 9 && letter.is_some() && letter == last(number)
}

/// A Spanish id of foreigners.
pub fn es_nie(number: &[u8]) -> bool {
    let front = match number.first() {
        Some(b'X') => 0,
        Some(b'Y') => 10_000_000,
        Some(b'Z') => 20_000_000,
        _ => return false,
    };
    let letter = value(number, 1, 7).and_then(|value| ES_LETTERS.get((front + value) as usize % 23)).copied();
    number.len() == 9 && letter.is_some() && letter == last(number)
}

/// An Italian tax code of a person.
pub fn it_codice_fiscale(number: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Some((check, front)) = number.split_last() else { return false };
    let sum = front.iter().enumerate().try_fold(0, |sum, (index, byte)| {
        let place = digit(*byte).or_else(|| byte.is_ascii_uppercase().then(|| u32::from(byte - b'A')))?;
        Some(sum + if index % 2 == 0 { ODD.get(place as usize).copied()? } else { place })
    });
    let month = number.get(8).is_some_and(|month| b"ABCDEHLMPRST".contains(month));
    number.len() == 16 && month && sum.is_some_and(|sum| sum % 26 == u32::from(check.wrapping_sub(b'A')))
}

/// A Polish number: the day of birth, whose month says the century.
pub fn pl_pesel(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let check = weighted(number, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]).map(|sum| (10 - sum % 10) % 10);
    number.len() == 11 && date(year, month % 20, day) && check.is_some() && check == value(number, 10, 1)
}

/// A Dutch citizen service number.
pub fn nl_bsn(number: &[u8]) -> bool {
    let sum = weighted(number, &[9, 8, 7, 6, 5, 4, 3, 2, 10]);
    number.len() == 9 && !uniform(number) && sum.is_some_and(|sum| sum % 11 == 0)
}

/// A Finnish identity code without the sign of the century.
pub fn fi_hetu(number: &[u8]) -> bool {
    let born = (value(number, 4, 2), value(number, 2, 2), value(number, 0, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let rest = number.get(..9).and_then(|front| remainder(front, 31));
    let letter = rest.and_then(|rest| b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest as usize)).copied();
    number.len() == 10 && date(year, month, day) && letter.is_some() && letter == last(number)
}

/// A Swedish personal number of ten digits.
pub fn se_personnummer(number: &[u8]) -> bool {
    let Some(short) = number.get(number.len().saturating_sub(10)..) else { return false };
    let born = (value(short, 0, 2), value(short, 2, 2), value(short, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    matches!(number.len(), 10 | 12) && date(year, month, day) && luhn(short)
}

/// A Danish personal number: only the day of birth can be checked.
pub fn dk_cpr(number: &[u8]) -> bool {
    let born = (value(number, 4, 2), value(number, 2, 2), value(number, 0, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    number.len() == 10 && date(year, month, day)
}

/// A Norwegian number: two check digits.
pub fn no_fnr(number: &[u8]) -> bool {
    let first = weighted(number, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]);
    let second = weighted(number, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]);
    number.len() == 11
        && !uniform(number)
        && first.zip(second).is_some_and(|(first, second)| first % 11 == 0 && second % 11 == 0)
}

/// A Swiss insurance number.
pub fn ch_ahv(number: &[u8]) -> bool {
    number.len() == 13
        && number.starts_with(b"756")
        && weighted(number, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).is_some_and(|sum| sum % 10 == 0)
}

/// A Belgian national number: who is born since 2000 has a 2 in front of it for the check.
pub fn be_rrn(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let Some(front) = number.get(..9) else { return false };
    let later: Vec<u8> = [b'2'].iter().chain(front).copied().collect();
    let keys = [remainder(front, 97), remainder(&later, 97)].map(|rest| rest.map(|rest| 97 - rest));
    number.len() == 11 && date(year, month, day) && value(number, 9, 2).is_some_and(|key| keys.contains(&Some(key)))
}

/// An Irish personal public service number: seven digits, the check letter, and for some a second letter.
pub fn ie_pps(number: &[u8]) -> bool {
    let second = match number.get(8) {
        None | Some(b'W') => Some(0),
        Some(letter @ b'A'..=b'I') => Some(u32::from(letter - b'A') + 1),
        Some(_) => None,
    };
    let sum = weighted(number, &[8, 7, 6, 5, 4, 3, 2]).zip(second).map(|(sum, second)| (sum + second * 9) % 23);
    let letter = sum.and_then(|sum| b"WABCDEFGHIJKLMNOPQRSTUV".get(sum as usize));
    matches!(number.len(), 8 | 9) && letter.is_some() && letter == number.get(7)
}

/// A Portuguese tax number.
pub fn pt_nif(number: &[u8]) -> bool {
    let Some(rest) = weighted(number, &[9, 8, 7, 6, 5, 4, 3, 2]).map(|sum| sum % 11) else { return false };
    let check = if rest <= 1 { 0 } else { 11 - rest };
    number.len() == 9 && matches!(number.first(), Some(b'1' | b'2' | b'3')) && value(number, 8, 1) == Some(check)
}

/// A Romanian personal code.
pub fn ro_cnp(number: &[u8]) -> bool {
    let born = (value(number, 1, 2), value(number, 3, 2), value(number, 5, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let rest = weighted(number, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]).map(|sum| sum % 11);
    let check = rest.map(|rest| if rest == 10 { 1 } else { rest });
    number.len() == 13
        && matches!(number.first(), Some(b'1'..=b'9'))
        && date(year, month, day)
        && check.is_some()
        && check == value(number, 12, 1)
}

/// A Czech or Slovak birth number of ten digits: the month is 50 later for women.
pub fn cz_rodne_cislo(number: &[u8]) -> bool {
    let born = (value(number, 0, 2), value(number, 2, 2), value(number, 4, 2));
    let (Some(year), Some(month), Some(day)) = born else { return false };
    let month = if month > 50 { month - 50 } else { month };
    number.len() == 10
        && date(year, if month > 20 { month - 20 } else { month }, day)
        && number.get(..9).and_then(|front| remainder(front, 11)).map(|rest| rest % 10) == value(number, 9, 1)
}
