//! Just enough of Rust's grammar to look at code without its comments and strings.
//!
//! Everything here keeps the line structure of what it is given, so that a finding can name the
//! line that a person sees.

/// A token with the line that it stands on, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// Its line.
    pub(crate) line: usize,
    /// An identifier or keyword, `::`, or one character of anything else.
    pub(crate) text: &'a str,
}

/// A path such as `std::thread::sleep`, groups and globs of `use` written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Its line.
    pub(crate) line: usize,
    /// Its segments, joined by `::`.
    pub(crate) text: String,
}

/// The code with comments, strings and character literals blanked out.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !is_word_before(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Splits code into what ships and what only tests see: the items under `#[cfg(test)]`. The
/// other part is blank in each.
pub(crate) fn split_tests(code: &str) -> (String, String) {
    const ATTRIBUTE: &str = "#[cfg(test)]";
    let mut shipped = code.as_bytes().to_vec();
    let mut tests = blank(code);
    let mut from = 0;
    while let Some(found) = code[from..].find(ATTRIBUTE) {
        let start = from + found;
        let end = item_end(code.as_bytes(), start + ATTRIBUTE.len());
        tests[start..end].copy_from_slice(&code.as_bytes()[start..end]);
        for byte in &mut shipped[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        from = end;
    }
    (String::from_utf8_lossy(&shipped).into_owned(), String::from_utf8_lossy(&tests).into_owned())
}

/// The names of the modules that are declared under `#[cfg(test)]` with a file of their own.
pub(crate) fn test_modules(code: &str) -> Vec<String> {
    let (_, tests) = split_tests(code);
    let tokens = tokens(&tests);
    tokens
        .windows(3)
        .filter(|w| w[0].text == "mod" && w[2].text == ";")
        .map(|w| w[1].text.to_owned())
        .collect()
}

/// The tokens of code that went through [`code_of`].
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            out.push(Token { line: number + 1, text: &rest[..length] });
            rest = rest[length..].trim_start();
        }
    }
    out
}

/// Every path of the code: `use` trees written out, and paths in the middle of code.
pub(crate) fn paths(code: &str) -> Vec<Path> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let text = tokens[at].text;
        let next = tokens.get(at + 1).map_or("", |t| t.text);
        if text == "use" && next != "<" {
            at = use_tree(&tokens, at + 1, "", &mut out);
        } else if text == "extern" && next == "crate" {
            if let Some(name) = tokens.get(at + 2) {
                out.push(Path { line: name.line, text: name.text.to_owned() });
            }
            at += 3;
        } else if text.starts_with(is_word) {
            at = chain(&tokens, at, &mut out);
        } else {
            at += 1;
        }
    }
    out
}

/// The words inside an identifier: `LeadTransferee` and `lead_transferee` both give `lead` and
/// `transferee`.
pub(crate) fn subwords(identifier: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut fresh = true;
    for c in identifier.chars() {
        if c == '_' {
            fresh = true;
            continue;
        }
        if fresh || c.is_uppercase() {
            out.push(String::new());
            fresh = false;
        }
        if let Some(last) = out.last_mut() {
            last.extend(c.to_lowercase());
        }
    }
    out
}

/// One path with `::` in the middle of code, or one lone identifier. Returns where to go on.
fn chain(tokens: &[Token<'_>], start: usize, out: &mut Vec<Path>) -> usize {
    let mut text = tokens[start].text.to_owned();
    let mut at = start + 1;
    while at + 1 < tokens.len()
        && tokens[at].text == "::"
        && tokens[at + 1].text.starts_with(is_word)
    {
        text.push_str("::");
        text.push_str(tokens[at + 1].text);
        at += 2;
    }
    if text.contains("::") {
        out.push(Path { line: tokens[start].line, text });
    }
    at
}

/// One tree of a `use` declaration below `prefix`. Returns where to go on.
fn use_tree(tokens: &[Token<'_>], start: usize, prefix: &str, out: &mut Vec<Path>) -> usize {
    let mut path = prefix.to_owned();
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|t| t.text != "}" && t.text != ";") {
                    let next = use_tree(tokens, at, &path, out);
                    let comma = tokens.get(next).is_some_and(|t| t.text == ",");
                    at = if comma { next + 1 } else { next.max(at + 1) };
                }
                return at + 1;
            }
            "self" if !path.is_empty() => at += 1,
            "as" => at += 2,
            text if text == "*" || text.starts_with(is_word) => {
                if !path.is_empty() {
                    path.push_str("::");
                }
                path.push_str(text);
                at += 1;
            }
            _ => break,
        }
    }
    let line = tokens.get(at.saturating_sub(1)).map_or(0, |t| t.line);
    out.push(Path { line, text: path });
    at
}

/// Where the item ends that begins after its attribute: at its `;`, or with its braces.
fn item_end(code: &[u8], start: usize) -> usize {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'[' | b'(' => brackets += 1,
            b']' | b')' => brackets = brackets.saturating_sub(1),
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return at + 1;
                }
            }
            b';' if braces == 0 && brackets == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn blank(code: &str) -> Vec<u8> {
    code.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect()
}

fn line_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |n| start + n)
}

fn comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string whose `r` is at `start`, or `None` if this is no raw string.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|b| **b == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = &bytes[open + 1..];
    let length = body.windows(close.len()).position(|w| w == close);
    Some(length.map_or(bytes.len(), |n| open + 1 + n + close.len()))
}

/// The end of a character literal whose quote is at `start`, or `None` if it is a lifetime.
fn char_end(bytes: &[u8], start: usize) -> Option<usize> {
    let body = std::str::from_utf8(&bytes[start + 1..]).ok()?;
    let first = body.chars().next()?;
    if first == '\\' {
        let close = body[2.min(body.len())..].find('\'')?;
        return Some(start + 1 + 2 + close + 1);
    }
    let after = start + 1 + first.len_utf8();
    (bytes.get(after) == Some(&b'\'')).then_some(after + 1)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the byte before `at` continues a word, other than the `b` or `c` of `br"` and `cr"`.
fn is_word_before(bytes: &[u8], at: usize) -> bool {
    let word = |n: usize| bytes[n].is_ascii_alphanumeric() || bytes[n] == b'_';
    match at {
        0 => false,
        1 => word(0) && !matches!(bytes[0], b'b' | b'c'),
        _ => word(at - 1) && (word(at - 2) || !matches!(bytes[at - 1], b'b' | b'c')),
    }
}
