//! Rules about the rings: which crate may import what.

use crate::source::{self, Path};
use crate::tree::{Finding, RustFile, Tree};

/// What one crate may not reach.
struct Ring {
    /// The crate.
    name: &'static str,
    /// The crates that it may depend on; `None`: any that the root manifest lists.
    dependencies: Option<&'static [&'static str]>,
    /// Crates of this project that it may depend on.
    project: &'static [&'static str],
    /// Paths that no code of it may name, tests aside, with the reason.
    never: &'static [(&'static str, &'static str)],
    /// Paths that only files in this folder below `src/` may name.
    only_in: Option<(&'static str, &'static [&'static str])>,
    /// If it may take only some names from a crate: the crate and the names.
    door: Option<(&'static str, &'static [&'static str])>,
}

const NO_CLOCK: &str = "time is an argument here, so that a run can be replayed";
const NO_THREAD: &str = "only Node starts threads: everything below it is deterministic";
const NO_SOCKET: &str = "only Node opens sockets: everything below it is deterministic";
const ORDERED: &str = "the order of a hash map differs from run to run, and with it the outputs";
const NO_FILES: &str =
    "files are reached through raft-log's `Disk`, so that disks can be simulated";

/// The import table. A crate without a row is refused.
const RINGS: &[Ring] = &[
    Ring {
        name: "raft-core",
        dependencies: Some(&[]),
        project: &[],
        never: &[
            ("std", "the core is no_std: no clock, socket, file, thread or hash map can be in it"),
            ("log", "the core returns what happened as outputs; the caller logs"),
            ("tracing", "the core returns what happened as outputs; the caller logs"),
        ],
        only_in: None,
        door: None,
    },
    Ring {
        name: "raft-log",
        dependencies: Some(&["bytes", "crc32c", "rustix", "thiserror"]),
        project: &["raft-core"],
        never: &[
            ("raft_core::Raft", "the log knows the core's plain types, it decides nothing"),
            ("std::thread", NO_THREAD),
            ("std::net", NO_SOCKET),
            ("std::time::Instant", NO_CLOCK),
            ("std::time::SystemTime", NO_CLOCK),
            ("std::collections::HashMap", ORDERED),
            ("std::collections::HashSet", ORDERED),
            ("tokio", NO_THREAD),
        ],
        only_in: None,
        door: None,
    },
    Ring {
        name: "raft-node",
        dependencies: None,
        project: &["raft-core", "raft-log"],
        never: &[],
        only_in: Some((
            "node/",
            &[
                "tokio",
                "socket2",
                "rustix",
                "rand",
                // Addresses of `std::net` are plain data.
                "std::net::TcpListener",
                "std::net::TcpStream",
                "std::net::ToSocketAddrs",
                "std::net::UdpSocket",
                "std::thread",
                "std::fs",
                "std::env",
                "std::time::Instant",
                "std::time::SystemTime",
                "std::collections::HashMap",
                "std::collections::HashSet",
            ],
        )),
        door: None,
    },
    Ring {
        name: "raft-store",
        dependencies: Some(&["bytes"]),
        project: &["raft-node"],
        never: &[
            ("std::thread", NO_THREAD),
            ("std::net", NO_SOCKET),
            ("std::fs", NO_FILES),
            ("std::time::Instant", NO_CLOCK),
            ("std::time::SystemTime", NO_CLOCK),
            ("std::collections::HashMap", ORDERED),
            ("std::collections::HashSet", ORDERED),
        ],
        only_in: None,
        door: Some((
            "raft_node",
            &[
                "Applied",
                "Apply",
                "Command",
                "Fill",
                "Index",
                "LogId",
                "NotAdmitted",
                "Part",
                "Render",
                "Show",
                "Snapshot",
                "Term",
            ],
        )),
    },
    Ring {
        name: "raft-sim",
        dependencies: Some(&["bytes", "crc32c", "xxhash-rust"]),
        project: &["raft-core", "raft-log", "raft-node", "raft-store"],
        never: &[
            ("raft_node::Node", "the simulation does what Node does, on simulated things"),
            ("raft_node::node", "the simulation does what Node does, on simulated things"),
            ("raft_node::Client", "a simulated client drives `ClientCore` itself"),
            ("raft_log::RealDisk", "a simulated disk can lose what was not synced"),
            ("std::thread", "one thread, one order of events: a seed is a run"),
            ("std::net", NO_SOCKET),
            ("std::fs", NO_FILES),
            ("std::time::Instant", NO_CLOCK),
            ("std::time::SystemTime", NO_CLOCK),
            ("std::collections::HashMap", ORDERED),
            ("std::collections::HashSet", ORDERED),
            ("tokio", NO_THREAD),
        ],
        only_in: None,
        door: None,
    },
    Ring {
        name: "raft-cli",
        dependencies: None,
        project: &["raft-log", "raft-node", "raft-sim", "raft-store"],
        never: &[("raft_core", "the core's internals are no interface: use raft-node's exports")],
        only_in: None,
        door: None,
    },
];

/// A crate depends only on what the import table allows it.
pub(crate) fn manifests_keep_the_import_table(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in tree.crates() {
        let path = format!("crates/{krate}/Cargo.toml");
        let Some(ring) = RINGS.iter().find(|ring| ring.name == krate) else {
            findings.push(Finding {
                path,
                line: 1,
                what: format!("the crate `{krate}` has no row in the import table"),
                why: "a crate that nothing limits ends up importing everything",
                remedy: "give it a row in RINGS of tidy/rings.rs and in ARCHITECTURE.md".to_owned(),
            });
            continue;
        };
        for dependency in dependencies(tree.text(&path).unwrap_or_default()) {
            let name = &*dependency.name;
            let ours = name.starts_with("raft-");
            let allowed = if ours {
                ring.project.contains(&name)
            } else {
                dependency.dev || ring.dependencies.is_none_or(|list| list.contains(&name))
            };
            if !allowed {
                findings.push(Finding {
                    path: path.clone(),
                    line: dependency.line,
                    what: format!("`{krate}` may not depend on `{name}`"),
                    why: "the rings point inwards: Raft decides, Replica makes durable, Node talks",
                    remedy: "do it in the crate that may; see the import table, ARCHITECTURE.md"
                        .to_owned(),
                });
            }
        }
    }
    findings
}

/// The code of a crate names only what the import table allows it.
pub(crate) fn code_keeps_the_import_table(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let Some(ring) = RINGS.iter().find(|ring| ring.name == file.krate) else { continue };
        let Some(in_src) = &file.in_src else { continue };
        let paths = source::paths(&file.shipped);
        for (forbidden, why) in ring.never {
            let remedy = "give it in as an argument, or do it in an outer ring";
            report(&mut findings, &file, &paths, forbidden, why, remedy);
        }
        if let Some((folder, forbidden)) = ring.only_in
            && !in_src.starts_with(folder)
        {
            let why = "sockets, clocks, threads, files and dice belong to Node; all the rest of \
                       raft-node is deterministic and runs in simulation";
            let remedy = format!("move it to crates/{}/src/{folder}", ring.name);
            for forbidden in forbidden {
                report(&mut findings, &file, &paths, forbidden, why, &remedy);
            }
        }
        if let Some((krate, names)) = ring.door {
            findings.extend(past_the_door(&file, &paths, krate, names));
        }
    }
    findings
}

/// Nowhere is there `unsafe` code.
pub(crate) fn nothing_is_unsafe(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for code in [&file.shipped, &file.tests] {
            for token in source::tokens(code).iter().filter(|token| token.text == "unsafe") {
                findings.push(Finding {
                    path: file.path.clone(),
                    line: token.line,
                    what: "`unsafe`".to_owned(),
                    why: "no crate here needs it, and a reader need not wonder",
                    remedy: "use safe code; rustix has safe calls for what std lacks".to_owned(),
                });
            }
        }
    }
    findings
}

/// A dependency as a manifest declares it.
pub(crate) struct Dependency {
    /// The crate.
    pub(crate) name: String,
    /// Its line.
    pub(crate) line: usize,
    /// Whether only tests have it.
    pub(crate) dev: bool,
    /// Whether its version is the root manifest's business.
    pub(crate) from_workspace: bool,
}

/// The dependencies in a manifest. Reads the few shapes that manifests here have.
pub(crate) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut out: Vec<Dependency> = Vec::new();
    let mut section = String::new();
    for (number, line) in manifest.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']).to_owned();
            // [dependencies.NAME]
            if let Some((table, name)) = section.rsplit_once("dependencies.") {
                out.push(Dependency {
                    name: name.trim_matches('"').to_owned(),
                    line: number + 1,
                    dev: table.ends_with("dev-"),
                    from_workspace: false,
                });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if section.contains("dependencies.") {
            if let Some(last) = out.last_mut() {
                last.from_workspace |= key == "workspace" && value == "true";
            }
        } else if section.ends_with("dependencies") && section != "workspace.dependencies" {
            let (name, field) = key.split_once('.').unwrap_or((key, ""));
            out.push(Dependency {
                name: name.trim_matches('"').to_owned(),
                line: number + 1,
                dev: section.ends_with("dev-dependencies"),
                from_workspace: field == "workspace"
                    || value.replace(' ', "").contains("workspace=true"),
            });
        }
    }
    out
}

