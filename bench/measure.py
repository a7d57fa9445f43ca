"""Measures: every cell of a pair, one system after the other."""

import sys
import time

import machine
import rows
from peers import etcd, libraries
from peers.ours import Ours

MEMORY_RATE = 5_000
MEMORY_KEYS = 10_000
USER_MIB = MEMORY_KEYS * (16 + 256) / (1 << 20)
WRITERS = 3
# The least that `raft bench` knows: what is counted from outside begins with the first request.
NO_WARM_UP = 0.001


class Measurer:
    """What is measured, with which programs, and for how long."""

    def __init__(self, programs, quick, notes):
        self.programs, self.quick, self.notes = programs, quick, notes
        self.seconds, self.warm_up = (1.0, 0.3) if quick else (3.0, 1.0)
        ours = type("Ours", (Ours,), {"name": f"raft {Ours.version(programs.raft)}"})
        self.systems = [ours, *etcd.versions(notes)]
        self.failures = []

    def groups(self):
        """What can be named with --only, and how it is measured: cell and system and values."""
        servers = {name: lambda pair, name=name: self.servers(name) for name in rows.GROUPS}
        return {
            "floor": self.floor, **servers, "open": self.open_loop, "memory": self.memory,
            "gap": self.gap, "syncs": self.syncs, "core": self.core, "process": self.process,
            "log": self.log,
        }

    def measure(self, group, pair):
        """Puts what a group comes to into a pair. What fails is told and left out."""
        begun = time.monotonic()
        try:
            for cell, system, values in self.groups()[group](pair):
                pair.setdefault(cell, {})[system] = values
        except machine.Failed as failed:
            self.fails(group, failed)
        print(f"  {group}: {time.monotonic() - begun:.0f} s", file=sys.stderr)

    def each(self, work, systems=None):
        """The same with every system in turn; one that fails is left out."""
        for system in systems or self.systems:
            try:
                yield from ((cell, system.key, values) for cell, values in work(system))
            except machine.Failed as failed:
                self.fails(system.name, failed)

    def fails(self, what, failed):
        """Tells it now and in the notes, and goes on."""
        print(f"  {what}: {failed}", file=sys.stderr)
        self.failures.append(f"{what}: {str(failed).splitlines()[0]}")

    def floor(self, _pair):
        if self.programs.floor:
            yield "floor", "floor", libraries.floor(self.programs, self.seconds)

    def servers(self, group):
        def work(system):
            with system(self.programs.raft) as cluster:
                for cell, shape in rows.GROUPS[group].items():
                    yield cell, cluster.bench({**rows.SMALL, **shape}, self.warm_up, self.seconds)

        for cell, system, values in self.each(work):
            yield cell, system, values
            if cell == "large values" and system == Ours.key:
                yield from self.bare_writers(values)

    def bare_writers(self, values):
        """Three bare writers that sync as many bytes at a time as our logs did."""
        size = int(values["log_bytes"] / max(1, values["log_syncs"]))
        values["log_megabytes_per_second"] = values["log_bytes"] / values["seconds"] / WRITERS / 1e6
        bare = libraries.disk(self.programs, WRITERS, size, self.seconds)
        yield "large bare", "megabytes_per_second", bare["bytes_per_second"] / WRITERS / 1e6
        yield "large bare", "bytes_per_sync", size

    def open_loop(self, pair):
        """Half of what the same system wrote at best."""
        def work(system):
            rates = [pair.get(cell, {}).get(system.key, {}).get("per_second") for cell in rows.PUTS]
            if not any(rates):
                raise machine.Failed("half of the peak is not known before puts and crowds")
            shape = {"work": "put", "clients": 1000, "connections": 16,
                     "rate": int(max(filter(None, rates)) / 2)}
            with system(self.programs.raft) as cluster:
                values = cluster.bench({**rows.SMALL, **shape}, self.warm_up, self.seconds)
                yield "open loop", {**values, "rate": shape["rate"]}

        yield from self.each(work)

    def memory(self, _pair):
        """As many puts of the same keys, at the same rate."""
        def work(system):
            shape = {"work": "put", "clients": 64, "connections": 16, "rate": MEMORY_RATE}
            with system(self.programs.raft) as cluster:
                shape = {**rows.SMALL, **shape, "keys": MEMORY_KEYS}
                cluster.bench(shape, NO_WARM_UP, 3 if self.quick else 15)
                nodes = [machine.memory(server) for server in cluster.servers]
                largest = max(nodes, key=lambda node: node["rss_mib"])
                yield "memory", {key: mib - USER_MIB for key, mib in largest.items()}

        yield from self.each(work)

    def gap(self, _pair):
        """From the kill of the leader to the next write that is answered."""
        def work(system):
            with system(self.programs.raft) as cluster:
                cluster.bench({**rows.SMALL, "work": "put", "clients": 16}, NO_WARM_UP, 1)
                leader = cluster.leader()
                begun = time.monotonic()
                machine.stop([cluster.servers[leader]])
                cluster.put_after_loss(leader)
                yield "gap", {"gap_ms": (time.monotonic() - begun) * 1000}

        yield from self.each(work)

    def syncs(self, _pair):
        """How often each server syncs for a put, as strace sees it."""
        def work(system):
            for clients in (1, 64):
                with system(self.programs.raft) as cluster:
                    tracer = machine.Syncs(cluster.servers, cluster.home)
                    shape = {**rows.SMALL, "work": "put", "clients": clients, "connections": min(clients, 16)}
                    found = cluster.bench(shape, NO_WARM_UP, self.seconds)
                    counts = tracer.count()
                each = sorted((count / found["operations"] for count in counts), reverse=True)
                yield f"syncs {clients}", {"each": each, "operations": found["operations"]}

        yield from self.each(work)

    def core(self, _pair):
        for batch in rows.CORE_BATCHES:
            cell = f"core {batch}"
            if self.programs.core:
                name = f"propose to commit/{batch}"
                yield cell, "raft", libraries.criterion(self.programs.core, name, self.seconds) / batch
            rounds = max(200, int(self.seconds * 300_000 / batch))
            yield cell, "raft-rs", libraries.raft_rs(self.programs, batch, rounds)["ns_per_entry"]

    def process(self, _pair):
        for clients in rows.PROCESS_CLIENTS:
            cell = f"process {clients}"
            if self.programs.process:
                name = f"writes of 0 B/{clients}"
                ns = libraries.criterion(self.programs.process, name, self.seconds)
                yield cell, "raft", clients * 1e9 / ns
            found = libraries.openraft(self.programs, clients, self.seconds)
            yield cell, "openraft", found["per_second"]

    def log(self, _pair):
        for batch in rows.LOG_BATCHES:
            rounds = min(3_000, (192 << 20) // (batch * 288 + 4096))
            rounds = (rounds // (4 if self.quick else 1)) // 50 * 50
            for key, value in libraries.log(self.programs, batch, rounds).items():
                yield f"log {batch}", key, value
