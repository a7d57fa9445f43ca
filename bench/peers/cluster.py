"""What servers have in common: three of them on fresh directories, asked by `raft bench`."""

import machine

SIZE = 3


class Cluster:
    """Running servers; gone at the end of `with`."""

    def __init__(self, raft):
        self.raft = raft
        self.home = machine.directory()
        self.ports = machine.free_ports(2 * SIZE)
        self.endpoints = [f"127.0.0.1:{port}" for port in self.ports[:SIZE]]
        self.servers = []

    def __enter__(self):
        try:
            for at in range(SIZE):
                self.servers.append(machine.start(self.command(at), self.home / f"{at}.log"))
            machine.wait(lambda: self.leader() is not None, 30, f"a leader of {self.name}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        machine.stop(self.servers)
        machine.remove(self.home)

    def bench(self, shape, warm_up, seconds):
        """`raft bench`, and what the servers worked meanwhile, seen from outside."""
        words = [[f"--{name}", value] for name, value in shape.items() if name != "work"]
        watch = machine.Processor(self.servers, warm_up + 0.1 * seconds, 0.8 * seconds)
        found = machine.run_json([
            self.raft, "bench", shape["work"], "--target", self.target, "-o", "json",
            "--endpoints", ",".join(self.endpoints), "--timeout", "20s",
            "--warm-up", f"{int(warm_up * 1000)}ms", "--duration", f"{int(seconds * 1000)}ms",
            *(word for pair in words for word in pair),
        ])
        watch.join()
        if watch.cores is None:
            raise machine.Failed(f"a server of {self.name} is gone")
        failed = sum(found[name] for name in ("refused", "not_sent", "unknown"))
        if failed:
            raise machine.Failed(f"{self.name}: {failed} requests failed: {found['first_failure']}")
        log = [server["counts"] for server in found["servers"]]
        return {
            "per_second": found["per_second"],
            "p50_us": found["latency_us"]["p50"],
            "p99_us": found["latency_us"]["p99"],
            "server_us": watch.cores * 1e6 / found["per_second"],
            "load_us": found["load_processor_us"] / found["operations"],
            "operations": found["operations"],
            "log_bytes": sum(counts["log_bytes"] for counts in log),
            "log_syncs": sum(counts["syncs"] for counts in log),
            "seconds": found["seconds"],
        }
