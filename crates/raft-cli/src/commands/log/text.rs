//! Bytes and sizes for people.

use raft_node::{Membership, NodeId};

/// No host name is longer, and no port.
const ADDRESS_CHARACTERS_MAX: usize = 262;

/// `512 B`, `64 KiB`, `1.5 MiB`.
pub(in crate::commands) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths, rounded down: `1024.0 KiB` never comes out.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    let unit = units[unit];
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// `n1 :9990`, for each member.
pub(in crate::commands) fn members(membership: &Membership) -> Vec<String> {
    let name = |id: &NodeId, address: &str| {
        let role = if membership.voters.contains(id) { "" } else { " (no vote)" };
        format!("{id} {}{role}", safe(address.as_bytes(), ADDRESS_CHARACTERS_MAX))
    };
    membership.members.iter().map(|(id, member)| name(id, &member.address)).collect()
}

/// Text that a terminal cannot take for anything else: control characters, what cannot be seen
/// and bytes that are not UTF-8 are written as escapes, a backslash as two. Written out it has at
/// most `max` characters, and an ellipsis if that is not all.
pub(in crate::commands) fn safe(bytes: &[u8], max: usize) -> String {
    let (mut text, mut left) = (String::new(), max);
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().chars().map(|character| match character {
            '\'' | '"' => character.to_string(),
            _ => character.escape_debug().collect(),
        });
        let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        for piece in valid.chain(invalid) {
            let Some(rest) = left.checked_sub(piece.chars().count()) else { return text + "…" };
            left = rest;
            text.push_str(&piece);
        }
    }
    text
}

/// `1 slot`, `2 slots`.
pub(in crate::commands) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        let cases: [(&[u8], &str); 8] = [
            (b"I like beer.", "I like beer."),
            ("Prost, Größe 🍺".as_bytes(), "Prost, Größe 🍺"),
            (b"it's \"quoted\"", "it's \"quoted\""),
            (b"a\nb\r\tc\0", "a\\nb\\r\\tc\\0"),
            (b"\x1b[31mred\x1b[0m\x07", "\\u{1b}[31mred\\u{1b}[0m\\u{7}"),
            ("\u{202e}gnihton\u{200b}\u{9b}".as_bytes(), "\\u{202e}gnihton\\u{200b}\\u{9b}"),
            (b"\xff\xfea\xe2\x82", "\\xff\\xfea\\xe2\\x82"),
            (b"C:\\n", "C:\\\\n"),
        ];
        for (bytes, text) in cases {
            assert_eq!(safe(bytes, 100), text);
        }
        assert_eq!(safe(b"beer", 4), "beer");
        assert_eq!(safe(b"beers", 4), "beer…");
        assert_eq!(safe(b"\xff\xff", 7), "\\xff…");
        assert_eq!(safe(b"\xff\xff", 8), "\\xff\\xff");
        assert_eq!((count(0, "slot"), count(1, "slot")), ("0 slots".into(), "1 slot".into()));
    }

    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (65536, "64 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (1 << 20, "1 MiB"),
            (64 << 20, "64 MiB"),
            (5 << 40, "5 TiB"),
            (5 << 50, "5120 TiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
