//! The time stamp in front of the lines that a server shows.

use jiff::Zoned;

/// Local time in the layout of Go's `log` package: `2024/02/23 18:42:30`.
pub(crate) fn stamp(time: &Zoned) -> String {
    format!(
        "{:04}/{:02}/{:02} {:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Local time of day, for what a person watches as it happens: `18:42:30`.
pub(crate) fn clock(time: &Zoned) -> String {
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::{TimeZone, offset};

    use super::*;

    #[test]
    fn the_layout_of_go() {
        let zone = TimeZone::fixed(offset(1));
        let time = date(2024, 2, 23).at(18, 42, 30, 999_999_999);
        let time = time.to_zoned(zone).expect("it exists");
        assert_eq!(stamp(&time), "2024/02/23 18:42:30");
        let early = date(2025, 1, 2).at(3, 4, 5, 0).to_zoned(TimeZone::UTC).expect("it exists");
        assert_eq!(stamp(&early), "2025/01/02 03:04:05");
        assert_eq!(clock(&early), "03:04:05");
    }
}
