//! Every rule, seen at work: small projects that break it, and their like that do not.

use crate::source;
use crate::tree::{Finding, Tree};
use crate::{documents, rings, shape, words};

type Rule = fn(&Tree) -> Vec<Finding>;

const CORE: &str = "crates/raft-core/src/lib.rs";
const LOG: &str = "crates/raft-log/src/lib.rs";
const REPLICA: &str = "crates/raft-node/src/replica.rs";
const NODE: &str = "crates/raft-node/src/node/sockets.rs";
const STORE: &str = "crates/raft-store/src/lib.rs";
const SIM: &str = "crates/raft-sim/src/lib.rs";
const CLI: &str = "crates/raft-cli/src/main.rs";
const CLI_TEST: &str = "crates/raft-cli/tests/cluster.rs";

/// The rule finds one violation in the files, at `place`.
fn red(rule: Rule, files: &[(&str, &str)], place: &str) {
    let findings = rule(&Tree::sample(files));
    let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 1, "of {files:?}: {text:#?}");
    assert!(text[0].starts_with(&format!("{place}: ")), "not at {place}: {}", text[0]);
}

/// The rule finds nothing in the files.
fn green(rule: Rule, files: &[(&str, &str)]) {
    let findings = rule(&Tree::sample(files));
    assert!(findings.is_empty(), "of {files:?}: {}", findings[0]);
}

#[test]
fn a_dependency_out_of_the_table() {
    let rule = rings::manifests_keep_the_import_table;
    let core = "crates/raft-core/Cargo.toml";
    let log = "crates/raft-log/Cargo.toml";
    let sim = "crates/raft-new/Cargo.toml";
    red(rule, &[(core, "[dependencies]\nbytes.workspace = true")], &format!("{core}:2"));
    red(rule, &[(core, "[dependencies.bytes]\nworkspace = true")], &format!("{core}:1"));
    red(rule, &[(log, "[dependencies]\ntokio = { workspace = true }")], &format!("{log}:2"));
    red(rule, &[(log, "[build-dependencies]\nprost.workspace = true")], &format!("{log}:2"));
    red(rule, &[(log, "[dev-dependencies]\nraft-node.workspace = true")], &format!("{log}:2"));
    red(rule, &[(sim, "[dependencies]")], &format!("{sim}:1"));
    green(rule, &[(core, "[dependencies]\n\n[dev-dependencies]\ngoldenscript.workspace = true")]);
    green(rule, &[(log, "[dependencies]\nraft-core.workspace = true\nbytes.workspace = true")]);
}

#[test]
fn an_import_out_of_the_table() {
    let rule = rings::code_keeps_the_import_table;
    red(rule, &[(CORE, "use alloc::vec;\nuse std::vec;")], &format!("{CORE}:2"));
    red(rule, &[(CORE, "extern crate std;")], &format!("{CORE}:1"));
    red(rule, &[(LOG, "use raft_core::{\n    Index,\n    Raft,\n};")], &format!("{LOG}:3"));
    red(rule, &[(LOG, "fn f() { std::thread::yield_now() }")], &format!("{LOG}:1"));
    red(rule, &[(LOG, "use std::time;")], &format!("{LOG}:1"));
    red(rule, &[(LOG, "use std::time::*;")], &format!("{LOG}:1"));
    red(rule, &[(REPLICA, "use std::{io, net::TcpStream};")], &format!("{REPLICA}:1"));
    red(rule, &[(REPLICA, "use tokio as t;")], &format!("{REPLICA}:1"));
    red(rule, &[(REPLICA, "\nfn f() -> rustix::io::Errno")], &format!("{REPLICA}:2"));
    red(rule, &[(STORE, "use raft_node::{Apply, Node};")], &format!("{STORE}:1"));
    red(rule, &[(SIM, "use raft_node::{Client, Reply};")], &format!("{SIM}:1"));
    red(rule, &[(CLI, "use raft_core::Index;")], &format!("{CLI}:1"));
    green(rule, &[(CORE, "//! Like std::vec.\nuse alloc::vec; // not std::vec\n")]);
    green(rule, &[(CORE, "#[cfg(test)]\nmod tests {\n    use std::vec;\n}\nfn f() {}")]);
    green(
        rule,
        &[(CORE, "#[cfg(test)]\nmod twin;"), ("crates/raft-core/src/twin.rs", "use std::vec;")],
    );
    green(rule, &[(LOG, "use raft_core::{Index, RaftLike};\nuse std::time::Duration;")]);
    green(rule, &[(REPLICA, "use std::net::{IpAddr, Ipv4Addr};")]);
    green(rule, &[(NODE, "use std::{io, net::TcpStream};\nuse tokio::net as n;")]);
    green(rule, &[(STORE, "use raft_node::{Apply, Command, LogId};")]);
    green(rule, &[(SIM, "use raft_node::client_core::ClientCore;")]);
    green(rule, &[(CLI, "use raft_node::Index;")]);
}

