//! Transactions as people write them: `raft txn -h` says how.

use bytes::Bytes;
use raft_store::{Compare, Is, Keys, Op, Range, Test, Txn};

/// Reads a transaction.
///
/// # Errors
/// What is wrong, and in which line.
pub(super) fn parse(text: &[u8]) -> Result<Txn, String> {
    let mut txn = Txn::default();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        step(line, &mut txn).map_err(|why| format!("line {number}: {why}"))?;
    }
    let is_empty = txn.success.is_empty() && txn.failure.is_empty();
    if is_empty { Err("there is nothing to do".into()) } else { Ok(txn) }
}

fn step(line: &[u8], txn: &mut Txn) -> Result<(), String> {
    let words = words(line)?;
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match words.as_slice() {
        [] => {}
        [b"if", rest @ ..] => txn.compares.push(compare(rest)?),
        [b"then", rest @ ..] => txn.success.push(op(rest)?),
        [b"else", rest @ ..] => txn.failure.push(op(rest)?),
        _ => return Err("a step begins with if, then or else".into()),
    }
    Ok(())
}

fn compare(words: &[&[u8]]) -> Result<Compare, String> {
    let (key, test) = match words {
        [key, b"exists"] => (key, Test::Exists(true)),
        [key, b"absent"] => (key, Test::Exists(false)),
        [b"version", key, is, number] => (key, Test::Version(relation(is)?, count(number)?)),
        [b"create_revision", key, is, number] => {
            (key, Test::Created(relation(is)?, count(number)?))
        }
        [b"mod_revision", key, is, number] => (key, Test::Modified(relation(is)?, count(number)?)),
        [key, is, value] => (key, Test::Value(relation(is)?, bytes(value))),
        _ => {
            return Err(
                "a condition is KEY = VALUE, KEY exists, KEY absent or version KEY > N".into()
            );
        }
    };
    Ok(Compare { key: bytes(key), test })
}

fn op(words: &[&[u8]]) -> Result<Op, String> {
    match words {
        [b"put", key, value] => Ok(Op::Put(bytes(key), bytes(value))),
        [b"del", key] => Ok(Op::Delete(Keys::One(bytes(key)))),
        [b"del", key, b"--prefix"] => Ok(Op::Delete(Keys::prefix(bytes(key)))),
        [b"get", key] => Ok(Op::Get(Range::of(Keys::One(bytes(key))))),
        [b"get", key, b"--prefix"] => Ok(Op::Get(Range::of(Keys::prefix(bytes(key))))),
        _ => Err("a step is put KEY VALUE, del KEY or get KEY, the last two with --prefix".into()),
    }
}

fn relation(word: &[u8]) -> Result<Is, String> {
    match word {
        b"=" => Ok(Is::Equal),
        b"!=" => Ok(Is::NotEqual),
        b"<" => Ok(Is::Less),
        b">" => Ok(Is::Greater),
        _ => Err(format!("'{}' is none of = != < >", String::from_utf8_lossy(word))),
    }
}

fn count(word: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(word);
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

fn bytes(word: &[u8]) -> Bytes {
    Bytes::copy_from_slice(word)
}

/// The words of a line, up to a comment.
fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b' ' | b'\t' | b'\r' => words.extend(word.take()),
            b'#' if word.is_none() => break,
            b'\'' | b'"' => quoted(byte, &mut rest, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Up to the closing quote.
fn quoted(
    quote: u8,
    rest: &mut impl Iterator<Item = u8>,
    word: &mut Vec<u8>,
) -> Result<(), String> {
    loop {
        match rest.next() {
            None => return Err("a quote is not closed".into()),
            Some(byte) if byte == quote => return Ok(()),
            Some(b'\\') if quote == b'"' => word.push(escape(rest)?),
            Some(byte) => word.push(byte),
        }
    }
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    match rest.next() {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(byte @ (b'\\' | b'"')) => Ok(byte),
        Some(b'x') => match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
            _ => Err("\\x is followed by two digits: \\x0a".into()),
        },
        _ => Err("after a backslash comes n, r, t, \\, \" or xNN".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_of_everything() {
        let text = b"# a story\nif beer = 'very cold' # really\r\n\tif wine absent\nif beer exists\n\
            if version beer > 2\nif create_revision beer < 9\nif mod_revision beer != 7\n\n\
            then put beer \"a\\n\\\"\\x00\\\\\"\nthen put x ''\nthen del wine/ --prefix\nthen get beer\n\
            else del a#b\nelse get '' --prefix\n";
        let txn = parse(text).expect("a transaction");
        let beer = || Bytes::from_static(b"beer");
        let compare = |key: &'static [u8], test| Compare { key: Bytes::from_static(key), test };
        assert_eq!(
            txn.compares,
            [
                compare(b"beer", Test::Value(Is::Equal, Bytes::from_static(b"very cold"))),
                compare(b"wine", Test::Exists(false)),
                compare(b"beer", Test::Exists(true)),
                compare(b"beer", Test::Version(Is::Greater, 2)),
                compare(b"beer", Test::Created(Is::Less, 9)),
                compare(b"beer", Test::Modified(Is::NotEqual, 7)),
            ]
        );
        assert_eq!(
            txn.success,
            [
                Op::Put(beer(), Bytes::from_static(b"a\n\"\0\\")),
                Op::Put(Bytes::from_static(b"x"), Bytes::new()),
                Op::Delete(Keys::prefix("wine/")),
                Op::Get(Range::of(Keys::One(beer()))),
            ]
        );
        assert_eq!(
            txn.failure,
            [
                Op::Delete(Keys::One(Bytes::from_static(b"a#b"))),
                Op::Get(Range::of(Keys::From(Bytes::new()))),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases = [
            ("", "there is nothing to do"),
            ("if a = b", "there is nothing to do"),
            ("\nput a b", "line 2: a step begins with if, then or else"),
            ("then put a", "line 1: a step is put KEY VALUE"),
            ("then del a prefix", "line 1: a step is put KEY VALUE"),
            ("if a == b", "line 1: '==' is none of"),
            ("if version a > many", "line 1: 'many' is no number"),
            ("if a", "line 1: a condition is"),
            ("then put a 'b", "line 1: a quote is not closed"),
            ("then put a \"\\q\"", "line 1: after a backslash"),
            ("then put a \"\\x0\"", "line 1: \\x is followed"),
        ];
        for (text, start) in cases {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }
}
