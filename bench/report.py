"""Writes docs/performance.md and its plots from what was measured."""

import os
import platform
import re
import statistics
from pathlib import Path

import machine
import rows
from plot import Axis, plot

PAGE = machine.ROOT / "docs" / "performance.md"
PLOTS = machine.ROOT / "docs" / "performance"
OURS = "raft"
MAJORITY = 2
UNSYNCED = {"openraft", "raft-rs"}


def nothing():
    """Results before the first run."""
    return {"pairs": [], "systems": {}, "notes": [], "machine": {}, "quick": False}


class Pair:
    """One pair's cells, as rows ask for them; KeyError if something was not measured."""

    def __init__(self, cells):
        self.cells = cells

    def ours(self, cell):
        return self.cells[cell][OURS]

    def library(self, cell):
        found = self.cells[cell]
        return found["floor"] if cell == "floor" else found

    def etcds(self, cell):
        found = [values for name, values in self.cells[cell].items() if name.startswith("etcd")]
        if not found:
            raise KeyError(cell)
        return found


def write(results):
    """The page and its plots."""
    pairs = [Pair(cells) for cells in results["pairs"]]
    # Ours come first.
    ordered = sorted(results["systems"].items(), key=lambda item: (item[0] != OURS, item[0]))
    results = {**results, "systems": dict(ordered)}
    PLOTS.mkdir(parents=True, exist_ok=True)
    plots = draw(results, pairs)
    text = PAGE_TEXT.format(
        about=about(results), systems=systems(results), table=table(pairs), syncs=syncs(results, pairs),
        plots="\n\n".join(f"![{alt}](performance/{name})" for name, alt in plots),
        absolute=absolute(results, pairs), notes="\n".join(f"- {note}" for note in NOTES + results["notes"]),
    )
    PAGE.write_text(text)


def values(pairs, what):
    """What something came to in each pair that measured it."""
    found = []
    for pair in pairs:
        try:
            found.append(what(pair))
        except (KeyError, ValueError, ZeroDivisionError):
            pass
    return found


def spread(found, shown):
    """The median, with the least and the most if there are more."""
    middle, least, most = (shown(pick(found)) for pick in (statistics.median, min, max))
    return middle if least == most else f"{middle} ({least} to {most})"


