"""What is compared: cells, which are measured, and rows, which are ratios of them.

A cell is one kind of work of one system in one pair. A row is one line of the table: what must be
reached and what is aimed at, and how it follows from the cells of a pair.
"""

from dataclasses import dataclass
from typing import Callable

SMALL = {"value-size": 256, "keys": 100_000}
LARGE_BYTES = 64 << 10

# Work for servers. Each group gets servers with fresh data: what one costs grows with what it has.
GROUPS = {
    "puts": {
        "put 1": {"work": "put", "clients": 1},
        "put 16": {"work": "put", "clients": 16},
        "put 64": {"work": "put", "clients": 64, "connections": 16},
        "put 256": {"work": "put", "clients": 256, "connections": 16},
    },
    "crowds": {
        "put 1000": {"work": "put", "clients": 1000, "connections": 16},
        "put 1000 connections": {"work": "put", "clients": 1000, "connections": 1000},
        "put pipelined": {"work": "put", "clients": 16, "connections": 16, "in-flight": 256},
    },
    "gets": {
        "get 64": {"work": "get", "clients": 64, "connections": 16, "keys": 10_000},
        "get 256": {"work": "get", "clients": 256, "connections": 16, "keys": 10_000},
    },
    "large": {
        "large values": {"work": "put", "clients": 16, "value-size": LARGE_BYTES, "keys": 1000},
    },
}
PUTS = [name for group in ("puts", "crowds") for name in GROUPS[group]]
CLIENTS = {"put 1": 1, "put 16": 16, "put 64": 64, "put 256": 256, "put 1000": 1000}

CORE_BATCHES = (1, 64, 1024)
PROCESS_CLIENTS = (1, 64, 1024)
LOG_BATCHES = (1, 16, 64, 256, 1024)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    ours: Callable
    theirs: Callable
    # How the figure follows from what we and they came to.
    figure: Callable
    must: float | None
    aim: float | None
    unit: str = "times"
    # Whether a large figure is a good one.
    more: bool = True
    peer: str = "best etcd"
    # How both sides are written.
    shown: Callable = lambda value: f"{value:,.0f}"

    def reached(self, figure):
        """`aim`, `must` or nothing."""
        for name, bound in (("aim", self.aim), ("must", self.must)):
            if bound is not None and (figure >= bound if self.more else figure <= bound):
                return name
        return ""


def of(cell, key, scale=1):
    """What one of our cells came to."""
    return lambda pair: pair.ours(cell)[key] * scale


def best_etcd(cell, key, best, scale=1):
    """What the best etcd came to."""
    return lambda pair: best(found[key] for found in pair.etcds(cell)) * scale


def library(cell, key, scale=1):
    """What a program without servers came to."""
    return lambda pair: pair.library(cell)[key] * scale


def times(ours, theirs):
    """How many times as much as they."""
    return ours / theirs


def inverse(ours, theirs):
    """How many times as little as they."""
    return theirs / ours


def own(ours, _theirs):
    """Our own figure is what counts."""
    return ours


def best_rate(pair):
    """The best that any etcd wrote in any way."""
    return max(found["per_second"] for cell in PUTS for found in pair.etcds(cell))


def rate_row(what, cell, must, aim, theirs=None):
    """Operations a second."""
    theirs = theirs or best_etcd(cell, "per_second", max)
    return Row(what, of(cell, "per_second"), theirs, times, must, aim)


def milliseconds(value):
    """Two digits after the point are enough for any latency."""
    return f"{value:.2f} ms"


def tail_row(clients, cell):
    """The slowest of a hundred."""
    return Row(
        f"put, {clients:,} clients, p99", of(cell, "p99_us", 1e-3),
        best_etcd(cell, "p99_us", min, 1e-3), times, 0.2, 0.1, more=False, shown=milliseconds,
    )


def core_row(batch, must, aim):
    """A core's cost of an entry."""
    return Row(
        f"core, propose to commit, three members on one thread, batch {batch:,}, ns an entry",
        library(f"core {batch}", "raft"), library(f"core {batch}", "raft-rs"), own, must, aim,
        unit="ns", more=False, peer="raft-rs",
    )


