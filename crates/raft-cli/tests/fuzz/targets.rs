//! Words of any kind, taken for a command line, a variable, a name or an address: never a panic,
//! and what is refused is told in words.

#[path = "../../../raft-log/tests/fuzz/harness.rs"]
pub(crate) mod harness;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::error::ErrorKind;
use clap::{Parser, ValueEnum};
use raft_node::Address;

use self::harness::{Cap, Named, Target, Verdict, fuzz, within};
use crate::args::{Cli, addresses, duration, election_timeout, interval};
use crate::commands::{Target as Member, Who};
use crate::environment::switch;
use crate::errors::Problem;
use crate::output::Format;
use crate::usage;

pub(crate) fn named(what: &str, bytes: impl Into<Vec<u8>>) -> Named {
    (what.into(), bytes.into())
}

/// Pieces of command lines.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"-c\n",
    b"-p\n",
    b"-C\n",
    b"-m\n",
    b"-S\n",
    b"-h",
    b"--h",
    b"-o\njson",
    b"--output=",
    b"--",
    b"--timeout\n",
    b"--data-dir\n",
    b"--election-timeout\n",
    b"--http\n",
    b"--insecure",
    b"server\n",
    b"append\n",
    b"member\n",
    b"add\n",
    b"remove\n",
    b"transfer\n",
    b"status\n",
    b"log\n",
    b"dump\n",
    b"--from\n",
    b"--to\n",
    b"dev\n",
    b"bench\n",
    b"--duration\n",
    b"--rate\n",
    b":9990",
    b"n3",
    b"5s",
    b"18446744073709551615",
    b"\xff",
    b"clientcommand",
    b"addserver",
    b"=",
    b"-",
    b"\xe2\x80\x93c",
];

/// Command lines, right ones and wrong ones.
const LINES: &str = "
-h
--h
--help
--version
server
-c :9990,:9991,:9992 -p 9990
-p 9990
-c :9990
-c :9990 -p
-C clientcommand -m beer -S :9990
-C clientcommand -m -x -S :9990
-C count
-C addserver -m :9993 -S :9990
-C removeserver -m :9993 -S :9990
-C addsever -m :9993 -S :9990
-C clientcommand -S :9990
-C clientcommand -m beer
-C clientcommand -m beer -S :9990 -p 1
-C addserver -m x -S :9990
-c x -p 1
-c :1,:1 -p 1
-p :1 --data-dir d --insecure --http :2
-p :1 --election-timeout 1ms
-p :1 --election-timeout 61s
append beer
append
append --file -
append beer --file f
append beer --endpoints :1,:2 --timeout 1m30s
append beer --timeout 0s
append beer --timeout 9223372036854775807s
count
print --endpoints x
member list
member
member add :9993
member add x
member remove n3
member remove :9993
member remove n18446744073709551616
transfer
transfer n2
transfer x
status
status --watch
status --watch 0.5
status --watch nan
status --watch inf
status --watch 1e300
log stat d
log dump d --from 3 --to 2
log dump d --from 18446744073709551616
log dump d --blocks
log verify
log verify d
dev
dev -n 0
dev -n 8
dev -n 256
dev ls
dev kill leader
dev kill n2
dev restart x
dev logs :1 --dir d
dev add
dev -n 3 ls
bench
bench --local --duration 1s
bench --duration 9223372036854775807s
bench mixed --gets 101
bench get --keys 0
bench --rate 0
bench --rate 1000001
bench --value-size 0
bench --value-size 16777217
completions bash
completions x
man
man d
-S :1 append beer
append beer -o json
-o xml status
--output= status
verify d
raft
help
--
- -
-p -p";

/// Values of variables and options.
const VALUES: &str = "
 
5s
300ms
1m30s
0s
-5s
+5s
5
0.5
1e3
nan
inf
-0
0.05s
5 s
1h 30m
PT5S
5us
5ns
0.1ns
366d
1y
8784h
8785h
9223372036854775807s
9223372036854775808s
99999999999999999999999999s
5s ago
\u{665}s
5\u{b5}s
1e-300
1e300
50ms
49ms
60s
61s
86400
86401
0.1
0.09
1
true
no
TRUE
json
JSON
jsonl
table
plain
xml";

/// Members, servers, and lists of addresses.
const NAMES: &str = "
n
n3
n0
n-1
n+3
n18446744073709551615
n18446744073709551616
leader
Leader
:9990
host:9990
[::1]:9990
n3:9990
:1,:2
:1,:1
:1,
,
:1 , :2
a:1,A:1
x
n3,n4";

/// What is refused is refused in words.
fn told(problem: Problem) -> String {
    assert!(!problem.what.trim().is_empty());
    assert!(problem.hint.is_none_or(|hint| !hint.trim().is_empty()));
    problem.what
}

