//! Every error that the program can tell, in one table: `errors_tests.txt`. A person who changes
//! a text reads there what all others sound like.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p raft-cli errors` writes the table anew.

use std::fmt::Write;

use raft_node::{Index, RequestName};

use super::*;
use crate::output::versioned;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/errors_tests.txt");
const ENDPOINTS: &str = ":9990,:9991";

/// One of each. A new reason does not compile before it is here.
fn reasons() -> Vec<Reason> {
    let address = || ":9993".to_owned();
    let reasons = vec![
        Reason::NoLeader,
        Reason::NotLeader { leader: Some(":9991".into()) },
        Reason::NotLeader { leader: None },
        Reason::LeaderLost,
        Reason::Busy { what: "1024 requests".into() },
        Reason::DiskFull,
        Reason::Full {
            what: "the text log is full: it has 8 bytes of at most 9, and this takes 7; messages \
                   are kept for good: start the servers with a larger --text-log-max"
                .into(),
        },
        Reason::TooLarge { limit: 16_777_216, size: 16_777_217 },
        Reason::SessionExpired { session: 7 },
        Reason::AnswerForgotten { session: 7, sequence: 1 },
        Reason::Withdrawn { at: Index(7) },
        Reason::SessionLimit,
        Reason::ChangeInProgress,
        Reason::LeaderTooYoung,
        Reason::HandingOver { to: ":9991".into() },
        Reason::NoNewQuorum { silent: vec![":9991".into(), ":9992".into()] },
        Reason::NotMember { address: address() },
        Reason::NotVoter { address: address() },
        Reason::LastMember,
        Reason::AddressTaken { address: address() },
        Reason::Unreachable { address: address(), error: "nobody listens there".into() },
        Reason::HostlessCluster { address: "host:9993".into() },
        Reason::Removed { at: Index(7) },
        Reason::NotReady,
        Reason::Invalid("the request has no sequence number".into()),
        Reason::ShuttingDown,
    ];
    for reason in &reasons {
        match reason {
            Reason::NoLeader
            | Reason::NotLeader { .. }
            | Reason::LeaderLost
            | Reason::Busy { .. }
            | Reason::DiskFull
            | Reason::Full { .. }
            | Reason::TooLarge { .. }
            | Reason::SessionExpired { .. }
            | Reason::AnswerForgotten { .. }
            | Reason::Withdrawn { .. }
            | Reason::SessionLimit
            | Reason::ChangeInProgress
            | Reason::LeaderTooYoung
            | Reason::HandingOver { .. }
            | Reason::NoNewQuorum { .. }
            | Reason::NotMember { .. }
            | Reason::NotVoter { .. }
            | Reason::LastMember
            | Reason::AddressTaken { .. }
            | Reason::Unreachable { .. }
            | Reason::HostlessCluster { .. }
            | Reason::Removed { .. }
            | Reason::NotReady
            | Reason::Invalid(_)
            | Reason::ShuttingDown => {}
        }
    }
    reasons
}

/// As the library tells it: a refusal in its own words, an end of patience with the last one.
fn error(outcome: Conclusion, reason: Option<Reason>) -> ClientError {
    let what = match (&reason, outcome) {
        (Some(reason), Conclusion::NothingSent) => format!("no success within 5 s: {reason}"),
        (Some(reason), _) => reason.to_string(),
        (None, Conclusion::NothingSent) => {
            "no server was reached within 5 s: :9990: nobody listens there".into()
        }
        (None, Conclusion::NotApplied) => "no answer within 5 s".into(),
        (None, Conclusion::Unknown) => "the connection was lost".into(),
    };
    ClientError { outcome, reason, what, request: None }
}

fn all_reasons() -> Vec<Option<Reason>> {
    std::iter::once(None).chain(reasons().into_iter().map(Some)).collect()
}

const CONCLUSIONS: [Conclusion; 3] =
    [Conclusion::NotApplied, Conclusion::NothingSent, Conclusion::Unknown];

fn failures() -> Vec<Failure> {
    use FailureClass::{Address, Damaged, Disk, Identity, Locked, TooNew, Usage};
    // One text of each class as the library writes it, and one that gives no advice.
    let texts = [
        (
            Usage,
            "host:9990 can be reached from other machines, and nothing is encrypted or \
             authenticated yet; use an address without a host for this machine only, or say \
             --insecure if the network is yours alone",
        ),
        (
            Address,
            "cannot listen at :9990: Address already in use (os error 98); another process may \
             listen there: stop it, or choose another port",
        ),
        (
            Damaged,
            "wal/01.seg: damaged at byte 4096: a checksum does not fit (log indexes 7 to 9); \
             nothing was changed. Do not restart this member: replace it, or restore the file \
             from the disk it came from",
        ),
        (
            Disk,
            "cannot use the data directory data: Permission denied (os error 13); make it \
             writable, or name another with --data-dir",
        ),
        (
            Locked,
            "data/LOCK: in use by process 7, which serves :9990; stop it first, or choose another \
             directory with --data-dir",
        ),
        (
            Identity,
            "data: holds files that are not ours (letters) and no NODE file; nothing was changed. \
             Choose an empty directory with --data-dir",
        ),
        (
            TooNew,
            "data/NODE: written in format 9, newer than this program knows; nothing was changed. \
             Use the newer program",
        ),
    ];
    let failure = |(class, what): (FailureClass, &str)| Failure { class, what: what.into() };
    let advised = texts.iter().copied().map(failure);
    let plain = texts.iter().map(|(class, _)| failure((*class, "something failed")));
    advised.chain(plain).collect()
}

