//! The few fields of a certificate that people want to see (RFC 5280, section 4.1). What is not as
//! expected is left out: the judgement is not made here.

/// The fields, as far as they could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    /// Seconds since 1970.
    pub(super) not_after: Option<i64>,
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OBJECT_ID: u8 = 0x06;
/// 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 3] = [0x55, 0x04, 0x0A];

/// Reads a certificate.
pub(super) fn read(certificate: &[u8]) -> Option<Fields> {
    let whole = Elements(certificate).expect(SEQUENCE)?;
    let mut signed = Elements(Elements(whole).expect(SEQUENCE)?);
    let (first, _) = signed.next()?;
    if first == VERSION {
        signed.next()?;
    }
    signed.expect(SEQUENCE)?;
    let issuer = signed.expect(SEQUENCE)?;
    let validity = signed.expect(SEQUENCE)?;
    let subject = signed.expect(SEQUENCE)?;
    let not_after = Elements(validity).nth(1);
    Some(Fields {
        subject: name(subject),
        issuer: name(issuer),
        not_after: not_after.and_then(|(kind, text)| time(kind, text)),
    })
}

/// DER's tag, length and content, one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn expect(&mut self, kind: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == kind).then_some(content)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(first) {
            short @ 0..0x80 => (short, rest),
            long => {
                let (digits, rest) = rest.split_at_checked(long - 0x80)?;
                let short = digits.len() <= 4;
                let add = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
                (short.then(|| digits.iter().fold(0, add))?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, content))
    }
}

/// The last common name, else the organization.
fn name(sequence: &[u8]) -> Option<String> {
    let parts = |wanted: [u8; 3]| {
        let sets = Elements(sequence).flat_map(|(_, set)| Elements(set));
        let texts = sets.filter_map(move |(_, pair)| {
            let mut pair = Elements(pair);
            let is_it = pair.expect(OBJECT_ID)? == wanted;
            let (_, text) = pair.next().filter(|_| is_it)?;
            Some(String::from_utf8_lossy(text).into_owned())
        });
        texts.filter(|text| !text.is_empty()).last()
    };
    let name = parts(COMMON_NAME).or_else(|| parts(ORGANIZATION))?;
    // It is printed, and whoever made the certificate has chosen it.
    let plain = name.chars().filter(|c| !c.is_control()).take(100);
    Some(plain.collect())
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, in UTC.
fn time(kind: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut pairs = rest.as_bytes().chunks(2);
    let mut next = || std::str::from_utf8(pairs.next()?).ok()?.parse::<i64>().ok();
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let sound = (1..=12).contains(&month) && (1..=31).contains(&day);
    sound.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a date of the Gregorian calendar: years begin in March, so that a leap day is
/// the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[kind, 0x82], &length[..], content].concat()
    }

    fn named(id: [u8; 3], text: &str) -> Vec<u8> {
        let pair = [element(OBJECT_ID, &id), element(0x0C, text.as_bytes())].concat();
        element(SEQUENCE, &element(0x31, &element(SEQUENCE, &pair)))
    }

    fn certificate(not_after: &[u8]) -> Vec<u8> {
        let validity = [element(UTC_TIME, b"240101000000Z"), not_after.to_vec()].concat();
        let signed = [
            element(VERSION, &[2, 1, 2]),
            element(2, &[1]),
            element(SEQUENCE, &[]),
            named(ORGANIZATION, "Some\nCA"),
            element(SEQUENCE, &validity),
            named(COMMON_NAME, "db.example"),
        ];
        element(SEQUENCE, &element(SEQUENCE, &signed.concat()))
    }

    #[test]
    fn names_and_the_last_moment_are_read() {
        let fields = read(&certificate(&element(UTC_TIME, b"270228235959Z"))).unwrap();
        assert_eq!(fields.subject.as_deref(), Some("db.example"));
        assert_eq!(fields.issuer.as_deref(), Some("SomeCA"));
        assert_eq!(fields.not_after, Some(1_803_859_199));
        let late = element(GENERALIZED_TIME, b"20520229120000Z");
        assert_eq!(
            read(&certificate(&late)).unwrap().not_after,
            Some(2_592_820_800)
        );
    }

    #[test]
    fn what_is_cut_or_no_certificate_is_no_panic() {
        let whole = certificate(&element(UTC_TIME, b"270228235959Z"));
        for end in 0..whole.len() {
            read(&whole[..end]);
        }
        for place in 0..whole.len() {
            let mut bent = whole.clone();
            bent[place] ^= 0xFF;
            read(&bent);
        }
    }
}
