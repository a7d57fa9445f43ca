"""Builds what is run, before anything is measured."""

import json
import os
import subprocess
from pathlib import Path

import machine

DRIVERS = machine.ROOT / "bench" / "drivers"


class Programs:
    """Where each program is; nothing, if the tree has no such one."""

    def __init__(self, build):
        self.build = build
        self.raft = self.made(machine.ROOT, "build", "-p", "raft-cli", "--bin", "raft")
        self.floor = self.optional("raft-log", "examples", "floor", "--example")
        self.core = self.optional("raft-core", "benches", "step", "--bench")
        self.process = self.optional("raft-node", "benches", "in_process", "--bench")
        self.drivers = self.made(DRIVERS, "build", "--bins")

    def driver(self, name):
        """A program of the drivers' workspace."""
        return self.drivers.with_name(name)

    def optional(self, krate, folder, name, kind):
        """An example or a benchmark, if there is one."""
        if not (machine.ROOT / "crates" / krate / folder / f"{name}.rs").exists():
            return None
        verb = ("bench", "--no-run") if kind == "--bench" else ("build", "--release")
        return self.made(machine.ROOT, *verb, "-p", krate, kind, name)

    def made(self, folder, verb, *words):
        """Builds one program, optimised; where it is."""
        release = [] if verb == "bench" or "--release" in words else ["--release"]
        # The drivers follow what our crates need by themselves.
        locked = ["--locked"] if folder == machine.ROOT else []
        command = ["cargo", verb, *locked, *release, *words, "--message-format", "json"]
        if not self.build:
            command.append("--offline")
        environment = {**os.environ, "CARGO_TARGET_DIR": str(machine.TARGET)}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode != 0:
            raise machine.Failed(f"{' '.join(command)} failed")
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found = [message["executable"] for message in messages if message.get("executable")]
        return Path(found[-1])
