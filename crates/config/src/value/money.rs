//! Amounts of money.

use super::ValueError;
use super::amount::{check_zeros, leading_digits};
use crate::NanoUsd;
use crate::display::shown;

/// Largest amount, in dollars.
pub(crate) const MAX_USD: u64 = 1_000_000_000;

/// Reads the amount `name` in US dollars: `5` or `0.50`, with at most nine decimals, more than nothing.
pub(crate) fn usd(name: &str, text: &str) -> Result<NanoUsd, ValueError> {
    let help = "write dollars such as `5` or `0.50`, with at most nine decimals";
    let bad = || ValueError::new(format!("`{}` is not an amount of money", shown(text)), help);
    let (digits, rest) = leading_digits(text);
    let decimals = match rest.strip_prefix('.') {
        Some(decimals) if (1..=9).contains(&decimals.len()) && decimals.bytes().all(|b| b.is_ascii_digit()) => decimals,
        None if rest.is_empty() => "",
        Some(_) | None => return Err(bad()),
    };
    if digits.is_empty() {
        return Err(bad());
    }
    check_zeros(text, digits, rest)?;
    let part: u64 = format!("{decimals:0<9}").parse().map_err(|_| bad())?;
    let whole = digits.parse::<u64>().ok().filter(|whole| *whole <= MAX_USD);
    let amount = whole.and_then(|whole| whole.checked_mul(NanoUsd::USD)?.checked_add(part)).unwrap_or(u64::MAX);
    match amount {
        0 => Err(ValueError::new(
            format!("`{name}` must be more than 0"),
            "write an amount such as `0.50`; leave an agent without `model` and `models` if it may use none",
        )),
        amount if amount > MAX_USD * NanoUsd::USD => {
            Err(ValueError::new(format!("`{name}` must be at most {MAX_USD} dollars, not `{}`", shown(text)), help))
        }
        amount => Ok(NanoUsd(amount)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_have_up_to_nine_decimals() {
        for (text, nano, display) in [
            ("5", 5_000_000_000, "5.00"),
            ("0.50", 500_000_000, "0.50"),
            ("0.5", 500_000_000, "0.50"),
            ("12.345", 12_345_000_000, "12.345"),
            ("0.000000001", 1, "0.000000001"),
            ("1000000000", 1_000_000_000_000_000_000, "1000000000.00"),
        ] {
            let amount = usd("usd_per_day", text).unwrap();
            assert_eq!((amount, amount.to_string().as_str()), (NanoUsd(nano), display), "{text}");
        }
    }

    #[test]
    fn other_amounts_are_refused() {
        let help = "write dollars such as `5` or `0.50`, with at most nine decimals";
        for text in ["", "$5", "5 USD", "-1", "+1", ".5", "5.", "1,5", "1e3", "0.0000000001", "1_000", "５", "nan"] {
            let said = usd("usd_per_day", text).unwrap_err().to_string();
            assert_eq!(said, format!("`{text}` is not an amount of money; {help}"));
        }
        for (text, expected) in [
            (
                "0",
                "`usd_per_day` must be more than 0; write an amount such as `0.50`; leave an agent without `model` and `models` if it may use none"
                    .to_owned(),
            ),
            ("007.5", "`007.5` begins with a zero, which some readers take as octal; write `7.5`".to_owned()),
            ("1000000000.000000001", format!("`usd_per_day` must be at most 1000000000 dollars, not `1000000000.000000001`; {help}")),
            (
                "99999999999999999999",
                format!("`usd_per_day` must be at most 1000000000 dollars, not `99999999999999999999`; {help}"),
            ),
        ] {
            assert_eq!(usd("usd_per_day", text).unwrap_err().to_string(), expected);
        }
        assert!(usd("usd_per_day", "0.000000000").is_err());
    }
}
