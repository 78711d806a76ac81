//! Reads durations: seconds as a number, or text such as `500ms`.

use std::time::Duration;

/// A longer duration could overflow when added to a clock.
const LONGEST: f64 = 366.0 * 86_400.0;

/// Parses seconds, or a number with a unit.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E'));
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let seconds = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let duration = number.trim().parse::<f64>().ok()? * seconds;
    if (0.0..=LONGEST).contains(&duration) {
        Duration::try_from_secs_f64(duration).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::parse_duration;
    use std::time::Duration;

    #[test]
    fn durations_are_seconds_or_carry_a_unit() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, expected) in [
            ("30", ms(30_000)),
            ("0.5", ms(500)),
            ("1e2", ms(100_000)),
            ("500ms", ms(500)),
            ("2s", ms(2000)),
            ("1.5 m", ms(90_000)),
            ("5min", ms(300_000)),
            ("1 min", ms(60_000)),
            ("1d", ms(86_400_000)),
            ("1h", ms(3_600_000)),
            ("0", ms(0)),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        for bad in ["", "s", "abc", "-1", "nan", "inf", "1w", "1e300", "1 2", "5 sec"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
