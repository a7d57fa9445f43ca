"""What is measured without servers: the floor, the disk, cores, logs and clusters in one process."""

import re

import machine

UNITS = {"ps": 1e-3, "ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}


def floor(programs, seconds):
    """What no replicated write can leave out, one client at a time."""
    home = machine.directory()
    try:
        said = machine.run([programs.floor, "--clients", 1, "--seconds", seconds, "--dir", home])
    finally:
        machine.remove(home)
    commits = re.search(r"(\d+) commits/s", said)
    client = re.search(r"client sees it: p50 (\d+)\s*p99 (\d+)", said)
    if not commits or not client:
        raise machine.Failed(f"the floor says something else: {said}")
    return {
        "per_second": float(commits[1]), "p50_us": float(client[1]), "p99_us": float(client[2]),
    }


def disk(programs, writers, size, seconds):
    """Bare writers at once, each write synced."""
    home = machine.directory()
    try:
        return machine.run_json([programs.driver("disk"), "--dir", home, "--writers", writers,
                                 "--bytes", size, "--seconds", seconds])
    finally:
        machine.remove(home)


def log(programs, batch, rounds):
    """The bare disk, our log and raft-engine, in turn within one process."""
    home = machine.directory()
    try:
        return machine.run_json(
            [programs.driver("log"), "--dir", home, "--batch", batch, "--rounds", rounds]
        )
    finally:
        machine.remove(home)


def openraft(programs, clients, seconds):
    """Three members of openraft in one process."""
    return machine.run_json(
        [programs.driver("openraft"), "--clients", clients, "--seconds", seconds]
    )


def raft_rs(programs, batch, rounds):
    """Three cores of raft-rs on one thread."""
    return machine.run_json([programs.driver("raft-rs"), "--batch", batch, "--rounds", rounds])


def criterion(program, name, seconds):
    """The nanoseconds that a criterion benchmark takes each time, by its own estimate."""
    said = machine.run([program, "--bench", "--noplot", "--warm-up-time", "0.5",
                        "--measurement-time", max(seconds, 1), f"^{re.escape(name)}$"],
                       cwd=machine.TARGET)
    found = re.search(r"time:\s+\[\S+ \S+ (\S+) (\S+) \S+ \S+\]", said)
    if not found:
        raise machine.Failed(f"no benchmark of {program} is called {name}")
    return float(found[1]) * UNITS[found[2]]
