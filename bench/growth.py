#!/usr/bin/env python3
"""How the cost of an operation grows with the log, the state, the members, the clients, the values
and the delay of the network.

    bench/growth.py measure members clients values ...   one or more of CELLS, or all of them
    bench/growth.py draw                                 SVG plots of what was measured

Servers are real processes of the release program, on a disk below --dir, and the load is
`raft bench`. What it found goes to docs/growth/CELL.json; docs/growth.md shows it.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from growth_plots import draw

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "growth"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Cluster:
    """Running servers, on fresh directories; gone at the end of `with`."""

    def __init__(self, options, size, more=(), hosts=None):
        self.options, self.hosts = options, hosts
        self.more = ["--until-stdin-closes", *more]
        self.dir = Path(tempfile.mkdtemp(prefix="growth-", dir=options.dir))
        names = [f"n{at + 1}" if hosts else "" for at in range(size)]
        self.addresses = [f"{name}:{port}" for name, port in zip(names, free_ports(size))]
        self.servers = {}

    def __enter__(self):
        try:
            for address in self.addresses:
                self.start(address)
            self.leader()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.kill()
            server.wait()
        shutil.rmtree(self.dir)

    def start(self, address):
        """A server of the cluster starts, for the first time or again."""
        at = self.addresses.index(address)
        command = [self.options.raft, "server", "--cluster", ",".join(self.addresses)]
        command += ["--listen", address, "--data-dir", self.dir / str(at), *self.more]
        if self.hosts:
            command = self.hosts.enter(at, [*command, "--insecure"])
        log = open(self.dir / f"{at}.log", "ab")
        self.servers[address] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log
        )

    def ask(self, *args):
        """One command of the program, and its JSON."""
        command = [self.options.raft, *args, "-o", "json", "--endpoints", ",".join(self.addresses)]
        if self.hosts:
            command = self.hosts.enter(None, command)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.stdout else {"error": done.stderr.strip()}

    def bench(self, work, **shape):
        """`raft bench`; short unless `shape` says otherwise."""
        shape = {"duration": "3s", "warm_up": "500ms", **shape}
        words = [[f"--{name.replace('_', '-')}", str(value)] for name, value in shape.items()]
        found = self.ask("bench", work, *(word for pair in words for word in pair))
        if found.get("error"):
            print(f"    {work} {shape}: {found['error']}", file=sys.stderr)
        return found

    def status(self):
        """`raft status`, a row for each member by its address."""
        return {row["address"]: row for row in self.ask("status").get("members", [])}

    def leader(self):
        """Who leads, as soon as somebody does."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for server in self.servers.values():
                if server.poll() is not None:
                    said = "".join(file.read_text() for file in self.dir.glob("*.log"))
                    raise RuntimeError(f"a server ended with {server.returncode}:\n{said}")
            members = self.ask("member", "list")
            for row in members.get("members", []):
                if members.get("leader") and row["id"] == members["leader"]:
                    return row["address"]
        raise RuntimeError("nobody leads")

    def memory(self):
        """The resident bytes of the largest server."""
        pages = [Path(f"/proc/{server.pid}/statm").read_text().split()[1] for server in self.servers.values()]
        return max(int(number) for number in pages) * os.sysconf("SC_PAGE_SIZE")

    def log_bytes(self):
        """The bytes of the log of one server."""
        return sum(file.stat().st_blocks * 512 for file in (self.dir / "0" / "wal").iterdir())

    def restart(self):
        """How long a killed follower takes until it has applied what the others had, in seconds,
        and how much of the log it read for that."""
        leader = self.leader()
        address = next(address for address in self.addresses if address != leader)
        self.servers[address].kill()
        self.servers[address].wait()
        applied = self.status()[leader]["applied_index"]
        began = time.monotonic()
        self.start(address)
        while (self.status().get(address, {}).get("applied_index") or 0) < applied:
            if time.monotonic() - began > 60:
                raise RuntimeError(f"{address} does not come back")
        return time.monotonic() - began


def free_ports(count):
    """Ports that nobody uses now, outside of those that dialling takes."""
    found, port = [], 21000
    while len(found) < count:
        port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
    return found