/// Both faces, from words to a command. A line feed ends a word.
fn command_line(input: &[u8]) -> Verdict {
    let words = input.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    let words: Vec<OsString> = words.collect();
    let line = std::iter::once("raft".into()).chain(words.iter().cloned());
    let _format = Format::of_unparsed(line.clone());
    // The parser makes all of its commands for each line.
    let cap = Cap { base: 4 << 20, each: 4096 };
    let cli = match within(cap, input.len(), || Cli::try_parse_from(line)) {
        Ok(cli) => cli,
        Err(error) => {
            let shown = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if shown {
                Ok("help".into())
            } else {
                Err(told(usage::problem(&error, &words)))
            };
        }
    };
    match crate::command(cli) {
        Ok(Some(command)) => Ok(format!("{command:?}").split([' ', '(']).take(1).collect()),
        Ok(None) => Ok("help for nothing".into()),
        Err(problem) => Err(told(problem)),
    }
}

#[test]
fn arguments() {
    let target = Target {
        name: "arguments",
        words: WORDS,
        bytes_max: 2000,
        runs: 1500,
        check: command_line,
    };
    fuzz(&target, || {
        let line = |line: &str| named("a command line", line.replace(' ', "\n"));
        let mut made: Vec<Named> = LINES.lines().map(line).collect();
        made.push(named("no text", *b"append\n\xff\xfe"));
        made.push(named("no text as an address", *b"-C\naddserver\n-m\n\xff\n-S\n:1"));
        made.push(named("a long word", [&b"append\n"[..], &[b'x'; 1900]].concat()));
        made.push(named("many words", b"-p\n".repeat(600)));
        made
    });
}

/// Text for one of several parsers: the first byte says for which.
fn chosen<'a>(input: &'a [u8], parsers: u8) -> (u8, std::borrow::Cow<'a, str>) {
    let (which, text) = input.split_first().unwrap_or((&0, &[]));
    (which % parsers, String::from_utf8_lossy(text))
}

#[test]
fn values() {
    let target = Target {
        name: "values",
        words: &[
            b"s",
            b"ms",
            b"h",
            b"1h30m",
            b"-",
            b"+",
            b".",
            b"e",
            b"nan",
            b"inf",
            b"9223372036854775807",
            b"PT",
            b"ago",
            b" ",
            b"0",
            b"true",
            b"json",
            b"\xc2\xb5s",
            b",",
        ],
        bytes_max: 200,
        runs: 8000,
        check: |input| {
            let (which, text) = chosen(input, 5);
            let cap = Cap { base: 8192, each: 64 };
            // Whatever is accepted can be added to a clock and shown in milliseconds.
            let time = |parse: fn(&str) -> Result<std::time::Duration, String>| {
                within(cap, text.len(), || parse(&text)).map(|time| {
                    assert!(!time.is_zero() && time.as_secs() <= 366 * 86_400, "{time:?}");
                    "a time".to_owned()
                })
            };
            match which {
                0 => time(duration),
                1 => time(election_timeout),
                2 => time(interval),
                3 => switch(&text).map(|on| on.to_string()),
                _ => Format::from_str(&text, false).map(|format| format!("{format:?}")),
            }
        },
    };
    fuzz(&target, || {
        let of = |text: &str| {
            (0..5)
                .map(move |which| named("a value", [&[which], text.as_bytes()].concat()))
                .collect::<Vec<_>>()
        };
        VALUES.lines().flat_map(of).collect()
    });
}

#[test]
fn names_and_lists() {
    let target = Target {
        name: "names_and_lists",
        words: &[
            b"n",
            b"n18446744073709551615",
            b"leader",
            b":",
            b",",
            b":9990",
            b"[::1]",
            b" ",
            b"host",
        ],
        bytes_max: 400,
        runs: 8000,
        check: |input| {
            let (which, text) = chosen(input, 3);
            let cap = Cap { base: 4096, each: 128 };
            match which {
                0 => within(cap, text.len(), || Member::parse(&text))
                    .map(|member| format!("{member:?}"))
                    .map_err(told),
                1 => within(cap, text.len(), || Who::parse(&text))
                    .map(|who| format!("{who:?}"))
                    .map_err(told),
                _ => within(cap, text.len(), || addresses(&text)).map(|list| {
                    let shown: Vec<String> = list.iter().map(Address::to_string).collect();
                    assert_eq!(addresses(&shown.join(",")), Ok(list));
                    format!("{} addresses", shown.len().min(3))
                }),
            }
        },
    };
    fuzz(&target, || {
        let of = |text: &str| {
            (0..3)
                .map(move |which| named("a name", [&[which], text.as_bytes()].concat()))
                .collect::<Vec<_>>()
        };
        NAMES.lines().flat_map(of).collect()
    });
}
