//! The forms of the program's lines.

/// Whether this is a time in the layout of Go's `log` package: `2024/02/23 18:42:30`.
pub(crate) fn is_stamp(text: &str) -> bool {
    let pattern = "dddd/dd/dd dd:dd:dd";
    text.len() == pattern.len()
        && text.chars().zip(pattern.chars()).all(|(found, expected)| match expected {
            'd' => found.is_ascii_digit(),
            _ => found == expected,
        })
}

/// A line that a state machine shows, without its stamp; nothing if it has none.
pub(crate) fn unstamped(line: &str) -> Option<&str> {
    let (stamp, rest) = line.split_at_checked(19)?;
    is_stamp(stamp).then_some(())?;
    rest.strip_prefix(' ')
}

/// The index and the term of `appended at index 7, term 2`; nothing for any other text.
pub(crate) fn appended_at(line: &str) -> Option<(u64, u64)> {
    let (index, term) = line.strip_prefix("appended at index ")?.split_once(", term ")?;
    Some((index.parse().ok()?, term.parse().ok()?))
}

#[test]
fn stamps() {
    assert!(is_stamp("2024/02/23 18:42:30"));
    for other in ["2024-02-23 18:42:30", "2024/02/23 18:42:30.5", "2024/2/23 18:42:30", ""] {
        assert!(!is_stamp(other), "{other}");
    }
    assert_eq!(unstamped("2024/02/23 18:42:30 Count 3"), Some("Count 3"));
    assert_eq!(unstamped("2024/02/23 18:42:30Count 3"), None);
    assert_eq!(unstamped("Count 3"), None);
}

#[test]
fn places_in_the_log() {
    assert_eq!(appended_at("appended at index 7, term 2"), Some((7, 2)));
    for other in ["appended at index 7", "appended at index 7, term 2.", "index 7, term 2"] {
        assert_eq!(appended_at(other), None, "{other}");
    }
}