def figures(found):
    """What the plots need of one result of `raft bench`."""
    if "operations" not in found:
        return None
    latency, servers = found["latency_us"], found["servers"]
    worked = sum(server["counts"].get("processor_us") or 0 for server in servers)
    syncs = sum(server["counts"].get("syncs") or 0 for server in servers)
    operations = max(1, found["operations"])
    failed = ("refused", "not_sent", "unknown")
    return {
        "per_second": round(found["per_second"], 1),
        "p50_ms": latency["p50"] / 1000,
        "p99_ms": latency["p99"] / 1000,
        "max_ms": latency["max"] / 1000,
        "server_us": round(worked / operations, 3),
        "syncs": round(syncs / operations, 4),
        "failed": sum(found[name] for name in failed),
        "first_failure": found["first_failure"],
    }


# ---- the cells ------------------------------------------------------------------------------------


def members(options):
    """From 1 to 7 members."""
    for size in options.at or range(1, 8):
        with Cluster(options, size) as cluster:
            one = figures(cluster.bench("put", clients=1, duration="2s"))
            many = figures(cluster.bench("put", clients=256))
            yield {"x": size, "1 client": one, "256 clients": many}


def clients(options):
    """From 1 to 10,000 connections, each with one client."""
    for count in options.at or (1, 16, 64, 256, 1000, 2500, 5000, 10000):
        with Cluster(options, 3) as cluster:
            put = cluster.bench("put", clients=count, connections=count, duration="4s", warm_up="2s", timeout="20s")
            row = {"x": count, "put": figures(put), "memory": cluster.memory()}
            get = cluster.bench("get", clients=count, connections=count, keys=1000, duration="3s", warm_up="2s", timeout="20s")
            yield {**row, "get": figures(get)}


def values(options):
    """From 16 bytes to 4 MiB."""
    for size in options.at or (16, 256, *(KIB * 4**power for power in range(7))):
        with Cluster(options, 3) as cluster:
            put = figures(cluster.bench("put", clients=16, value_size=size, keys=100))
            one = figures(cluster.bench("put", clients=1, value_size=size, keys=100, duration="2s"))
            yield {"x": size, "16 clients": put, "1 client": one}


def state(options):
    """The state from 10 MB to 2 GB: keys with values of 1 KiB."""
    for keys in options.at or (10_000, 100_000, 500_000, 1_000_000, 2_000_000):
        with Cluster(options, 3) as cluster:
            get = figures(cluster.bench("get", keys=keys, value_size=KIB, clients=64, duration="2s"))
            row = {"x": keys * KIB, "get": get, "memory": cluster.memory()}
            row["put"] = figures(cluster.bench("put", keys=keys, value_size=KIB, clients=64, duration="4s"))
            row["restart_s"] = cluster.restart()
            began = time.monotonic()
            cluster.ask("snapshot", "now")
            yield {**row, "snapshot_s": time.monotonic() - began}


def log(options, more=("--snapshot-bytes", "1024GiB")):
    """A log of up to options.log_max bytes that is never compacted."""
    keys = {"keys": 64, "value_size": 256 * KIB}
    with Cluster(options, 3, more) as cluster:
        cluster.bench("put", **keys, clients=16, duration="500ms", warm_up="1ms")
        wanted, written = 0, 0
        while True:
            put = figures(cluster.bench("put", clients=16, keys=1000))
            row = {"x": written, "on_disk": cluster.log_bytes(), "put": put, "memory": cluster.memory()}
            yield {**row, "restart_s": cluster.restart()}
            cluster.leader()
            wanted = max(2 * wanted, 512 * MIB)
            if wanted > options.log_max:
                return
            while written < wanted:
                found = cluster.bench("put", **keys, clients=16, duration="1s", warm_up="1ms")
                written += max(found["operations"], 1) * 256 * KIB


def compacted(options):
    """The same with a snapshot after every 256 MiB, as by default."""
    return log(options, ())


def delay(options):
    """A network that needs from 0 to 100 ms for a round trip between members."""
    for round_trip in options.at or (0, 1, 5, 10, 20, 50, 100):
        with Network(options, 3, round_trip / 2000) as hosts:
            cluster = Cluster(options, 3, hosts=hosts)
            hosts.serve([int(address.split(":")[1]) for address in cluster.addresses])
            with cluster:
                row = {"x": round_trip}
                for count in (1, 64, 1000):
                    put = cluster.bench("put", clients=count, duration="3s", warm_up="1s")
                    row[f"{count} client" + ("s" if count > 1 else "")] = figures(put)
                yield row