#[test]
fn unsafe_code() {
    let rule = rings::nothing_is_unsafe;
    red(rule, &[(CORE, "fn f() {\n    unsafe { g() }\n}")], &format!("{CORE}:2"));
    red(rule, &[(CLI_TEST, "unsafe fn f() {}")], &format!("{CLI_TEST}:1"));
    green(rule, &[(CORE, "#![forbid(unsafe_code)]\n// unsafe\nconst A: &str = \"unsafe\";")]);
}

#[test]
fn a_word_of_another_house() {
    let rule = words::code_uses_the_glossary;
    red(rule, &[(CORE, "struct ConfState;")], &format!("{CORE}:1"));
    red(rule, &[(CORE, "fn f(ballot_number: u64) {}")], &format!("{CORE}:1"));
    red(rule, &[(CORE, "struct LeadTransferee;")], &format!("{CORE}:1"));
    green(rule, &[(CORE, "// etcd calls it ConfState.\nstruct Masterful;")]);
}

#[test]
fn unfinished_work() {
    let rule = words::nothing_is_left_for_later;
    red(rule, &[(CORE, "fn f() {}\n// TODO: g")], &format!("{CORE}:2"));
    red(rule, &[("README.md", "FIXME")], "README.md:1");
    red(rule, &[(CORE, "fn f() { todo!() }")], &format!("{CORE}:1"));
    red(rule, &[(CORE, "fn f() { unimplemented ! () }")], &format!("{CORE}:1"));
    red(rule, &[(CLI_TEST, "#[test]\n#[ignore = \"slow\"]\nfn f() {}")], &format!("{CLI_TEST}:2"));
    red(rule, &[(CORE, "/// ```rust,ignore\n/// f();\n/// ```")], &format!("{CORE}:1"));
    green(rule, &[(CORE, "// ignore what is to do\nfn ignore(todos: u8) { f(todos, XXXL) }")]);
}

#[test]
fn a_sleep_in_a_test() {
    let rule: Rule = |tree| words::tests_sleep_only_in(tree, &[]);
    red(rule, &[(CLI_TEST, "use std::thread::sleep;")], &format!("{CLI_TEST}:1"));
    red(rule, &[(CLI_TEST, "fn f() {\n    thread::sleep(d);\n}")], &format!("{CLI_TEST}:2"));
    red(
        rule,
        &[(NODE, "#[cfg(test)]\nmod tests {\nfn f() { tokio::time::sleep(d) }\n}")],
        &format!("{NODE}:3"),
    );
    green(rule, &[(NODE, "async fn f() { tokio::time::sleep(d).await }")]);
    let leave: Rule = |tree| words::tests_sleep_only_in(tree, &[(CLI_TEST, "it polls")]);
    green(leave, &[(CLI_TEST, "fn f() { thread::sleep(d) }")]);
    red(leave, &[(CLI_TEST, "fn f() {}")], &format!("{CLI_TEST}:1"));
}

#[test]
fn a_path_of_one_machine() {
    let rule = words::no_file_names_a_machine;
    // Put together here, since these samples are themselves a file of the project.
    for name in ["home", "root", "Users", "tmp"] {
        red(rule, &[("README.md", &format!("\nsee /{name}/me/raft"))], "README.md:2");
        red(rule, &[(CORE, &format!("// \"/{name}/x\""))], &format!("{CORE}:1"));
        let harmless = format!("~/.goraft, docs/{name}/x, https://example.org/{name}/x");
        green(rule, &[("README.md", &harmless)]);
    }
}

