//! `raft result`: what became of a write whose outcome is unknown.
//!
//! To ask is to decide: what is not applied when the question is, never will be. The exit code is
//! that of the write, as if its answer had come: 0 applied, 1 not applied, 5 still unknown.

use raft_node::{Fate, RequestName};
use serde_json::{Map, Value};

use super::ask::{self, Ask};
use crate::errors::{Problem, READ};
use crate::exit::Exit;
use crate::output::{self, Output};

pub(crate) fn run(ask: &Ask, request: RequestName, output: &Output) -> Result<(), Problem> {
    let client = ask.client(output)?;
    let answer = client.result(request).wait().map_err(|error| ask.problem(&error, READ))?;
    let (fate, served) = answer;
    ask::forwarded(&served, output);
    output.line(&text(request, &fate), object(request, &fate))?;
    problem(&fate).map_or(Ok(()), Err)
}

fn text(request: RequestName, fate: &Fate) -> String {
    match fate {
        Fate::Applied { at, .. } => {
            format!("{request} was applied at index {}, term {}", at.index, at.term)
        }
        Fate::Withdrawn { at } => {
            format!("{request} is not applied and never will be, as index {} says", at.index)
        }
        Fate::Forgotten => {
            format!("{request} will not be applied from now on; whether it was is forgotten")
        }
        Fate::Expired => format!(
            "{request} will not be applied from now on; whether it was is not known: session {} \
             is gone",
            request.session
        ),
    }
}

/// For the exit code, and what to do next.
fn problem(fate: &Fate) -> Option<Problem> {
    let (exit, what, hint) = match fate {
        Fate::Applied { .. } => return None,
        Fate::Withdrawn { .. } => {
            (Exit::Refused, "not applied", "send it again: it is a new request then")
        }
        Fate::Forgotten => (
            Exit::Unknown,
            "outcome unknown: its client had said that it needs the answer no longer",
            "look whether it is there before you repeat it: raft print, or raft get KEY",
        ),
        Fate::Expired => (
            Exit::Unknown,
            "outcome unknown: its session was ended, or given up for newer ones",
            "look whether it is there before you repeat it: raft print, or raft get KEY",
        ),
    };
    Some(Problem::new(exit, what).hint(hint))
}

fn object(request: RequestName, fate: &Fate) -> Value {
    let mut object = Map::new();
    object.insert("request".into(), request.to_string().into());
    let (outcome, at) = match fate {
        Fate::Applied { at, .. } => ("applied", Some(at)),
        Fate::Withdrawn { at } => ("never_applied", Some(at)),
        Fate::Forgotten => ("forgotten", None),
        Fate::Expired => ("session_gone", None),
    };
    object.insert("outcome".into(), outcome.into());
    object.insert("index".into(), at.map(|at| at.index.0).into());
    object.insert("term".into(), at.map(|at| at.term.0).into());
    if let Fate::Applied { response, .. } = fate {
        output::bytes("response", response, &mut object);
    }
    object.into()
}

#[cfg(test)]
mod tests {
    use raft_node::{Bytes, LogId};

    use super::*;

    const NAME: RequestName = RequestName { session: 17, sequence: 1 };

    #[test]
    fn each_fate_in_words_and_as_an_exit_code() {
        let at = LogId::new(21, 3);
        let cases = [
            (
                Fate::Applied { at, response: Bytes::from_static(b"3") },
                "17/1 was applied at index 21, term 3",
                0,
            ),
            (Fate::Withdrawn { at }, "17/1 is not applied and never will be, as index 21 says", 1),
            (
                Fate::Forgotten,
                "17/1 will not be applied from now on; whether it was is forgotten",
                5,
            ),
            (
                Fate::Expired,
                "17/1 will not be applied from now on; whether it was is not known: session 17 is \
                 gone",
                5,
            ),
        ];
        for (fate, words, code) in cases {
            assert_eq!(text(NAME, &fate), words);
            assert_eq!(problem(&fate).map_or(0, |problem| problem.exit.code()), code, "{fate:?}");
        }
        let applied = object(NAME, &Fate::Applied { at, response: Bytes::from_static(b"3") });
        assert_eq!((&applied["request"], &applied["outcome"]), (&"17/1".into(), &"applied".into()));
        assert_eq!((&applied["index"], &applied["response"]), (&21.into(), &"3".into()));
        assert_eq!(object(NAME, &Fate::Expired)["index"], Value::Null);
    }
}
