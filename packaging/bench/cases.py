"""A way to bring alerts into MongoDB, run as a process in an empty collection, and what it cost."""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path

import lab
from lab import fail

DATABASE = "bench"
# Seconds after which a case is not slow but stuck.
STUCK = 300


class Case:
    """A way to bring in the alerts of `files`; PLAIN and ZIPPED stand for their paths."""

    def __init__(self, name, words, environment=None, tails=False, tells_seconds=False):
        self.name, self.pattern, self.more = name, words, environment or {}
        self.tails, self.tells_seconds = tails, tells_seconds
        self.costs, self.small = [], None

    def words(self, files=None):
        of = {"PLAIN": [files.plain], "ZIPPED": files.zipped} if files else {}
        return [word for pattern in self.pattern for word in of.get(pattern, [pattern])]

    def environment(self, work):
        """With a state folder that knows nothing of the runs before."""
        state = work / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        return {"PATH": os.environ["PATH"], "CUSTOM_MONGO_STATE_DIR": str(state)} | self.more

    def median(self, figure):
        return statistics.median(figure(cost) for cost in self.costs)


class Cost:
    """What bringing in `count` alerts took: seconds, and bytes at the peak."""

    def __init__(self, count, wall, own, mongod, peak):
        self.count, self.wall, self.own, self.mongod, self.peak = count, wall, own, mongod, peak
        self.rate = count / wall


class Process:
    """A case's process, its output in a file, its peak of memory watched."""

    def __init__(self, work, words, environment):
        self.said, self.peak, self.usage, self.status = work / "said", 0, None, None
        opened = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        streams = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_OPEN, 1, self.said, opened, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        self.begun = time.perf_counter()
        self.id = os.posix_spawn(str(words[0]), [str(word) for word in words], environment, file_actions=streams)

    def over(self):
        """Whether it has ended. Its peak of memory is looked at while it runs: what wait4 calls the
        peak begins with that of the process that started it."""
        if self.status is None:
            with contextlib.suppress(OSError, IndexError):
                status = Path(f"/proc/{self.id}/status").read_text()
                self.peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
            ended, status, self.usage = os.wait4(self.id, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if ended else None
        return self.status is not None

    def end(self, name):
        """Waits for it; the seconds since it was started."""
        deadline = time.monotonic() + STUCK
        while not self.over():
            if time.monotonic() > deadline:
                fail(f"{name} does not end")
            time.sleep(0.01)
        if self.status != 0:
            fail(f"{name}: status {self.status}; {self.said.read_text(errors='replace')[-1000:]}")
        return time.perf_counter() - self.begun

    def stop(self, name):
        if not self.over():
            os.kill(self.id, signal.SIGTERM)
        self.end(name)

    def kill(self):
        if not self.over():
            os.kill(self.id, signal.SIGKILL)
            os.waitpid(self.id, 0)


class Bench:
    """A mongod, the tools, and how a case is run in it. `more` are settings of the product."""

    def __init__(self, work, mongod, tools, binary, uri=None, more=None):
        self.work, self.mongod, self.tools, self.binary = work, mongod, tools, binary
        self.uri, self.more = uri or mongod.uri, more or {}
        self.indexes = None

    def product(self, name, words, tails=False):
        """A case of custom-mongo, which sees no settings of this machine."""
        settings = self.work / "custom-mongo.toml"
        settings.touch(mode=0o600)
        environment = {"CUSTOM_MONGO_STORE__URI": self.uri, "CUSTOM_MONGO_STORE__DATABASE": DATABASE} | self.more
        return Case(name, [self.binary, "--config", settings, *words], environment, tails=tails)

    def empty(self):
        """An empty collection with the product's indexes, and nobody else's work left to do."""
        self.mongod.run(DATABASE, {"dropDatabase": 1})
        if self.indexes:
            answer = self.mongod.run(DATABASE, {"createIndexes": "alerts", "indexes": self.indexes})
            if not answer.get("ok"):
                fail(f"createIndexes: {answer}")
        self.mongod.run("admin", {"fsync": 1})
        os.sync()
        for _ in range(20):
            before = self.mongod.cpu()
            time.sleep(0.2)
            if self.mongod.cpu() - before < 0.02:
                return

    def run(self, case, files):
        """The case's cost, with every alert seen to be there."""
        self.empty()
        cpu = self.mongod.cpu()
        process = Process(self.work, case.words(files), case.environment(self.work))
        try:
            wall = self.until_there(case, process, files.count) if case.tails else process.end(case.name)
            mongod = self.mongod.cpu() - cpu
            if case.tails:
                process.stop(case.name)
        finally:
            process.kill()
        there = self.mongod.count(DATABASE, "alerts")
        if there != files.count:
            fail(f"{case.name}: {there} of {files.count} alerts are there")
        wall = float(process.said.read_text()) if case.tells_seconds else wall
        return Cost(files.count, wall, process.usage.ru_utime + process.usage.ru_stime, mongod, process.peak)

    def until_there(self, case, process, count):
        words = [self.tools.yardstick, "await", str(self.mongod.port), DATABASE, str(count), str(STUCK)]
        waiting = subprocess.Popen(words)
        try:
            while waiting.poll() is None:
                if process.over():
                    fail(f"{case.name} has ended: {process.said.read_text(errors='replace')[-1000:]}")
                time.sleep(0.01)
        finally:
            waiting.kill()
        if waiting.returncode != 0:
            fail(f"{case.name}: not all alerts arrive; {process.said.read_text(errors='replace')[-1000:]}")
        return time.perf_counter() - process.begun

    def learn(self, files):
        """What the product makes of the alerts: its indexes, and its documents as BSON."""
        documents = self.work / "documents.bson"
        if documents.exists():
            return documents
        lab.progress("the product's documents")
        self.run(self.product("backfill", ["backfill", "PLAIN"]), files)
        batch = self.mongod.run(DATABASE, {"listIndexes": "alerts"})["cursor"]["firstBatch"]
        self.indexes = [{key: value for key, value in index.items() if key != "v"}
                        for index in batch if index["name"] != "_id_"]
        if not self.indexes:
            fail("the product has not created its indexes on an empty collection")
        words = [self.tools.yardstick, "dump", str(self.mongod.port), DATABASE, documents]
        subprocess.run(words, check=True)
        return documents