#[test]
fn a_file_without_end() {
    let rule = shape::files_are_short;
    let lines = |n: usize| "fn f() {}\n".repeat(n);
    red(rule, &[(CORE, &lines(501))], &format!("{CORE}:501"));
    red(rule, &[(CLI_TEST, &lines(801))], &format!("{CLI_TEST}:801"));
    green(rule, &[(CORE, &lines(500)), (CLI_TEST, &lines(800))]);
}

#[test]
fn a_manifest_of_its_own_mind() {
    let rule = shape::manifests_follow_the_root;
    let path = "crates/raft-core/Cargo.toml";
    let good = "[package]\nname = \"raft-core\"\nversion.workspace = true\n\
                edition.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
                [dependencies]\nbytes.workspace = true\n\
                tokio = { workspace = true, features = [\"rt\"] }\n[lints]\nworkspace = true\n";
    green(rule, &[(path, good)]);
    let place = format!("{path}:1");
    red(rule, &[(path, &good.replace("[lints]\nworkspace = true\n", ""))], &place);
    red(rule, &[(path, &good.replace("publish.workspace = true\n", ""))], &place);
    red(
        rule,
        &[(path, &good.replace("bytes.workspace = true", "bytes = \"1\""))],
        &format!("{path}:8"),
    );
}

#[test]
fn a_lax_root() {
    let rule = shape::the_root_is_strict;
    let good = "[workspace.package]\npublish = false\n[workspace.lints.rust]\n\
                unsafe_code = \"forbid\"\nmissing_docs = \"warn\"\n[workspace.lints.clippy]\n\
                too_many_lines = \"warn\"\n";
    green(rule, &[("Cargo.toml", good)]);
    red(rule, &[("Cargo.toml", &good.replace("forbid", "warn"))], "Cargo.toml:1");
}

#[test]
fn a_dead_link() {
    let rule = documents::links_resolve;
    let other = ("docs/b.md", "# One, two\n");
    red(rule, &[("README.md", "[b](docs/c.md)"), other], "README.md:1");
    red(rule, &[("README.md", "[`b`](docs/c.md)"), other], "README.md:1");
    red(rule, &[("README.md", "[b](docs/b.md#three)"), other], "README.md:1");
    red(rule, &[("README.md", "text\n\n[b]: docs/c.md"), other], "README.md:3");
    red(rule, &[("docs/a.md", "[b](docs/b.md)"), other], "docs/a.md:1");
    green(rule, &[("README.md", "# A\n[b](docs/b.md#one-two), [a](#a), [x](https://x)"), other]);
    green(rule, &[("docs/a.md", "[b](b.md), [d](../docs), `[n](o)`\n```\n[n](o)\n```"), other]);
}

#[test]
fn a_paper_that_leads_astray() {
    let rule = documents::the_paper_leads_to_code;
    let path = "docs/paper-to-code.md";
    let code = (CORE, "// lost\nimpl Raft { fn campaign() {} }");
    let table =
        |cell: &str| format!("| a | b |\n|---|---|\n| 5.2 | {cell} |\n\n[lib.rs]: ../{CORE}\n");
    let at = format!("{path}:3");
    red(rule, &[(path, &table("[lib.rs] `Raft::campaign`, `lost`")), code], &at);
    red(rule, &[(path, &table("[lib.rs] `Raft`; [gone.rs] `x`")), code], &at);
    red(rule, &[(path, "nothing"), code], &format!("{path}:1"));
    red(rule, &[code], &format!("{path}:1"));
    green(rule, &[(path, &table("[lib.rs] `Raft::campaign`, `Raft`")), code]);
}

#[test]
fn a_rule_that_nobody_explains() {
    let rule = documents::quoted_rules_are_explained;
    let table = ("docs/paper-to-code.md", "| rule | says |\n|---|---|\n| R7 | only above |\n");
    red(rule, &[table, (CORE, "fn f() {}\n// Not here (R8): it waits.")], &format!("{CORE}:2"));
    red(rule, &[(CLI_TEST, "const A: &str = \"R7\";")], &format!("{CLI_TEST}:1"));
    green(rule, &[table, (CORE, "// R7: struct R, fn r8(), R2D2, R100, XR9.")]);
}

#[test]
fn an_example_that_nobody_compiles() {
    let rule = documents::the_readme_shows_the_example;
    let example = "crates/raft-node/examples/counter.rs";
    let code = (example, "//! Counts.\n\nuse a::B;\n\nfn main() {}\n");
    let readme = |text: &'static str| ("README.md", text);
    let good = readme("# R\n```rust\nuse a::B;\n\nfn main() {}\n```\n");
    green(rule, &[code, good]);
    red(rule, &[good], "README.md:1");
    red(rule, &[code, readme("# R\n```console\n$ r\n```\n")], "README.md:1");
    red(rule, &[code, readme("```rust\nuse a::B;\n\nfn main() { b }\n```\n")], "README.md:4");
    red(rule, &[code, readme("```rust\nuse a::B;\n```\n")], "README.md:3");
}

#[test]
fn a_command_that_does_not_exist() {
    let rule = documents::what_is_to_be_run_exists;
    let files = [(CORE, "env(\"RAFT_E2E_SEED\")"), ("crates/raft-log/tests/fuzz/main.rs", "")];
    let [core, fuzz] = files;
    red(rule, &[("README.md", "a\n`RAFT_TEST_SEED=3`"), core], "README.md:2");
    red(rule, &[("README.md", "RAFT_E2E"), core], "README.md:1");
    red(rule, &[("README.md", "`cargo test -p raft-log --test crash a`"), fuzz], "README.md:1");
    red(rule, &[("README.md", "`cargo test -p raft-log --test fuz`"), fuzz], "README.md:1");
    red(rule, &[("docs/a.md", "`raft-log/tests/crash/`"), fuzz], "docs/a.md:1");
    green(rule, &[("README.md", "A=1 cargo test -p raft-log --test fuzz -- x"), fuzz]);
    green(rule, &[("README.md", "`RAFT_E2E_SEED=1 cargo test -p raft-core`: RAFT_"), core]);
    green(rule, &[("docs/a.md", "`raft-log/tests/fuzz/`, `raft-x`, `raft -C a/b`"), fuzz]);
}

#[test]
fn a_map_with_holes() {
    let rule = documents::the_code_map_is_complete;
    let map = "# Map\n### raft-core\n- `lib.rs`: the crate\n";
    let files = [(CORE, "fn f() {}"), (NODE, "fn f() {}")];
    let [core, node] = files;
    red(rule, &[("ARCHITECTURE.md", map), core, node], &format!("{NODE}:1"));
    red(rule, &[("ARCHITECTURE.md", map)], "ARCHITECTURE.md:3");
    red(rule, &[], "ARCHITECTURE.md:1");
    let whole = format!("{map}### raft-node\n- `node/`: sockets\n## Else\n- `x.rs`\n");
    let types = ("crates/raft-core/src/types.rs", "fn f() {}");
    let both = whole.replace("`lib.rs`:", "`lib.rs`, `types.rs`:");
    green(rule, &[("ARCHITECTURE.md", &both), core, types, node]);
    red(rule, &[("ARCHITECTURE.md", &both), core, node], "ARCHITECTURE.md:3");
    green(rule, &[("ARCHITECTURE.md", &whole), core, node]);
}

#[test]
fn code_without_comments_and_strings() {
    let code = |text: &str| source::code_of(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code("a /* b /* c */ d */ e // f\ng"), "a e g");
    assert_eq!(code(r##"a("b\"c", r#"d"e"#, br"f", b"g") h"##), "a( , , b , b ) h");
    assert_eq!(
        code(r"fn a<'b>(c: &'b str) { 'd' '\'' '\\' b'e' '\u{e9}' } f"),
        "fn a<'b>(c: &'b str) { b } f"
    );
    assert_eq!(code("parser\"x\" y"), "parser y");
}

#[test]
fn paths_of_use_trees() {
    let paths = |text: &str| {
        source::paths(text).into_iter().map(|path| path.text).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(paths("use a::{self, b::{c, d as e}, f::*};"), "a a::b::c a::b::d a::f::*");
    assert_eq!(paths("pub use ::a::b;\nlet c = d::e::<F>::g(h);"), "a::b d::e");
    assert_eq!(paths("fn a() -> impl B + use<'_> { c::D }"), "c::D");
}
