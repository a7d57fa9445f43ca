"""The pictures of docs/growth.md, from what growth.py measured."""

import json

from plot import Axis, plot

RATE, MILLISECONDS = Axis("operations a second", log=True), Axis("milliseconds", log=True)
MEMORY = Axis("MiB")


MIB, GIB = 1 << 20, 1 << 30


def line(rows, *way, x=1, y=1):
    """The points of one series: `way` leads from a row to its figure. In units of `x` and `y`."""

    def figure(row):
        for step in way:
            row = row and row.get(step)
        return row

    return [(row["x"] / x, figure(row) / y) for row in rows if figure(row) is not None]


def latencies(rows, name):
    """The median and the 99th percentile of one load."""
    return [(f"{name}, {which}", line(rows, name, f"{which}_ms")) for which in ("p50", "p99")]


def rates(rows, *names):
    return [(name, line(rows, name, "per_second")) for name in names]


def draw(results):
    """All pictures of which there are figures."""
    for name, pictures in PICTURES.items():
        if (results / f"{name}.json").exists():
            rows = json.loads((results / f"{name}.json").read_text())["rows"]
            for suffix, title, x, y, series in pictures:
                plot(results / f"{name}-{suffix}.svg", title, x, y, series(rows))


MEMBERS = Axis("members")
CLIENTS = Axis("connections, one client each", log=True)
VALUE = Axis("bytes of a value", log=True, bytes=True)
STATE = Axis("bytes of all values", log=True, bytes=True)
LOG = Axis("GiB written to the log")
DELAY = Axis("milliseconds for a round trip between members")

PICTURES = {
    "members": [
        ("rate", "Puts by members", MEMBERS, RATE, lambda rows: rates(rows, "1 client", "256 clients")),
        (
            "latency",
            "Latency of a put by members",
            MEMBERS,
            MILLISECONDS,
            lambda rows: latencies(rows, "1 client") + latencies(rows, "256 clients"),
        ),
        (
            "work",
            "Processor time of all servers for a put",
            MEMBERS,
            Axis("microseconds"),
            lambda rows: [("256 clients", line(rows, "256 clients", "server_us"))],
        ),
    ],
    "clients": [
        ("rate", "Operations by connections", CLIENTS, RATE, lambda rows: rates(rows, "put", "get")),
        (
            "latency",
            "Latency by connections",
            CLIENTS,
            MILLISECONDS,
            lambda rows: latencies(rows, "put") + latencies(rows, "get"),
        ),
        (
            "memory",
            "Memory of the largest server",
            CLIENTS,
            MEMORY,
            lambda rows: [("resident", line(rows, "memory", y=MIB))],
        ),
    ],
    "values": [
        ("rate", "Puts by size", VALUE, RATE, lambda rows: rates(rows, "16 clients", "1 client")),
        (
            "bytes",
            "Bytes put in a second",
            VALUE,
            Axis("MiB a second", log=True),
            lambda rows: [
                (name, [(x, x * y / MIB) for x, y in line(rows, name, "per_second")])
                for name in ("16 clients", "1 client")
            ],
        ),
        (
            "latency",
            "Latency of a put by size",
            VALUE,
            MILLISECONDS,
            lambda rows: latencies(rows, "1 client") + latencies(rows, "16 clients"),
        ),
    ],
    "state": [
        ("rate", "Operations by state", STATE, RATE, lambda rows: rates(rows, "put", "get")),
        (
            "latency",
            "Latency by state",
            STATE,
            MILLISECONDS,
            lambda rows: latencies(rows, "put") + latencies(rows, "get"),
        ),
        (
            "memory",
            "Memory of a server by state",
            STATE,
            Axis("bytes", log=True, bytes=True),
            lambda rows: [("resident", line(rows, "memory")), ("values alone", line(rows, "x"))],
        ),
        (
            "seconds",
            "A restart and a snapshot by state",
            STATE,
            Axis("seconds", log=True),
            lambda rows: [("restart", line(rows, "restart_s")), ("snapshot", line(rows, "snapshot_s"))],
        ),
    ],
    **{
        name: [
            (
                "rate",
                f"Puts by log, {how}",
                LOG,
                Axis("operations a second"),
                lambda rows: [("16 clients", line(rows, "put", "per_second", x=GIB))],
            ),
            (
                "latency",
                f"Latency of a put by log, {how}",
                LOG,
                Axis("milliseconds"),
                lambda rows: [(which, line(rows, "put", f"{which}_ms", x=GIB)) for which in ("p50", "p99")],
            ),
            (
                "restart",
                f"A restart by log, {how}",
                LOG,
                Axis("seconds"),
                lambda rows: [("restart", line(rows, "restart_s", x=GIB))],
            ),
        ]
        for name, how in (("log", "never compacted"), ("compacted", "a snapshot every 256 MiB"))
    },
    "delay": [
        (
            "rate",
            "Puts by delay",
            DELAY,
            RATE,
            lambda rows: rates(rows, "1 client", "64 clients", "1000 clients"),
        ),
        (
            "latency",
            "Median latency of a put by delay",
            DELAY,
            Axis("milliseconds"),
            lambda rows: [
                (name, line(rows, name, "p50_ms")) for name in ("1 client", "64 clients", "1000 clients")
            ]
            + [("the round trip", line(rows, "x"))],
        ),
    ],
}
