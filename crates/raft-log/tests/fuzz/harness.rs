//! What the fuzz targets of all crates share: inputs that are kept, changes of them, and limits.
//!
//! A target is a function that takes any bytes. It panics if something is wrong; else it says
//! whether the bytes were accepted, and in what words. Its kept inputs stand in
//! `tests/corpus/<target>.txt` of its crate, one a line: `+` (accepted) or `-` (refused), the bytes
//! in hexadecimal, what they are. An ordinary run tries all of them and some thousand changes of
//! them; run N is the same every time. `RAFT_FUZZ_SEED=N` makes only run N, `RAFT_TEST_LONG=1`
//! makes many more, and `UPDATE_GOLDENFILES=1` adds to the file what is new: lines never go.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "mutate.rs"]
mod mutate;
#[path = "../../../raft-node/src/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

pub use mutate::mutate;
pub use random::Random;

/// What became of an input: a name for what it is, or why it is refused.
pub type Verdict = Result<String, String>;

/// An input with a word on what it is.
pub type Named = (String, Vec<u8>);

/// A decoder, and how to try it.
pub struct Target {
    /// The name of its corpus.
    pub name: &'static str,
    /// Words of the format, put into inputs here and there.
    pub words: &'static [&'static [u8]],
    /// No input is larger.
    pub bytes_max: usize,
    /// Changed inputs of an ordinary run.
    pub runs: u64,
    /// Tries one input.
    pub check: fn(&[u8]) -> Verdict,
}

/// What a decoder may take for an input, as a line: so much at once, and so much for each byte.
#[derive(Clone, Copy)]
pub struct Cap {
    pub base: u64,
    pub each: u64,
}

/// Runs a decoder. What it holds at once stays below the cap; what it takes altogether, and how
/// often, which stands for its steps, is bounded by the same line.
pub fn within<T>(cap: Cap, length: usize, decode: impl FnOnce() -> T) -> T {
    let mut result = None;
    let used = allocation_counter::measure(|| result = Some(decode()));
    let most = cap.base + cap.each * length as u64;
    assert!(used.bytes_max <= most, "{} bytes at once, for {length}: cap {most}", used.bytes_max);
    let all = most * 8;
    assert!(used.bytes_total <= all, "{} bytes in all, for {length}: cap {all}", used.bytes_total);
    let steps = 256 + most / 8;
    assert!(used.count_total <= steps, "{} steps, for {length}: cap {steps}", used.count_total);
    result.expect("it was run")
}

/// Tries everything that is kept, then changes of it. `made` are inputs of today's code.
pub fn fuzz(target: &Target, made: impl FnOnce() -> Vec<Named>) {
    let mut corpus = Corpus::read(target.name);
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        corpus.update(target, made());
        corpus.write(target.name);
    }
    let alone = std::env::var("RAFT_FUZZ_SEED").ok();
    let alone = alone.map(|seed| seed.parse::<u64>().expect("RAFT_FUZZ_SEED is a number"));
    if alone.is_none() {
        corpus.replay(target);
    }
    let long = std::env::var_os("RAFT_TEST_LONG").is_some();
    let runs = if long { target.runs * 100 } else { target.runs };
    let seeds = alone.map_or(0..runs, |seed| seed..seed + 1);
    let inputs: Vec<&[u8]> = corpus.lines.iter().map(|line| &*line.bytes).collect();
    for seed in seeds {
        let input = mutate(target, &inputs, &mut Random::new(seed));
        drop(attempt(target, &input, Some(seed)));
    }
}

/// One try; if it panics, how to do it again is said first.
#[expect(clippy::print_stderr, reason = "a red test says how it is replayed")]
fn attempt(target: &Target, input: &[u8], seed: Option<u64>) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).unwrap_or_else(|panic| {
        let seed = seed.map_or(String::new(), |seed| format!("RAFT_FUZZ_SEED={seed} "));
        let package = env!("CARGO_PKG_NAME");
        let part = option_env!("CARGO_BIN_NAME")
            .map_or("--test fuzz".into(), |bin| format!("--bin {bin}"));
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        eprintln!("again: {seed}cargo test -p {package} {part} -- --exact {test}");
        eprintln!("a line for tests/corpus/{}.txt: - {} why", target.name, hex(input));
        resume_unwind(panic)
    })
}

/// A kept input.
struct Line {
    accepted: bool,
    bytes: Vec<u8>,
    what: String,
}

