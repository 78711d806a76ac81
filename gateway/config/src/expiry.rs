//! Reads when a key expires: a time or a date of RFC 3339.

const DAY_MS: i64 = 86_400_000;

/// The text's moment, in ms since 1970. A date alone stands for its end, in UTC. `None` for text
/// that is neither, and for moments before 1970.
pub(super) fn expiry_ms(text: &str) -> Option<u64> {
    let (date, time) = match text.as_bytes().get(10) {
        None => (text, None),
        Some(b'T' | b't' | b' ') => (text.get(..10)?, Some(text.get(11..)?)),
        Some(_) => return None,
    };
    let start = day(date)?.checked_mul(DAY_MS)?;
    let within = time.map_or(Some(DAY_MS), time_ms)?;
    u64::try_from(start.checked_add(within)?).ok()
}

/// The date's days since 1970.
fn day(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2).filter(|it| (1..=12).contains(it))?;
    let day = number(parts.next()?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if parts.next().is_some() || !(1..=length).contains(&day) {
        return None;
    }
    // A year begins in March here, so that the leap day is its last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(days + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// The time of day, such as `18:00:00.5+02:00`, in ms after midnight in UTC.
fn time_ms(time: &str) -> Option<i64> {
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let (whole, fraction) =
        time.split_once('.').map_or((time, "0"), |(it, fraction)| (it, fraction));
    let mut parts = whole.split(':');
    let hour = number(parts.next()?, 2).filter(|it| *it < 24)?;
    let minute = number(parts.next()?, 2).filter(|it| *it < 60)?;
    // A leap second counts as the first of the next minute.
    let second = number(parts.next()?, 2).filter(|it| *it <= 60)?;
    if parts.next().is_some() {
        return None;
    }
    let fraction = fraction_ms(fraction)?;
    Some(((hour * 60 + minute) * 60 + second) * 1000 + fraction - offset_ms(zone)?)
}

/// A second's decimal fraction.
fn fraction_ms(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let digits = digits.get(..3).unwrap_or(digits);
    let scale = [1, 100, 10, 1].get(digits.len())?;
    Some(digits.parse::<i64>().ok()? * scale)
}

fn offset_ms(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hour, minute) = rest.split_once(':')?;
    let hour = number(hour, 2).filter(|it| *it < 24)?;
    let minute = number(minute, 2).filter(|it| *it < 60)?;
    Some(sign * (hour * 60 + minute) * 60_000)
}

/// A number of exactly `length` digits.
fn number(text: &str, length: usize) -> Option<i64> {
    let digits = text.len() == length && text.bytes().all(|it| it.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::expiry_ms;

    #[test]
    fn moments_are_read_as_rfc_3339_says() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01", Some(86_400_000)),
            // `date -ud … +%s` printed these.
            ("2000-02-29T23:59:59Z", Some(951_868_799_000)),
            ("2027-01-31T18:00:00+02:00", Some(1_801_411_200_000)),
            ("2027-01-31t16:00:00z", Some(1_801_411_200_000)),
            ("2027-01-31 10:30:00.25-05:30", Some(1_801_411_200_250)),
            ("2027-01-31", Some(1_801_440_000_000)),
            ("2028-02-29T00:00:00.123456Z", Some(1_835_395_200_123)),
            ("9999-12-31", Some(253_402_300_800_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("1969-12-31T23:59:59Z", None),
            ("2027-02-29", None),
            ("1900-02-29", None),
            ("2027-13-01", None),
            ("2027-00-01", None),
            ("2027-04-31", None),
            ("2027-1-31", None),
            ("27-01-31", None),
            ("2027-01-31T18:00:00", None),
            ("2027-01-31T18:00Z", None),
            ("2027-01-31T24:00:00Z", None),
            ("2027-01-31T18:00:00.Z", None),
            ("2027-01-31T18:00:00+0200", None),
            ("2027-01-31T18:00:00Z ", None),
            ("2027-01-31x", None),
            ("+027-01-31", None),
            ("31.01.2027", None),
            ("tomorrow", None),
            ("2027-01-3é", None),
            ("", None),
        ] {
            assert_eq!(expiry_ms(text), expected, "{text}");
        }
    }
}
