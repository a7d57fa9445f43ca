"""Processes that are started, watched from outside and ended, and where their data is."""

import atexit
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TICKS = os.sysconf("SC_CLK_TCK")
PARENT_DEATH_SIGNAL = 1
SYNCS = "fdatasync,fsync,sync_file_range,msync,pwritev2"

_kernel = ctypes.CDLL(None)
_running = []
_directories = []


class Failed(Exception):
    """Something does not work, and why."""


def start(command, log, **options):
    """A process that ends with this one, whatever ends this one."""
    def tie():
        _kernel.prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)

    with open(log, "ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=tie, **options,
        )
    _running.append(process)
    return process


def stop(processes, number=signal.SIGKILL):
    """Ends processes that `start` began."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
    for process in processes:
        process.wait()
        if process in _running:
            _running.remove(process)


def run(command, seconds=120, **options):
    """A command until its end: its standard output."""
    command = [str(word) for word in command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, **options
    )
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def run_json(command, seconds=120):
    """The same, if what it says is JSON: its last line."""
    return json.loads(run(command, seconds).strip().splitlines()[-1])


def directory():
    """A fresh directory on the disk that the build products are on."""
    home = TARGET / "bench"
    home.mkdir(parents=True, exist_ok=True)
    if filesystem(home) in ("tmpfs", "ramfs"):
        raise Failed(f"{home} is in memory, where a sync costs nothing: set CARGO_TARGET_DIR")
    path = Path(tempfile.mkdtemp(prefix="data-", dir=home))
    _directories.append(path)
    return path


def remove(path):
    """Gives a directory of `directory` back."""
    shutil.rmtree(path, ignore_errors=True)
    if path in _directories:
        _directories.remove(path)


def filesystem(path):
    """The type of the file system that a path is on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    inside = [mount for mount in mounts if str(path).startswith(mount[1])]
    return max(inside, key=lambda mount: len(mount[1]))[2]


def free_ports(count):
    """Ports that nobody uses now, below those that the system gives to clients."""
    found, port = [], 24000
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


def worked(processes):
    """Seconds of processor time that these have used, in user and kernel."""
    def ticks(process):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    return sum(ticks(process) for process in processes) / TICKS


def memory(process):
    """Resident MiB: all, and without pages of files."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    def mib(name):
        return int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M).group(1)) / 1024
    return {"rss_mib": mib("VmRSS"), "anonymous_mib": mib("RssAnon")}


class Processor(threading.Thread):
    """Watches how much processes work, from `after` seconds on, for so many seconds."""

    def __init__(self, processes, after, seconds):
        super().__init__(daemon=True)
        self.processes, self.after, self.seconds, self.cores = processes, after, seconds, None
        self.start()

    def run(self):
        try:
            time.sleep(self.after)
            before, begun = worked(self.processes), time.monotonic()
            time.sleep(self.seconds)
            self.cores = (worked(self.processes) - before) / (time.monotonic() - begun)
        except FileNotFoundError:
            # A server is gone: whoever asks it fails, and says why.
            pass


class Syncs:
    """Counts what processes make durable, by looking at their system calls from outside."""

    def __init__(self, processes, home):
        self.files = [home / f"strace.{process.pid}" for process in processes]
        self.tracers = [
            start(["strace", "-f", "-q", "-e", f"trace={SYNCS}", "-o", file, "-p", process.pid],
                  home / "strace.log")
            for file, process in zip(self.files, processes)
        ]
        for process in processes:
            wait(lambda: all(is_traced(task) for task in tasks(process.pid)), 10, "strace")

    def count(self):
        """How many there were in each process until now."""
        stop(self.tracers, signal.SIGINT)
        return [sum(map(is_sync, file.read_text().splitlines())) for file in self.files]


def tasks(pid):
    """The threads of a process."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def is_traced(task):
    """Whether something looks at a thread's system calls."""
    try:
        return re.search(r"^TracerPid:\s+0$", (task / "status").read_text(), re.M) is None
    except FileNotFoundError:
        return True


def is_sync(line):
    """Whether a line of strace is a call that ends when data is on the disk."""
    if re.search(r"\b(fdatasync|fsync)\(", line):
        return True
    return "pwritev2(" in line and "SYNC" in line


def wait(ready, seconds, what):
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise Failed(f"{what} was not ready after {seconds} s")
        time.sleep(0.02)


@atexit.register
def clean_up():
    """Nothing outlives the comparison."""
    stop(list(_running))
    for path in list(_directories):
        remove(path)


def prepare():
    """Makes a signal an ordinary end, and allows as many connections as there may be."""
    def end(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
