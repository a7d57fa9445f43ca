"""This project's servers: `raft server`, as its README starts them."""

import machine
from peers.cluster import Cluster


class Ours(Cluster):
    """Three of them."""

    name, key = "raft", "raft"
    durable = "log synced on a majority"
    at_once = "exactly once, linearizable"
    target = "raft"

    def command(self, at):
        return [
            self.raft, "server", "--cluster", ",".join(self.endpoints),
            "--listen", self.endpoints[at], "--data-dir", self.home / str(at),
        ]

    def leader(self):
        try:
            found = machine.run_json(
                [self.raft, "member", "list", "-o", "json", "--endpoints", ",".join(self.endpoints)]
            )
        except (machine.Failed, ValueError):
            return None
        for row in found.get("members", []):
            if found.get("leader") and row["id"] == found["leader"]:
                return self.endpoints.index(row["address"])
        return None

    def put_after_loss(self, _dead):
        """One write of the command line's client, which looks for the new leader by itself."""
        machine.run(
            [self.raft, "put", "--timeout", "20s", "--endpoints", ",".join(self.endpoints), "gap", "1"]
        )

    @staticmethod
    def version(raft):
        """What the program says that it is."""
        return machine.run([raft, "--version"]).split()[-1]
