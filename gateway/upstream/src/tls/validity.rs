//! The time in which a certificate is valid, read from its DER. `webpki` checks a server's
//! certificate only, and nobody would notice that the gateway's own has expired before each call
//! failed. Only the way to these two times is read; anything unexpected is no time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The optional version.
const VERSION: u8 = 0xa0;

/// The first and the last moment (RFC 5280, section 4.1.2.5).
pub(super) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = any(fields)?.2;
    }
    // The serial number, the signature's algorithm and the issuer.
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (times, _) = element(fields, SEQUENCE)?;
    let (kind, first, rest) = any(times)?;
    let first = time(kind, first)?;
    let (kind, last, _) = any(rest)?;
    Some((first, time(kind, last)?))
}

/// The content of an element of this kind, and the bytes behind it.
fn element(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (kind, content, rest) = any(bytes)?;
    (kind == wanted).then_some((content, rest))
}

/// The kind and the content of the first element, and the bytes behind it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

/// `YYMMDDhhmmssZ`, or the same with four digits for the year.
fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    let text = text.strip_suffix(b"Z")?;
    let digits = text.iter().map(|byte| char::from(*byte).to_digit(10).map(u64::from));
    let digits: Vec<u64> = digits.collect::<Option<_>>()?;
    let (year, rest) = match (kind, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, rest) = digits.split_at(2);
            let short = number(year);
            (if short < 50 { 2000 + short } else { 1900 + short }, rest)
        }
        (GENERALIZED_TIME, 14) => {
            let (year, rest) = digits.split_at(4);
            (number(year), rest)
        }
        _ => return None,
    };
    let parts: Vec<u64> = rest.chunks(2).map(number).collect();
    let [month, day, hour, minute, second] = parts.try_into().ok()?;
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = days * 86_400 + (hour * 3600 + minute * 60 + second).cast_signed();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => UNIX_EPOCH.checked_add(distance),
        _ => UNIX_EPOCH.checked_sub(distance),
    }
}

fn number(digits: &[u64]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + digit)
}

/// Days of the Gregorian calendar; the year begins in March, so that a leap day is its last.
fn days_since_1970(year: u64, month: u64, day: u64) -> i64 {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.wrapping_sub(1), month + 9) };
    let year = year.cast_signed();
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (month * 153 + 2) / 5;
    year * 365 + leap_days + (days_before_month + day).cast_signed() - 719_469
}

/// The day, as `2024-02-29`.
pub(super) fn day(time: SystemTime) -> String {
    let days = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs() / 86_400).cast_signed(),
        Err(before) => -before.duration().as_secs().div_ceil(86_400).cast_signed(),
    };
    // Years and months are found by trial: this runs once for a faulty file.
    let mut year = 1970 + days.div_euclid(366);
    let begins = |year: i64, month| days_since_1970(year.unsigned_abs(), month, 1);
    while begins(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| begins(year, *month) <= days).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", days - begins(year, month) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_read_in_both_forms() {
        for (kind, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(at(0))),
            (UTC_TIME, "240229235959Z", Some(at(1_709_251_199))),
            (UTC_TIME, "491231235959Z", Some(at(2_524_607_999))),
            (UTC_TIME, "500101000000Z", UNIX_EPOCH.checked_sub(Duration::from_secs(631_152_000))),
            (GENERALIZED_TIME, "20500101000000Z", Some(at(2_524_608_000))),
            (GENERALIZED_TIME, "99991231235959Z", Some(at(253_402_300_799))),
            (
                GENERALIZED_TIME,
                "00000101000000Z",
                UNIX_EPOCH.checked_sub(Duration::from_secs(62_167_219_200)),
            ),
            (UTC_TIME, "20500101000000Z", None),
            (UTC_TIME, "241329000000Z", None),
            (UTC_TIME, "240032000000Z", None),
            (UTC_TIME, "2402290000Z", None),
            (UTC_TIME, "24022900000xZ", None),
            (UTC_TIME, "240229000000+0100", None),
            (UTC_TIME, "", None),
            (SEQUENCE, "240229235959Z", None),
        ] {
            assert_eq!(time(kind, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn days_are_written_as_they_are_read() {
        for text in
            ["19700101", "19991231", "20000229", "20240228", "20240301", "21000301", "19691231"]
        {
            let read = time(GENERALIZED_TIME, format!("{text}120000Z").as_bytes()).unwrap();
            assert_eq!(day(read).replace('-', ""), text);
        }
    }

    #[test]
    fn anything_else_has_no_validity() {
        let nested = |content: &[u8]| {
            let mut bytes = vec![SEQUENCE, u8::try_from(content.len()).unwrap()];
            bytes.extend_from_slice(content);
            bytes
        };
        let times = nested(b"\x17\x0d240229235959Z\x17\x0d250229235959Z");
        let fields = [&[VERSION, 1, 0][..], &[2, 1, 7], &[SEQUENCE, 0], &[SEQUENCE, 0], &times];
        let whole = nested(&nested(&fields.concat()));
        let without_version = nested(&nested(&fields[1..].concat()));
        for certificate in [&whole, &without_version] {
            assert_eq!(validity(certificate).unwrap().0, at(1_709_251_199));
        }
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "{length}");
        }
        for bytes in
            [&[SEQUENCE, 0x80][..], &[SEQUENCE, 0x84, 255, 255, 255, 255], &[SEQUENCE, 0x85]]
        {
            assert_eq!(validity(bytes), None);
        }
    }
}