def process_row(clients, must, aim):
    """Three members in one process."""
    return Row(
        f"three members in one process, no disk, no network, {clients:,} clients",
        library(f"process {clients}", "raft"), library(f"process {clients}", "openraft"), times,
        must, aim, peer="openraft",
    )


def log_row(batch, peer, key, must, aim):
    """Appending and syncing."""
    bare = key == "bare"
    # raft-engine encodes within its time, so ours does too; the bare loop has nothing to encode.
    unit, mine = ("of it", "raft_log_write") if bare else ("times", "raft_log")
    return Row(
        f"log, batches of {batch:,} synced, syncs a second",
        library(f"log {batch}", f"{mine}_syncs_per_second"),
        library(f"log {batch}", f"{key}_syncs_per_second"), times, must, aim, unit=unit, peer=peer,
    )


ROWS = [
    rate_row("put, 1 client one at a time, puts/s", "put 1", 2.2, 3),
    Row("its p50", of("put 1", "p50_us", 1e-3), library("floor", "p50_us", 1e-3), times, 1.25, 1.05,
        more=False, peer="bare floor", shown=milliseconds),
    rate_row("put, 16 clients", "put 16", 5, 8),
    rate_row("put, 64 clients over 16 connections", "put 64", 8, 15),
    rate_row("put, 256 clients over 16 connections", "put 256", 10, 20),
    rate_row("put, 1,000 clients over 16 connections", "put 1000", 10, 20),
    rate_row("put, 1,000 connections of one client", "put 1000 connections", 6, 10),
    rate_row("put, 16 connections x 256 in flight, against etcd's best rate", "put pipelined", 15, 30,
             best_rate),
    *(tail_row(clients, cell) for cell, clients in CLIENTS.items() if clients > 1),
    Row("p99 / p50 at half of the own peak, open loop",
        lambda pair: pair.ours("open loop")["p99_us"] / pair.ours("open loop")["p50_us"],
        lambda pair: min(found["p99_us"] / found["p50_us"] for found in pair.etcds("open loop")),
        own, 3, 2, unit="", more=False, shown=lambda value: f"{value:.2f}"),
    rate_row("linearizable get, 64 clients", "get 64", 5, 15),
    rate_row("linearizable get, 256 clients", "get 256", 8, 30),
    Row("server CPU of a put at 256 clients, all three, us", of("put 256", "server_us"),
        best_etcd("put 256", "server_us", min), own, 12, 6, unit="us", more=False,
        shown=lambda value: f"{value:.1f}"),
    core_row(1, 1400, 700),
    core_row(64, 400, 150),
    core_row(1024, 200, 80),
    process_row(1, 3, 10),
    process_row(64, 2, 4),
    process_row(1024, 2, 4),
    *(log_row(batch, "bare loop", "bare", 0.9, 0.97) for batch in LOG_BATCHES if batch <= 256),
    *(log_row(batch, "raft-engine", "raft_engine", 1.5, 2) for batch in LOG_BATCHES if batch >= 16),
    Row("64 KiB values, MB/s of a log, of three bare writers with as many bytes a sync",
        lambda pair: pair.ours("large values")["log_megabytes_per_second"],
        library("large bare", "megabytes_per_second"), times, 0.8, 0.9, unit="of it",
        peer="bare writers"),
    Row("memory of the largest node after the same puts, less user data, MiB",
        of("memory", "rss_mib"), best_etcd("memory", "rss_mib", min), times, 0.5, None,
        more=False),
    Row("the same by itself, MiB", of("memory", "rss_mib"), best_etcd("memory", "rss_mib", min),
        own, None, 48, unit="MiB", more=False),
    Row("write gap after kill -9 of the leader, equal timeouts (1 s), ms",
        of("gap", "gap_ms"), best_etcd("gap", "gap_ms", min), times, 0.5, 0.1, more=False),
]
