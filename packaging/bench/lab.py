"""What the benches share: a folder that is gone afterwards, the tests' own mongod, compilers, packages.

All files are below target/bench, on a real disk: a temporary folder in memory would make whatever
is flushed look cheaper than it is.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
MUSL = "x86_64-unknown-linux-musl"
BINARY = TARGET / MUSL / "release/custom-mongo"
# For speed, and linked as the product is (Cargo.toml and .cargo/config.toml).
RUSTFLAGS = ["--edition=2024", f"--target={MUSL}", "-Copt-level=3", "-Clto=fat", "-Ccodegen-units=1",
             "-Cstrip=symbols", "-Ctarget-feature=+crt-static", "-Crelocation-model=static"]


def fail(why):
    sys.exit(f"packaging/bench/{Path(sys.argv[0]).name}: {why}")


def progress(what):
    """One line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def release_build(path):
    path = path.resolve()
    if not path.is_file():
        fail(f"there is no {path}; run: cargo build --release --locked --target {MUSL}")
    return path


@contextlib.contextmanager
def work_folder():
    """A folder of this run, removed also after Ctrl-C and SIGTERM."""
    (TARGET / "bench").mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = Path(tempfile.mkdtemp(prefix="run.", dir=TARGET / "bench"))
    try:
        yield work
    finally:
        os.chdir(ROOT)
        shutil.rmtree(work, ignore_errors=True)


class Mongod:
    """The tests' mongod, as a replica set of one, in a folder of its own below `work`."""

    def __init__(self, work, client, name="db", oplog=64, cache=0.25, options=()):
        self.port, self.client = free_port(), client
        self.uri = f"mongodb://127.0.0.1:{self.port}/?replicaSet=rs0"
        folder = work / name
        folder.mkdir()
        program = subprocess.run([ROOT / "packaging/mongod"], stdout=subprocess.PIPE, text=True, check=True)
        arguments = ["--dbpath", folder, "--port", str(self.port), "--bind_ip", "127.0.0.1", "--nounixsocket",
                     "--quiet", "--replSet", "rs0", "--oplogSize", str(oplog),
                     "--wiredTigerCacheSizeGB", str(cache), *options]
        with open(work / f"{name}.log", "w") as log:
            self.process = subprocess.Popen([program.stdout.strip(), *arguments], stdout=log, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait(self):
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        for _ in range(600):
            self.run("admin", {"replSetInitiate": {"_id": "rs0", "members": [member]}})
            if self.run("admin", {"hello": 1}).get("isWritablePrimary"):
                return
            time.sleep(0.1)
        fail("mongod does not start")

    def run(self, database, command):
        """The answer to a command; `{}` where there is none."""
        words = [self.client, "run", str(self.port), database, json.dumps(command)]
        said = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return json.loads(said) if said else {}

    def count(self, database, collection):
        return self.run(database, {"count": collection}).get("n", 0)

    def cpu(self):
        """Seconds of user and system time since it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    """Below the range that the kernel hands out, so that nobody takes a port that is to be closed."""
    while True:
        port = random.randint(20000, 31999)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def compile_rust(source, binary):
    words = ["rustc", *RUSTFLAGS, "-o", binary, source]
    if subprocess.run(words).returncode != 0:
        fail(f"rustc failed; does it have the target? rustup target add {MUSL}")
    return binary


def mongo_client(work):
    return compile_rust(ROOT / "packaging/mongo-client.rs", work / "mongo-client")


def python_packages(*names):
    """Packages in a folder of their own, fetched once; None where pip cannot get them."""
    names = names or ("requests", "pymongo")
    folder = TARGET / "bench" / f"python-{sys.version_info.major}.{sys.version_info.minor}"
    done = folder / "-".join(("done", *names))
    if not done.exists():
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", folder, *names]
        if subprocess.run(words, env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"}).returncode != 0:
            print(f"no {' and '.join(names)}: the Python peers are left out", file=sys.stderr)
            return None
        done.touch()
    return folder