def table(pairs):
    """One line for each row."""
    lines = [
        "| work | this project | peer | peer that syncs | peer without syncs | figure | must | aim | reached |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.ROWS:
        ours, theirs = values(pairs, row.ours), values(pairs, row.theirs)
        figures = values(pairs, lambda pair, row=row: row.figure(row.ours(pair), row.theirs(pair)))
        cells = [row.what, median(ours, row.shown), row.peer, "", "", "not measured"]
        cells[4 if row.peer in UNSYNCED else 3] = median(theirs, row.shown)
        reached = ""
        if figures:
            cells[5] = spread(figures, figure_of(row))
            reached = row.reached(statistics.median(figures)) or "no"
        bound = "at least" if row.more else "at most"
        lines.append("| " + " | ".join([
            *cells, *(f"{bound} {goal:,}" if goal is not None else "" for goal in (row.must, row.aim)),
            reached,
        ]) + " |")
    return "\n".join(lines)


def median(found, shown):
    return shown(statistics.median(found)) if found else ""


def figure_of(row):
    """How a figure is written; the row says of what it is."""
    digits = {"ns": 0, "MiB": 0, "us": 1}.get(row.unit, 2)
    return lambda value: f"{value:,.{digits}f}"


def absolute(results, pairs):
    """Every cell of the servers in its own units."""
    lines = ["| work | system | ops/s | p50 ms | p99 ms | CPU of all servers, us | CPU of the load, us |",
             "|---|---|---|---|---|---|---|"]
    cells = [cell for group in rows.GROUPS.values() for cell in group] + ["open loop"]
    for cell in cells:
        for key, system in results["systems"].items():
            found = values(pairs, lambda pair, cell=cell, key=key: pair.cells[cell][key])
            if found:
                of = lambda name: [one[name] for one in found]
                whole, fine = (lambda v: f"{v:,.0f}"), (lambda v: f"{v / 1000:.2f}")
                lines.append(
                    f"| {cell} | {system['name']} | {spread(of('per_second'), whole)} | "
                    f"{spread(of('p50_us'), fine)} | {spread(of('p99_us'), fine)} | "
                    f"{median(of('server_us'), lambda v: f'{v:.1f}')} | "
                    f"{median(of('load_us'), lambda v: f'{v:.1f}')} |"
                )
    return "\n".join(lines)


def systems(results):
    """Who is compared, and what an answer means there."""
    lines = ["| system | durable before it answers | what else an answer promises |", "|---|---|---|"]
    for system in results["systems"].values():
        lines.append(f"| {system['name']} | {system['durable']} | {system['at_once']} |")
    return "\n".join(lines + OTHERS)


def syncs(results, pairs):
    """What strace counted."""
    lines = ["| clients | system | syncs a put on the three servers | together | enough |",
             "|---|---|---|---|---|"]
    for clients in (1, 64):
        for key, system in results["systems"].items():
            found = values(pairs, lambda pair, c=clients, k=key: pair.cells[f"syncs {c}"][k]["each"])
            if found:
                each = [statistics.median(column) for column in zip(*found)]
                shown = ", ".join(f"{count:.2f}" for count in each)
                # Those that share a sync can do with fewer.
                enough = "" if clients > 1 else "yes" if sum(each) >= MAJORITY else "no"
                lines.append(
                    f"| {clients} | {system['name']} | {shown} | {sum(each):.2f} | {enough} |"
                )
    return "\n".join(lines)


def draw(results, pairs):
    """The plots that there are figures for: file names and what they show."""
    names = {key: system["name"] for key, system in results["systems"].items()}
    clients = Axis("clients, over 16 connections", log=True)

    def servers(key, scale=1):
        of = lambda name: [
            (count, statistics.median(found))
            for cell, count in rows.CLIENTS.items()
            if (found := values(pairs, lambda pair: pair.cells[cell][name][key] * scale))
        ]
        return [(label, of(name)) for name, label in names.items()]

    def library(cell, points, series):
        of = lambda key: [
            (point, statistics.median(found))
            for point in points
            if (found := values(pairs, lambda pair: pair.cells[f"{cell} {point}"][key]))
        ]
        return [(label, of(key)) for key, label in series.items()]

    wanted = [
        ("puts.svg", "Puts a second, synced on a majority", clients, Axis("puts/s", log=True),
         servers("per_second")),
        ("p99.svg", "The slowest of 100 puts", clients, Axis("p99, ms", log=True),
         servers("p99_us", 1e-3)),
        ("cpu.svg", "Processor time of a put, all servers", clients, Axis("us", log=True),
         servers("server_us")),
        ("log.svg", "Batches appended and synced a second", Axis("entries in a batch", log=True),
         Axis("syncs/s"), library("log", rows.LOG_BATCHES, {
             "raft_log_syncs_per_second": "raft-log",
             "raft_log_write_syncs_per_second": "its write alone",
             "raft_engine_syncs_per_second": "raft-engine",
             "bare_syncs_per_second": "bare loop"})),
        ("core.svg", "The core alone: an entry, three members", Axis("batch", log=True),
         Axis("ns", log=True), library("core", rows.CORE_BATCHES, {"raft": "raft-core", "raft-rs": "raft-rs"})),
        ("process.svg", "Three members in one process, no disk", Axis("clients", log=True),
         Axis("writes/s", log=True),
         library("process", rows.PROCESS_CLIENTS, {"raft": "raft-node", "openraft": "openraft"})),
    ]
    drawn = []
    for name, title, x, y, series in wanted:
        series = [(label, points) for label, points in series if points]
        if series:
            plot(PLOTS / name, title, x, y, series)
            drawn.append((name, title))
    return drawn


def this_machine():
    """What it was measured on."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cores": os.cpu_count(), "processor": cpu[1] if cpu else platform.machine(),
        "gib": round(int(memory[1]) / (1 << 20)), "system": f"Linux {platform.release()}",
        "filesystem": machine.filesystem(machine.TARGET),
    }


def about(results):
    """One paragraph on the run."""
    if not results["machine"]:
        return "Nothing was measured yet."
    here, count = results["machine"], len(results["pairs"])
    short = " These figures are of a short run (`--quick`), good for a look." if results["quick"] else ""
    return (
        f"Measured on {here['date']}: {count} pair{'s' * (count > 1)}, {here['cores']} cores "
        f"({here['processor']}), {here['gib']} GiB, {here['filesystem']}, {here['system']}. All "
        f"servers, and the program that asks them, share these cores and one disk.{short}"
    )


OTHERS = [
    "| bare floor | records on a majority | nothing: a client, three writers, no Raft |",
    "| raft-engine, bare loop | each batch | one log, no cluster |",
    "| openraft, and ours beside it | nothing: in memory | three members in one process, empty entries |",
    "| raft-rs, and ours beside it | nothing: in memory | cores alone, on one thread |",
]

NOTES = [
    "`raft bench` asks both kinds of servers with the same loops; it speaks gRPC to etcd, which costs "
    "the load more than our own protocol does (last column of the last table).",
    "raft-engine runs with its defaults, but without compression. All logs have their room made "
    "ahead, and none removes anything while it is measured.",
    "raft-rs' members hold their logs in its `MemStorage`; our core holds no payloads, which its log "
    "buffer does in production.",
]

PAGE_TEXT = """# Performance

How fast this is beside its peers, and how far from what the machine can do at best. This page is
written by `bench/compare`, which anybody can run: [bench/README.md](../bench/README.md).

{about}

## Who is compared

Whatever answers before its data is on a disk stands in a column of its own. Ours always runs with
what is on by default: exactly-once sessions, checksums, checks of the quorum.

{systems}

## The table

Medians of all pairs; a figure is the median of the ratios within each pair, with the least and the
most. 256-byte values unless it says otherwise.

{table}

## Who syncs

Counted by `strace` on every thread of the three servers, in a run of its own. One client, one put
at a time: two syncs for each put are the least that a majority of three can do with.

{syncs}

## Plots

{plots}

## In their own units

{absolute}

## Notes

{notes}
"""
