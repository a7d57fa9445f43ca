"""Builds what is run, before anything is measured."""

import json
import os
import subprocess
from pathlib import Path

import machine

DRIVERS = machine.ROOT / "bench" / "drivers"
FOUND = machine.TARGET / "bench" / "programs.json"


class Programs:
    """Where each program is; nothing, if the tree has no such one."""

    def __init__(self, build):
        if build:
            found = {
                "raft": made(machine.ROOT, "build", "-p", "raft-cli", "--bin", "raft"),
                "floor": optional("raft-log", "examples", "floor", "--example"),
                "core": optional("raft-core", "benches", "step", "--bench"),
                "process": optional("raft-node", "benches", "in_process", "--bench"),
                "drivers": made(DRIVERS, "build", "--bins"),
            }
            FOUND.parent.mkdir(parents=True, exist_ok=True)
            FOUND.write_text(json.dumps(found))
        elif not FOUND.exists():
            raise machine.Failed("nothing was built before: bench/compare --build-only does")
        for name, program in json.loads(FOUND.read_text()).items():
            setattr(self, name, program and Path(program))

    def driver(self, name):
        """A program of the drivers' workspace."""
        return self.drivers.with_name(name)


def optional(krate, folder, name, kind):
    """An example or a benchmark, if there is one."""
    if not (machine.ROOT / "crates" / krate / folder / f"{name}.rs").exists():
        return None
    verb = ("bench", "--no-run") if kind == "--bench" else ("build", "--release")
    return made(machine.ROOT, *verb, "-p", krate, kind, name)


def made(folder, verb, *words):
    """Builds one program, optimised; where it is."""
    release = [] if verb == "bench" or "--release" in words else ["--release"]
    # The drivers follow what our crates need by themselves.
    locked = ["--locked"] if folder == machine.ROOT else []
    command = ["cargo", verb, *locked, *release, *words, "--message-format", "json"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(machine.TARGET)}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise machine.Failed(f"{' '.join(command)} failed")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = [message["executable"] for message in messages if message.get("executable")]
    if not found:
        raise machine.Failed(f"{' '.join(command)} made no program")
    return found[-1]
