//! Golden scripts: each file in `scripts` tells one lesson about the protocol and records, line
//! by line, what the members say and do. `UPDATE_GOLDENFILES=1 cargo test -p raft-core` records
//! them anew; the difference is then to be read like code.

mod runner;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// One test for each script, so that one can be run by its name.
macro_rules! scripts {
    ($($directory:ident: $($name:ident),* ;)*) => {
        $(mod $directory {
            $(#[test]
            fn $name() -> std::io::Result<()> {
                let directory = crate::scripts().join(stringify!($directory));
                crate::runner::check(&directory.join(stringify!($name)))
            })*
        })*

        const LISTED: &[&str] = &[$($(concat!(stringify!($directory), "/", stringify!($name))),*),*];
    };
}

scripts! {
    election: basic;
}

/// A script that no test runs would prove nothing.
#[test]
fn every_script_is_listed() -> std::io::Result<()> {
    let mut found = BTreeSet::new();
    for directory in std::fs::read_dir(scripts())? {
        for file in std::fs::read_dir(directory?.path())? {
            let path = file?.path();
            let name = path.strip_prefix(scripts()).unwrap_or(&path);
            found.insert(name.to_string_lossy().into_owned());
        }
    }
    let listed: BTreeSet<String> = LISTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed);
    Ok(())
}