CELLS = {cell.__name__: cell for cell in (members, clients, values, state, log, compacted, delay)}


# ---- a slow network -------------------------------------------------------------------------------


class Network:
    """A relay that holds back what members send to each other.

    A member finds itself under its own name, and the others' names lead to the relay: each has a
    `hosts` file of its own, in a mount namespace, for which one has to be root.
    """

    def __init__(self, options, size, one_way):
        self.one_way, self.size, self.relay = one_way, size, None
        self.dir = Path(tempfile.mkdtemp(prefix="growth-hosts-", dir=options.dir))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.relay:
            self.relay.kill()
            self.relay.join()
        shutil.rmtree(self.dir)

    def enter(self, own, command):
        """The same command where names mean what they mean to member `own`, or to clients."""
        direct = lambda at: self.one_way == 0 or own is None or at == own
        rows = [f"127.0.{1 if direct(at) else 2}.{at + 1} n{at + 1}" for at in range(self.size)]
        hosts = self.dir / f"hosts-{own}"
        hosts.write_text("\n".join(["127.0.0.1 localhost", *rows, ""]))
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, hosts, *command]

    def serve(self, ports):
        """The relay begins; until then members do not find each other."""
        if self.one_way > 0:
            self.relay = multiprocessing.Process(target=relay, args=(ports, self.one_way), daemon=True)
            self.relay.start()


def relay(ports, one_way):
    """Takes connections to each member and passes on what comes, later."""

    async def pass_on(reader, writer):
        loop, queue = asyncio.get_running_loop(), asyncio.Queue()

        async def send():
            while (item := await queue.get()) is not None:
                due, data = item
                await asyncio.sleep(due - loop.time())
                writer.write(data)
                await writer.drain()
            writer.close()

        sending = loop.create_task(send())
        try:
            while data := await reader.read(1 << 18):
                queue.put_nowait((loop.time() + one_way, data))
        except ConnectionError:
            pass
        queue.put_nowait(None)
        await asyncio.gather(sending, return_exceptions=True)

    async def accept(reader, writer, to):
        try:
            onward = await asyncio.open_connection(*to)
        except OSError:
            return writer.close()
        await asyncio.gather(pass_on(reader, onward[1]), pass_on(onward[0], writer))

    async def run():
        for at, port in enumerate(ports):
            to = (f"127.0.1.{at + 1}", port)
            await asyncio.start_server(
                lambda reader, writer, to=to: accept(reader, writer, to), f"127.0.2.{at + 1}", port
            )
        await asyncio.Event().wait()

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(run())


# ---- the command ----------------------------------------------------------------------------------


def measure(options):
    """Runs the cells and writes what each of them found."""
    RESULTS.mkdir(exist_ok=True)
    for name in options.cells or CELLS:
        path, rows = RESULTS / f"{name}.json", []
        if options.keep and path.exists():
            rows = json.loads(path.read_text())["rows"]
        for row in CELLS[name](options):
            print(name, json.dumps(row), flush=True)
            rows = sorted([old for old in rows if old["x"] != row["x"]] + [row], key=lambda row: row["x"])
            path.write_text(json.dumps({"cell": CELLS[name].__doc__, "rows": rows}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "draw"])
    parser.add_argument("cells", nargs="*", metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--raft", type=Path, default=ROOT / "target/release/raft", help="the program")
    parser.add_argument("--dir", type=Path, help="where the servers' data is while it runs")
    parser.add_argument("--at", type=int, action="append", help="only this much; can be repeated")
    parser.add_argument("--log-max", type=int, default=8 * GIB, help="of the cells `log` and `compacted`")
    parser.add_argument("--keep", action="store_true", help="add rows to those measured before")
    options = parser.parse_intermixed_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    for name in set(options.cells) - set(CELLS):
        parser.error(f"{name} is none of {', '.join(CELLS)}")
    if options.what == "measure":
        measure(options)
    else:
        draw(RESULTS)


if __name__ == "__main__":
    main()
