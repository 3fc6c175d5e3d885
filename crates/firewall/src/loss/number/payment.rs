//! Cards.

use super::{Need, Number};
use crate::loss::Found;
use crate::loss::check::luhn;
use crate::loss::check::value;
use crate::loss::context::{BANK, CARD, Topics};

/// How digits of cards are grouped on them.
const GROUPS: &[&[u8]] = &[
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[6, 13],
    &[4, 4, 4, 1],
    &[6, 10],
    &[8, 8],
    &[4, 4, 5],
    &[4, 4, 4],
    &[4, 4, 4, 4, 2],
    &[4, 4, 4, 4, 1],
];

/// Whose numbers begin so, and whether they are that long.
enum Issuer {
    /// A scheme whose numbers have this length, with no other use of such numbers in common.
    Known,
    /// One whose ranges are wide or whose numbers are short.
    Wide,
}

fn issuer(number: &[u8]) -> Option<Issuer> {
    let front = value(number, 0, 4)?;
    let issuer = match (front, number.len()) {
        // Visa.
        (4000..=4999, 16)
        // Mastercard.
        | (5100..=5599 | 2221..=2720, 16)
        // American Express.
        | (3400..=3499 | 3700..=3799, 15)
        // Discover.
        | (6011 | 6440..=6599, 16)
        // JCB.
        | (3528..=3589, 16)
        // UnionPay.
        | (6200..=6299, 16..=19)
        // Mir.
        | (2200..=2204, 16) => Issuer::Known,
        // Visa of other lengths, Diners, JCB of 15 digits, Maestro, RuPay, Troy, Verve, and what no one has been given yet.
        (3000..=6999, 13 | 14 | 15 | 16 | 19) | (5000..=5099 | 5600..=6999, 12 | 17 | 18) | (2131 | 1800, 15) | (8100..=8299 | 9792, 16) => Issuer::Wide,
        _ => return None,
    };
    Some(issuer)
}

/// Ranges of debit cards of banks of China other than 62.
fn chinese(number: &[u8]) -> bool {
    let front = value(number, 0, 2) == Some(62);
    front
        || (matches!(number.len(), 16..=19)
            && value(number, 0, 4).is_some_and(|front| {
                matches!(front, 9558 | 9559 | 9400 | 4367 | 4563 | 4392 | 5264 | 6013 | 6029 | 6091)
            }))
}

pub(super) fn check(number: &Number<'_>, found: &mut Vec<Found>) {
    let compact = number.compact();
    if compact.len() < 12 || compact.len() > 19 || !luhn(compact) {
        return;
    }
    let topics: Topics = CARD | BANK;
    let grouped = number.is_grouped(GROUPS, b" -.") && !number.is_in_a_row();
    if !grouped && number.groups().len() > 1 {
        return;
    }
    let (kind, rank) = if chinese(compact) { ("cn-bank-card", 76) } else { ("card", 75) };
    let need = match issuer(compact) {
        Some(Issuer::Known) if grouped => Need::Nothing,
        Some(Issuer::Known) => Need::Clear,
        Some(Issuer::Wide) if grouped && compact.len() >= 14 => Need::Nothing,
        Some(Issuer::Wide) => Need::Words,
        None if kind == "cn-bank-card" => Need::Words,
        None => return,
    };
    // An account may have any digits, so its words are not enough for a wide range.
    if number.is_met(need, if need == Need::Words && kind == "card" { CARD } else { topics }) {
        found.push(number.found(kind, rank, topics));
    }
}