fn table() -> String {
    let mut table = String::new();
    let mut add = |title: String, problem: &Problem| {
        let Problem { exit, what, hint, outcome, request: _ } = problem;
        let outcome = outcome.expect("it was a request, or a server");
        writeln!(table, "{title}: exit {}, {outcome}\n  error: {what}", exit.code())
            .expect("a string takes all");
        writeln!(table, "  hint: {}", hint.as_deref().unwrap_or("none")).expect("as above");
    };
    for conclusion in CONCLUSIONS {
        for reason in all_reasons() {
            let title = format!("append, {conclusion}, {reason:?}");
            let problem = Problem::of_request(&error(conclusion, reason), "appended", ENDPOINTS);
            add(title, &problem);
        }
    }
    for reason in all_reasons() {
        let title = format!("read, {reason:?}");
        add(title, &Problem::of_request(&error(Conclusion::NotApplied, reason), READ, ENDPOINTS));
    }
    for failure in failures() {
        add(format!("server, {:?}", failure.class), &Problem::of_server(&failure));
    }
    let [own, other]: [Address; 2] =
        [":9992", ":9990"].map(|text| text.parse().expect("an address"));
    for failure in failures().iter().filter(|failure| failure.class == FailureClass::Damaged) {
        for others in [vec![other.clone()], vec![]] {
            let title = format!("server, {:?}, {} other members", failure.class, others.len());
            add(title, &Problem::of_member(failure, &own, &others));
        }
    }
    table
}

#[test]
fn all_errors() {
    let found = table();
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(GOLDEN, &found).expect("the golden file is written");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("the golden file is read");
    for (found, golden) in found.lines().zip(golden.lines()) {
        assert_eq!(found, golden);
    }
    assert_eq!(found.lines().count(), golden.lines().count());
}

#[test]
fn every_error_says_what_and_what_next_and_never_the_same_twice() {
    let of = |conclusion, reason, action| {
        Problem::of_request(&error(conclusion, reason), action, ENDPOINTS)
    };
    let mut all: Vec<Problem> = failures().iter().map(Problem::of_server).collect();
    for conclusion in CONCLUSIONS {
        let actions = ["appended", "added", "removed", "replaced", "handed over", READ];
        let problems = actions.iter().flat_map(|action| {
            all_reasons().into_iter().map(move |reason| of(conclusion, reason, action))
        });
        all.extend(problems);
    }
    for problem in all {
        let hint = problem.hint.as_deref().unwrap_or_default();
        assert!(!hint.is_empty() && !problem.what.is_empty(), "{problem:?}");
        assert!(!problem.what.contains('\n') && !hint.contains('\n'), "{problem:?}");
        assert!(!problem.what.contains(hint), "{problem:?}");
    }
}

#[test]
fn the_exit_code_follows_the_outcome_of_the_request() {
    for reason in all_reasons() {
        let code = |conclusion| {
            let error = error(conclusion, reason.clone());
            Problem::of_request(&error, "appended", ENDPOINTS).exit.code()
        };
        let absent = matches!(reason, Some(Reason::NotMember { .. }));
        assert_eq!(code(Conclusion::NotApplied), if absent { 3 } else { 1 }, "{reason:?}");
        assert_eq!(code(Conclusion::NothingSent), 4, "{reason:?}");
        // Once unknown, a later refusal does not make it certain.
        assert_eq!(code(Conclusion::Unknown), 5, "{reason:?}");
    }
}

#[test]
fn an_unknown_outcome_is_never_sold_as_a_refusal() {
    for reason in all_reasons() {
        let error = error(Conclusion::Unknown, reason);
        let problem = Problem::of_request(&error, "appended", ENDPOINTS);
        let hint = "it may have been appended, now or later: look before you repeat it";
        assert_eq!(problem.hint.as_deref(), Some(hint));
        assert!(problem.what.starts_with("outcome unknown: "), "{}", problem.what);
    }
}

#[test]
fn an_unknown_outcome_has_a_name_to_ask_by() {
    let request = Some(RequestName { session: 17, sequence: 1 });
    let error = ClientError { request, ..error(Conclusion::Unknown, None) };
    let problem = Problem::of_request(&error, "appended", ENDPOINTS);
    let hint = "it may have been appended, now or later; to hear which: raft result 17/1 \
                --endpoints ':9990,:9991'";
    assert_eq!(problem.hint.as_deref(), Some(hint));
    assert_eq!(problem.object()["error"]["request"], "17/1");
}

#[test]
fn for_programs() {
    let error = error(Conclusion::Unknown, Some(Reason::LeaderLost));
    let problem = Problem::of_request(&error, "appended", ENDPOINTS);
    assert_eq!(
        versioned(problem.object()).to_string(),
        "{\"error\":{\"exit\":5,\"hint\":\"it may have been appended, now or later: look before \
         you repeat it\",\"outcome\":\"unknown\",\"request\":null,\"what\":\"outcome unknown: the leader was lost \
         while the request was under way\"},\"v\":1}"
    );
    let plain = Problem::usage("wrong").object();
    assert_eq!(
        plain,
        json!({ "error": {
            "what": "wrong", "hint": null, "outcome": "nothing_sent", "request": null, "exit": 2,
        }})
    );
}