/// The kept inputs of another crate's target.
pub fn kept(beside: &str, name: &str) -> Vec<Vec<u8>> {
    let corpus = Corpus::read(&format!("../../{beside}/tests/corpus/{name}"));
    corpus.lines.into_iter().map(|line| line.bytes).collect()
}

struct Corpus {
    lines: Vec<Line>,
}

/// What random changes may add to a corpus: inputs, bytes of them, and those that end alike.
const FOUND_MAX: usize = 40;
const FOUND_BYTES_MAX: usize = 16 << 10;
const ALIKE_MAX: usize = 3;

impl Corpus {
    fn path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/corpus/{name}.txt"))
    }

    fn read(name: &str) -> Self {
        let text = fs::read_to_string(Self::path(name)).unwrap_or_default();
        let line = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let (sign, bytes) = (parts.next(), parts.next().and_then(unhex));
            let (Some(sign @ ("+" | "-")), Some(bytes)) = (sign, bytes) else {
                panic!("tests/corpus/{name}.txt: not a line: {line}");
            };
            let what = parts.next().unwrap_or_default().to_owned();
            Line { accepted: sign == "+", bytes, what }
        };
        Self { lines: text.lines().map(line).collect() }
    }

    fn write(&self, name: &str) {
        let mut text = String::new();
        for Line { accepted, bytes, what } in &self.lines {
            let sign = if *accepted { '+' } else { '-' };
            writeln!(text, "{sign} {} {what}", hex(bytes)).expect("a string takes all");
        }
        fs::write(Self::path(name), text).expect("the corpus is written");
    }

    /// Everything that is kept is judged as it was; both verdicts occur, or the target is blind.
    fn replay(&self, target: &Target) {
        for Line { accepted, bytes, what } in &self.lines {
            let verdict = attempt(target, bytes, None);
            let line = hex(bytes);
            assert_eq!(verdict.is_ok(), *accepted, "{}: {what}: {verdict:?}: {line}", target.name);
        }
        let accepted = self.lines.iter().filter(|line| line.accepted).count();
        let refused = self.lines.len() - accepted;
        assert!(accepted > 0 && refused > 0, "{}: +{accepted} -{refused}", target.name);
    }

    /// Adds what today's code makes, and changes of it that end in a new way.
    fn update(&mut self, target: &Target, made: Vec<Named>) {
        let mut known: BTreeSet<Vec<u8>> = self.lines.iter().map(|l| l.bytes.clone()).collect();
        let mut ends: BTreeMap<String, usize> = BTreeMap::new();
        for line in &mut self.lines {
            let verdict = attempt(target, &line.bytes, None);
            line.accepted = verdict.is_ok();
            *ends.entry(ending(&verdict)).or_default() += 1;
        }
        let fresh = known.is_empty();
        for (what, bytes) in made {
            if known.insert(bytes.clone()) {
                let verdict = attempt(target, &bytes, None);
                *ends.entry(ending(&verdict)).or_default() += 1;
                self.lines.push(Line { accepted: verdict.is_ok(), bytes, what });
            }
        }
        let seeds: Vec<Vec<u8>> = self.lines.iter().map(|line| line.bytes.clone()).collect();
        let seeds: Vec<&[u8]> = seeds.iter().map(|bytes| &**bytes).collect();
        let (mut found, mut room) = (if fresh { 0 } else { FOUND_MAX }, FOUND_BYTES_MAX);
        for seed in 0..20 * target.runs {
            if found >= FOUND_MAX {
                break;
            }
            let bytes = mutate(target, &seeds, &mut Random::new(!seed));
            let verdict = attempt(target, &bytes, None);
            let alike = ends.entry(ending(&verdict)).or_default();
            if *alike < ALIKE_MAX && bytes.len() < room.min(2048) && known.insert(bytes.clone()) {
                *alike += 1;
                room -= bytes.len();
                found += 1;
                let what = format!("changed: {}", ending(&verdict));
                self.lines.push(Line { accepted: verdict.is_ok(), bytes, what });
            }
        }
    }
}

/// A verdict without its numbers and names: what tells one way through a decoder from another.
fn ending(verdict: &Verdict) -> String {
    let (Ok(text) | Err(text)) = verdict;
    let plain = |c: &char| c.is_ascii_alphabetic() || matches!(c, ' ' | ':' | ',');
    let text: String = text.chars().filter(plain).take(90).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Bytes as a line has them; none at all are a dot.
pub fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return ".".into();
    }
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text == "." {
        return Some(Vec::new());
    }
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}
