//! A JSON number without silent damage: Int64, else a double that says the same, else Decimal128,
//! else its text.

/// What a number becomes in BSON.
#[derive(Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
    /// IEEE 754-2008 decimal128, BID encoding, little endian.
    Decimal([u8; 16]),
    Text,
}

/// Fifteen significant digits survive the way through a double and back (`DBL_DIG` of C).
pub(crate) const SAFE_DIGITS: usize = 15;
/// Beyond this the decimal exponent may leave a double's normal range.
const SAFE_EXPONENT: i64 = 290;
const DECIMAL_DIGITS: usize = 34;
const DECIMAL_BIAS: i64 = 6176;
const DECIMAL_MAX_EXPONENT: i64 = 6111;

/// Classifies text that is a number by JSON's grammar (RFC 8259, section 6).
pub(crate) fn classify(text: &str) -> Number {
    if let Some(int) = as_int(text) {
        return Number::Int(int);
    }
    let parts = Parts::of(text);
    if let Some(double) = parts.as_double(text) {
        return Number::Double(double);
    }
    parts.as_decimal().map_or(Number::Text, Number::Decimal)
}

fn as_int(text: &str) -> Option<i64> {
    if text == "-0" {
        return None;
    }
    // i64's own parser refuses a point and an exponent, and what does not fit.
    text.parse().ok()
}

/// sign × digits × 10^exponent, without leading zeros in `digits`.
struct Parts {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Parts {
    fn of(text: &str) -> Self {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole
            .bytes()
            .chain(fraction.bytes())
            .skip_while(|digit| *digit == b'0')
            .collect();
        // An exponent that does not fit an i64 saturates: it is out of every range below anyway.
        let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') {
            i64::MIN / 2
        } else {
            i64::MAX / 2
        });
        let fraction = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 4);
        Self {
            negative,
            digits,
            exponent: exponent - fraction,
        }
    }

    fn significant(&self) -> &[u8] {
        let end = self.digits.iter().rposition(|digit| *digit != b'0');
        end.and_then(|end| self.digits.get(..=end))
            .unwrap_or_default()
    }

    fn as_double(&self, text: &str) -> Option<f64> {
        let double: f64 = text.parse().ok()?;
        if self.digits.is_empty() {
            return Some(double);
        }
        if !double.is_finite() || double == 0.0 {
            return None;
        }
        let safe = self.significant().len() <= SAFE_DIGITS && self.exponent.abs() <= SAFE_EXPONENT;
        (safe || self.says_the_same(double)).then_some(double)
    }

    /// Whether the shortest text of `double` denotes the number that was written.
    fn says_the_same(&self, double: f64) -> bool {
        let shortest = Self::of(&format!("{double:e}"));
        let magnitude = |parts: &Self| {
            i64::try_from(parts.digits.len())
                .unwrap_or(i64::MAX / 4)
                .saturating_add(parts.exponent)
        };
        shortest.significant() == self.significant() && magnitude(&shortest) == magnitude(self)
    }

    fn as_decimal(&self) -> Option<[u8; 16]> {
        let (mut digits, mut exponent) = (self.digits.clone(), self.exponent);
        while digits.len() > DECIMAL_DIGITS || exponent < -DECIMAL_BIAS {
            if digits.pop()? != b'0' {
                return None;
            }
            exponent += 1;
        }
        while exponent > DECIMAL_MAX_EXPONENT && digits.len() < DECIMAL_DIGITS {
            digits.push(b'0');
            exponent -= 1;
        }
        if exponent > DECIMAL_MAX_EXPONENT {
            return None;
        }
        let coefficient = digits
            .iter()
            .fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
        let biased = u128::try_from(exponent + DECIMAL_BIAS).ok()?;
        let sign = u128::from(self.negative) << 127;
        Some((sign | biased << 113 | coefficient).to_le_bytes())
    }
}

/// The text of a decimal128 as `as_decimal` writes it: digits, `e`, exponent.
pub(crate) fn decimal_text(bytes: &[u8]) -> Option<String> {
    let bits = u128::from_le_bytes(bytes.try_into().ok()?);
    let exponent = i64::try_from(bits >> 113 & 0x3FFF).ok()? - DECIMAL_BIAS;
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    Some(format!("{sign}{}e{exponent}", bits & ((1 << 113) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> String {
        let Number::Decimal(bytes) = classify(text) else {
            panic!("{text} is {:?}", classify(text));
        };
        mongodb::bson::Decimal128::from_bytes(bytes).to_string()
    }

    #[test]
    fn integers_are_kept_to_64_bits() {
        assert_eq!(classify("0"), Number::Int(0));
        assert_eq!(classify("-9223372036854775808"), Number::Int(i64::MIN));
        assert_eq!(classify("9223372036854775807"), Number::Int(i64::MAX));
        assert_eq!(
            classify("9007199254740993"),
            Number::Int(9_007_199_254_740_993)
        );
    }

    #[test]
    fn a_double_is_used_only_where_it_says_the_same() {
        assert_eq!(classify("48.8534088"), Number::Double(48.853_408_8));
        assert_eq!(classify("0.1"), Number::Double(0.1));
        assert_eq!(classify("1.10"), Number::Double(1.1));
        assert_eq!(
            classify("9.00719925474099e+15"),
            Number::Double(9_007_199_254_740_990.0)
        );
        assert_eq!(classify("5e-324"), Number::Double(5e-324));
        assert_eq!(classify("1.7976931348623157e308"), Number::Double(f64::MAX));
        assert!(matches!(classify("-0"), Number::Double(zero) if zero.is_sign_negative()));
        assert_eq!(classify("0.000e400"), Number::Double(0.0));
    }

    #[test]
    fn what_a_double_would_alter_is_a_decimal() {
        assert_eq!(decimal("18446744073709551615"), "18446744073709551615");
        assert_eq!(decimal("-9223372036854775809"), "-9223372036854775809");
        assert_eq!(decimal("0.1234567890123456789"), "0.1234567890123456789");
        assert_eq!(decimal("1e400"), "1E+400");
        assert_eq!(decimal("1e-400"), "1E-400");
        assert_eq!(
            decimal("1e6144"),
            "1.000000000000000000000000000000000E+6144"
        );
        assert_eq!(
            decimal("9999999999999999999999999999999999"),
            "9".repeat(34)
        );
    }

    #[test]
    fn beyond_a_decimal_it_is_text() {
        assert_eq!(classify(&"9".repeat(35)), Number::Text);
        assert_eq!(classify("1e6145"), Number::Text);
        assert_eq!(classify("1e-7000"), Number::Text);
        assert_eq!(classify("1e99999999999999999999"), Number::Text);
    }
}