/// Reports every path that is `forbidden`, lies below it, or imports it with a glob or as part of
/// its parent.
fn report(
    findings: &mut Vec<Finding>,
    file: &RustFile,
    paths: &[Path],
    forbidden: &str,
    why: &'static str,
    remedy: &str,
) {
    for path in paths.iter().filter(|path| reaches(&path.text, forbidden)) {
        let subject = format!("`{}` reaches `", path.text);
        let said = |finding: &Finding| {
            finding.path == file.path
                && finding.line == path.line
                && finding.what.starts_with(&subject)
        };
        if !findings.iter().any(said) {
            findings.push(Finding {
                path: file.path.clone(),
                line: path.line,
                what: format!("{subject}{forbidden}`"),
                why,
                remedy: remedy.to_owned(),
            });
        }
    }
}

/// Whether naming `path` gives access to `forbidden`.
fn reaches(path: &str, forbidden: &str) -> bool {
    let path = path.strip_suffix("::*").unwrap_or(path);
    let below = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    below(forbidden, path) || below(path, forbidden)
}

/// Names that a file takes from `krate` although they are not among `names`.
fn past_the_door(file: &RustFile, paths: &[Path], krate: &str, names: &[&str]) -> Vec<Finding> {
    let past = |path: &&Path| {
        let mut segments = path.text.split("::");
        segments.next() == Some(krate) && segments.next().is_none_or(|name| !names.contains(&name))
    };
    let finding = |path: &Path| Finding {
        path: file.path.clone(),
        line: path.line,
        what: format!("`{}` is not part of the state machine's door", path.text),
        why: "a state machine that sees more than its commands stops being deterministic",
        remedy: format!("use only {} of `{krate}`", names.join(", ")),
    };
    paths.iter().filter(past).map(finding).collect()
}
