//! Both faces, from the words that a shell hands over to the command that they mean.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::CommandFactory;
use raft_node::Consistency::{Linearizable, Local};

use super::*;
use crate::commands::{
    Ask, Command, DevJob, DevOptions, DevRemote, LogJob, LogOptions, MemberJob, Message,
    ServerOptions, StatusOptions, Target, Who,
};
use crate::errors::Problem;
use crate::select::CLASSIC;
use crate::{classic, verbs};

fn parse(line: &[&str]) -> Cli {
    let words = std::iter::once("raft").chain(line.iter().copied());
    Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn classic(line: &[&str]) -> Result<Command, Problem> {
    let cli = parse(line);
    assert_eq!(cli.verb, None, "{line:?}");
    classic::command(cli.classic).map(|command| command.expect("something is asked for"))
}

fn verb(line: &[&str]) -> Result<Command, Problem> {
    let cli = parse(line);
    assert_eq!(cli.classic, Classic::default(), "{line:?}");
    verbs::command(cli.verb.expect("a verb"))
}

fn list(text: &str) -> Vec<Address> {
    addresses(text).expect("addresses")
}

fn ask(endpoints: &str) -> Ask {
    Ask { endpoints: list(endpoints), timeout: None }
}

fn append(by: &'static str, text: &str, endpoints: &str) -> Command {
    let message = Message::Given { by, bytes: text.into() };
    Command::Append { ask: ask(endpoints), message }
}

fn change(job: MemberJob) -> Command {
    Command::ChangeMembers { ask: ask(":9990"), job, dry_run: false }
}

fn server(listen: &str, cluster: Option<&str>) -> Command {
    Command::Server(ServerOptions {
        flags: CLASSIC,
        listen: address(listen).expect("an address"),
        cluster: cluster.map(list),
        tuning: Tuning::default(),
        until_stdin_closes: false,
    })
}

#[test]
fn clap_finds_no_fault() {
    Cli::command().debug_assert();
}

#[test]
fn no_verb_takes_a_classic_letter() {
    fn walk(command: &clap::Command) {
        for verb in command.get_subcommands() {
            for arg in verb.get_arguments().filter(|arg| !arg.is_global_set()) {
                let letter = arg.get_short().unwrap_or('-');
                assert!(!"cpCmS".contains(letter), "{} -{letter}", verb.get_name());
            }
            walk(verb);
        }
    }
    walk(&Cli::command());
}

#[test]
fn every_classic_spelling_of_a_server() {
    let three = ":9990,:9991,:9992";
    let lines: &[&[&str]] = &[
        &["-c", three, "-p", "9990"],
        &["-c", three, "-p", ":9990"],
        &["-p", "9990", "-c", three],
        &["-c=:9990,:9991,:9992", "-p=9990"],
        &["--c", three, "--p", "9990"],
        &["--c=:9990,:9991,:9992", "--p=:9990"],
        &["-c", ":9990, :9991 ,  :9992", "-p", " 9990 "],
        &["-c", "9990,9991,9992", "-p", "9990"],
        &["-c", ":1", "-p", "1", "-c", three, "-p", "9990"],
    ];
    for line in lines {
        assert_eq!(classic(line), Ok(server(":9990", Some(three))), "{line:?}");
    }
    assert_eq!(classic(&["-p", "9990"]), Ok(server("9990", None)));
    assert_eq!(classic(&["-p", "host:9990"]), Ok(server("host:9990", None)));
    assert_eq!(
        classic(&["-c", "a:1,[::1]:2", "-p", "[::1]:2"]),
        Ok(server("[::1]:2", Some("a:1,[::1]:2")))
    );
}

#[test]
fn every_classic_spelling_of_a_client() {
    let lines: &[&[&str]] = &[
        &["-C", "clientcommand", "-m", "I like beer.", "-S", ":9990"],
        &["-S", "9990", "-m", "I like beer.", "-C", "clientcommand"],
        &["-C=clientcommand", "-m=I like beer.", "-S=:9990"],
        &["--C", "clientcommand", "--m", "I like beer.", "--S", "9990"],
        &["--C=clientcommand", "--m=I like beer.", "--S=:9990"],
    ];
    for line in lines {
        assert_eq!(classic(line), Ok(append("-m", "I like beer.", ":9990")), "{line:?}");
    }
    let several = classic(&["-C", "clientcommand", "-m", "x", "-S", ":9990, :9991"]);
    assert_eq!(several, Ok(append("-m", "x", ":9990,:9991")));
    let add = change(MemberJob::Add(list(":9993").remove(0)));
    assert_eq!(classic(&["-C", "addserver", "-m", ":9993", "-S", ":9990"]), Ok(add));
    let member = Target::Address(list(":9993").remove(0));
    let remove = change(MemberJob::Remove(member));
    assert_eq!(classic(&["-C", "removeserver", "-m", "9993", "-S", "9990"]), Ok(remove));
}

#[test]
fn a_message_is_whatever_the_shell_hands_over() {
    for text in ["-5", "--help", "-S", "a\nb", "it's \"quoted\"", "count", " ", "append"] {
        let line = ["-C", "clientcommand", "-m", text, "-S", ":9990"];
        assert_eq!(classic(&line), Ok(append("-m", text, ":9990")), "{text:?}");
    }
    let raw = OsString::from_vec(b"\xff\xfe".to_vec());
    let words = ["raft", "-C", "clientcommand", "-S", ":9990", "-m"].map(OsString::from);
    let cli = Cli::try_parse_from(words.into_iter().chain([raw.clone()])).expect("parsed");
    assert_eq!(cli.classic.message, Some(raw.clone()));
    let cli = Cli::try_parse_from(["raft".into(), "append".into(), raw.clone()]).expect("parsed");
    let message = Message::Given { by: "TEXT", bytes: raw.into_vec() };
    let expected = Command::Append { ask: ask(":9990"), message };
    assert_eq!(verbs::command(cli.verb.expect("a verb")), Ok(expected));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let cases: &[(&[&str], &str)] = &[
        (&["-C", "clientcommand", "-S", ":9990"], "-m is missing"),
        (&["-C", "addserver", "-S", ":9990"], "-m is missing"),
        (&["-C", "clientcommand", "-m", "x"], "-S is missing"),
        (&["-C", "add", "-m", "x", "-S", ":9990"], "-C 'add' is not known"),
        (&["-C", "", "-m", "x", "-S", ":9990"], "-C '' is not known"),
        (&["-C", "addserver", "-m", "beer", "-S", ":9990"], "-m: "),
        (&["-C", "removeserver", "-m", ":99999", "-S", ":9990"], "-m: "),
        (&["-C", "clientcommand", "-m", "x", "-S", ":x"], "-S: "),
        (&["-C", "clientcommand", "-m", "x", "-S", ":9990,"], "-S: "),
        (&["-C", "clientcommand", "-m", "x", "-S", ""], "-S: "),
        (&["-C", "clientcommand", "-m", "x", "-S", ":1", "-p", "9990"], "-C asks a server"),
        (&["-C", "clientcommand", "-m", "x", "-S", ":1", "--insecure"], "--insecure"),
        (&["-c", ":9990"], "-p is missing"),
        (&["-c", ":9990,:9990", "-p", "9990"], "-c: :9990 is listed twice"),
        (&["-c", ":9990,:0x", "-p", "9990"], "-c: "),
        (&["-c", ":9990", "-p", "nine"], "-p: "),
        (&["-p", "9990", "-m", "x"], "-m goes with -C"),
        (&["-p", "9990", "-S", "x"], "-S goes with -C"),
        (&["-m", "x", "-S", ":9990"], "neither -p (run a server) nor -C"),
    ];
    for (line, expected) in cases {
        let problem = classic(line).expect_err("refused");
        assert_eq!(problem.exit.code(), 2, "{line:?}");
        assert!(problem.what.contains(expected), "{line:?}: {}", problem.what);
    }
}

#[test]
fn verbs_mean_the_same_commands() {
    assert_eq!(verb(&["append", "I like beer."]), Ok(append("TEXT", "I like beer.", ":9990")));
    assert_eq!(verb(&["append", "--", "-5"]), Ok(append("TEXT", "-5", ":9990")));
    assert_eq!(verb(&["count", "--endpoints", "1, 2"]), Ok(append("", "count", ":1,:2")));
    assert_eq!(verb(&["print"]), Ok(append("", "print", ":9990")));
    let file = Command::Append { ask: ask(":9990"), message: Message::File("-".into()) };
    assert_eq!(verb(&["append", "--file", "-"]), Ok(file));
    assert_eq!(verb(&["member", "list"]), Ok(Command::Members { ask: ask(":9990") }));
    let (n12, there) = (Target::Id(12), list(":9995").remove(0));
    let jobs: [(&[&str], MemberJob); 5] = [
        (&["add", "9995"], MemberJob::Add(there.clone())),
        (&["remove", "n12"], MemberJob::Remove(n12.clone())),
        (&["demote", "n12"], MemberJob::Demote(n12.clone())),
        (&["replace", "n12", ":9995"], MemberJob::Replace { old: n12.clone(), new: there.clone() }),
        (&["update", "n12", ":9995"], MemberJob::Update { member: n12, address: there }),
    ];
    for (line, job) in jobs {
        let line = [&["member"], line].concat();
        assert_eq!(verb(&line), Ok(change(job.clone())), "{line:?}");
        // No majority depends on where a member is.
        if matches!(job, MemberJob::Update { .. }) {
            continue;
        }
        let dry = Command::ChangeMembers { ask: ask(":9990"), job, dry_run: true };
        assert_eq!(verb(&[&line[..], &["--dry-run"]].concat()), Ok(dry));
    }
    let to = Some(Target::Address(list(":9991").remove(0)));
    assert_eq!(verb(&["transfer", "9991"]), Ok(Command::Transfer { ask: ask(":9990"), to }));
    assert_eq!(verb(&["transfer"]), Ok(Command::Transfer { ask: ask(":9990"), to: None }));
    let timeout = Some(Duration::from_millis(2500));
    let status = |timeout, watch| {
        let ask = Ask { timeout, ..ask(":9990") };
        Ok(Command::Status(StatusOptions { ask, watch }))
    };
    assert_eq!(verb(&["status", "--timeout", "2500ms"]), status(timeout, None));
    assert_eq!(verb(&["status", "--watch"]), status(None, Some(Duration::from_secs(2))));
    assert_eq!(verb(&["status", "--watch", "0.5"]), status(None, Some(Duration::from_millis(500))));
    assert_eq!(verb(&["status", "--watch=5s"]), status(None, Some(Duration::from_secs(5))));
    assert_eq!(verb(&["completions", "zsh"]), Ok(Command::Completions(Shell::Zsh)));
    assert_eq!(verb(&["man"]), Ok(Command::Man { dir: None }));
    for line in [&["member", "remove", "x3"][..], &["transfer", ""], &["member", "add", "n3"]] {
        assert_eq!(verb(line).expect_err("refused").exit.code(), 2, "{line:?}");
    }
}

#[test]
fn looking_at_a_log() {
    let log = |job| Ok(Command::Log(LogOptions { dir: "data".into(), job }));
    assert_eq!(verb(&["log", "stat", "data"]), log(LogJob::Stat));
    assert_eq!(verb(&["log", "verify", "data"]), log(LogJob::Verify));
    let all = LogJob::Dump { from: 1, to: u64::MAX, blocks: false };
    assert_eq!(verb(&["log", "dump", "data"]), log(all));
    let some = LogJob::Dump { from: 3, to: 9, blocks: true };
    assert_eq!(verb(&["log", "dump", "--from", "3", "--to", "9", "--blocks", "data"]), log(some));
    let problem = verb(&["log", "dump", "data", "--from", "9", "--to", "3"]).expect_err("refused");
    assert_eq!(problem.exit.code(), 2);
}

#[test]
fn a_local_cluster_and_what_another_terminal_asks_of_it() {
    let election_timeout = Duration::from_millis(500);
    let dev = DevOptions { nodes: 5, dir: Some("kept".into()), election_timeout };
    assert_eq!(verb(&["dev", "-n", "5", "--dir", "kept"]), Ok(Command::Dev(dev)));
    let remote = |dir: Option<&str>, job| {
        Ok(Command::DevRemote(DevRemote { dir: dir.map(Into::into), job }))
    };
    assert_eq!(verb(&["dev", "ls"]), remote(None, DevJob::Ls));
    assert_eq!(verb(&["dev", "add", "--dir", "d"]), remote(Some("d"), DevJob::Add));
    assert_eq!(verb(&["dev", "kill", "leader"]), remote(None, DevJob::Kill(Who::Leader)));
    assert_eq!(verb(&["dev", "restart", "n2"]), remote(None, DevJob::Restart(Who::Id(2))));
    let logs = DevJob::Logs(Who::Address(Address::local(9991)));
    assert_eq!(verb(&["dev", "logs", "9991", "--dir", "d"]), remote(Some("d"), logs));
    assert_eq!(verb(&["dev", "kill", "beer"]).expect_err("refused").exit.code(), 2);
}

#[test]
fn the_format_stands_before_or_behind() {
    for line in [
        &["-o", "json", "member", "list"][..],
        &["member", "list", "-o", "json"],
        &["member", "-o=json", "list"],
        &["-C", "clientcommand", "-m", "x", "-S", "1", "--output", "json"],
    ] {
        assert_eq!(parse(line).output, Some(Format::Json), "{line:?}");
    }
}

#[test]
fn the_parser_refuses() {
    for line in [
        &["append"][..],
        &["append", "x", "--file", "y"],
        &["append", "two", "words"],
        &["append", "x", "--timeout", "5"],
        &["append", "x", "--timeout", "0s"],
        &["append", "x", "--timeout", "-5s"],
        &["server", "--election-timeout", "1ms"],
        &["server", "--election-timeout", "1h"],
        &["dev", "-n", "0"],
        &["status", "--watch", "0"],
        &["status", "--watch", "-1"],
        &["status", "--watch", "often"],
        &["completions", "tcsh"],
        &["dev", "-n", "8"],
        &["dev", "-n", "3", "ls"],
        &["dev", "kill"],
        &["log"],
        &["log", "dump"],
        &["log", "dump", "d", "--from", "x"],
        &["member"],
        &["member", "add"],
        &["-c"],
        &["-x"],
        &["beer"],
    ] {
        let words = std::iter::once("raft").chain(line.iter().copied());
        let error = Cli::try_parse_from(words).expect_err("refused");
        assert_eq!(error.exit_code(), 2, "{line:?}");
    }
}

#[test]
fn times() {
    let times = [("5s", 5000), ("300ms", 300), ("1m30s", 90_000), ("1.5s", 1500), ("2 s", 2000)];
    for (text, millis) in times {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "5", "s", "-1s", "0ms", "5 beers"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_measurement_says_what_it_puts_on_the_cluster() {
    let Ok(Command::Bench(options)) = verb(&["bench", "--clients", "256", "--rate", "5000"]) else {
        panic!("a measurement");
    };
    assert_eq!((options.ask, options.local), (ask(":9990"), false));
    let load = options.load;
    assert_eq!((load.clients, load.connections, load.rate), (256, None, Some(5000)));
    assert_eq!((load.in_flight, load.value_size), (1, 256));
    assert_eq!((load.work, load.keys, load.consistency), (Work::Append, 10_000, Linearizable));
    let Ok(Command::Bench(options)) = verb(&["bench", "get", "--consistency", "local"]) else {
        panic!("a measurement");
    };
    assert_eq!((options.load.work, options.load.consistency), (Work::Get, Local));
    for (words, why) in [
        (["bench", "put", "--local"], "--local starts servers of this program"),
        (["bench", "append", "--spread"], "etcd has no messages to append"),
    ] {
        let words = words.iter().chain(&["--target", "etcd"]);
        let problem = verb(&words.copied().collect::<Vec<_>>()).expect_err("not with etcd");
        assert!(format!("{problem:?}").contains(why), "{problem:?}");
    }
    let line = ["raft", "bench", "--dir", "x"];
    assert!(Cli::try_parse_from(line).is_err(), "--dir is for --local");
}
