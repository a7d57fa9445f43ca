//! `raft append`, `count`, `print`, and `-C clientcommand`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use raft_node::Written;
use serde_json::{Map, Value};

use super::ask::{self, Ask};
use crate::errors::Problem;
use crate::exit::Exit;
use crate::output::{self, Output};

/// The largest message that a cluster takes.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;

/// Where the message is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// On the command line: raw bytes, as the system hands them over.
    Given { by: &'static str, bytes: Vec<u8> },
    /// In a file, byte for byte; `-` is standard input.
    File(PathBuf),
}

pub(crate) fn run(ask: &Ask, message: Message, output: &Output) -> Result<(), Problem> {
    let message = message.load()?;
    let client = ask.client(output)?;
    ask::on_interrupt("interrupted: the message may have been appended", output)?;
    let command = raft_store::message(&message);
    let written = client.write(command).wait().map_err(|error| ask.problem(&error, "appended"))?;
    ask::forwarded(&written.served, output);
    let at = written.at;
    output.line(&format!("appended at index {}, term {}", at.index, at.term), object(&written))
}

impl Message {
    fn load(self) -> Result<Bytes, Problem> {
        let (name, bytes) = match self {
            Self::Given { by, bytes } => (by.to_owned(), bytes),
            Self::File(path) => (path.display().to_string(), read(&path)?),
        };
        let size = bytes.len() as u64;
        if size == 0 {
            return Err(Problem::usage(format!("{name} is empty: an empty message says nothing")));
        }
        if size > MESSAGE_BYTES_MAX {
            return Err(too_large(&format!("{size} bytes")));
        }
        Ok(bytes.into())
    }
}

fn too_large(size: &str) -> Problem {
    let limit = format!("{MESSAGE_BYTES_MAX} bytes (16 MiB)");
    Problem::new(Exit::Refused, format!("the message has {size}, a message at most {limit}"))
        .hint("nothing was sent; split it")
}

/// Reads at most one byte too many: a wrong file name must not fill the memory.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let cannot = |error: io::Error| {
        Problem::usage(format!("cannot read the message from {}: {error}", path.display()))
    };
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_file() && metadata.len() > MESSAGE_BYTES_MAX {
            return Err(too_large(&format!("{} bytes", metadata.len())));
        }
        Box::new(file)
    };
    let mut bytes = Vec::new();
    source.take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MESSAGE_BYTES_MAX {
        return Err(too_large(&format!("more than {MESSAGE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

pub(crate) fn object(written: &Written) -> Value {
    let mut object = Map::new();
    object.insert("index".into(), written.at.index.0.into());
    object.insert("term".into(), written.at.term.0.into());
    object.insert("contacted".into(), written.served.contacted.clone().into());
    object.insert("forwarded_to".into(), written.served.forwarded_to.clone().into());
    output::bytes("response", &written.response, &mut object);
    object.into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file_of(size: u64) -> Result<usize, Problem> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("message");
        let file = File::create(&path).expect("made");
        file.set_len(size).expect("sized");
        Message::File(path).load().map(|bytes| bytes.len())
    }

    #[test]
    fn sizes() {
        assert_eq!(file_of(1), Ok(1));
        assert_eq!(file_of(1 << 20), Ok(1 << 20));
        assert_eq!(file_of(MESSAGE_BYTES_MAX), Ok(16 << 20));
        for size in [MESSAGE_BYTES_MAX + 1, 17 << 20] {
            let problem = file_of(size).expect_err("too large");
            assert_eq!(problem.exit, Exit::Refused);
            assert!(problem.what.contains(&size.to_string()), "{}", problem.what);
        }
        assert_eq!(file_of(0).expect_err("empty").exit, Exit::Usage);
        let given = Message::Given { by: "-m", bytes: Vec::new() }.load().expect_err("empty");
        assert_eq!(given.what, "-m is empty: an empty message says nothing");
    }

    #[test]
    fn bytes_stay_as_they_are() {
        let raw = b"a\n'\"\\\xff\x00\r\n".to_vec();
        let given = Message::Given { by: "-m", bytes: raw.clone() }.load();
        assert_eq!(given, Ok(raw.clone().into()));
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("message");
        fs::write(&path, &raw).expect("written");
        assert_eq!(Message::File(path).load(), Ok(raw.into()));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        for path in [dir.path().join("absent"), dir.path().to_owned()] {
            let problem = Message::File(path.clone()).load().expect_err("unreadable");
            assert_eq!(problem.exit, Exit::Usage);
            assert!(problem.what.contains(&path.display().to_string()), "{}", problem.what);
        }
    }
}
