"""Files of alerts as Wazuh leaves them, for the benches: made afresh, the same each time."""

import json
import random
import zlib
from datetime import datetime, timedelta, timezone

import lab

BEGIN = datetime(2025, 6, 2, 6, tzinfo=timezone.utc)
HOURS_6 = 6 * 3600 * 1000


class Lines:
    """Alerts as Wazuh writes them, varied from the tests' fixture: no id and no time twice."""

    def __init__(self):
        self.random = random.Random(1)
        self.logs = [self.log_line() for _ in range(5000)]
        self.shapes = [self.shape(line) for line in (lab.ROOT / "tests/fixtures/alerts.json").read_text().splitlines()
                       if self.is_usual(line)]

    @staticmethod
    def is_usual(line):
        """The fixture's oddities (an id behind .9900, none at all, a giant) are for the tests."""
        alert = json.loads(line)
        return {"id", "timestamp", "agent", "location"} <= alert.keys() and ".9900" not in alert["id"] \
            and len(line) < 4096

    def log_line(self):
        draw = self.random
        return (f"Jun  2 {draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02} host-{draw.randrange(500)} "
                f"service[{draw.randrange(32768)}]: request={draw.getrandbits(64):016x} user=\\\"u{draw.randrange(9999)}\\\" "
                f"from 10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)} port {draw.randrange(65536)}\\n")

    @staticmethod
    def shape(line):
        """A line with places for what varies. A real rule has the compliance lists, too."""
        alert = json.loads(line)
        alert["timestamp"], alert["id"] = "%(timestamp)s", "%(id)s"
        alert["agent"] |= {"id": "%(agent)s", "name": "host-%(agent)s.example.org", "ip": "10.0.%(low)s.%(high)s"}
        alert["rule"]["firedtimes"] = 100_001
        for name, value in [("pci_dss", "10.2.5"), ("gpg13", "7.8"), ("gdpr", "IV_32.2"), ("hipaa", "164.312.b"),
                            ("nist_800_53", "AU.14"), ("tsc", "CC6.8")]:
            alert["rule"].setdefault(name, [value])
        alert["full_log"] = alert.get("full_log", "") + "%(log)s"
        text = json.dumps(alert, separators=(",", ":"), ensure_ascii=False)
        marked = text.replace("%(", "\0").replace("%", "%%").replace("\0", "%(")
        return len(text.encode()), marked.replace("100001", "%(fired)s") + "\n"

    def line(self, milliseconds, offset):
        """The alert of `milliseconds` after the beginning, at `offset` of its file."""
        draw = self.random
        size, shape = self.shapes[draw.randrange(len(self.shapes))]
        wanted = max(1, round((draw.triangular(1000, 3000, 1500) - size) / 125))
        moment = BEGIN + timedelta(milliseconds=milliseconds)
        agent = draw.randrange(1, 500)
        values = {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000",
            "id": f"{int(moment.timestamp())}.{offset}",
            "agent": f"{agent:03}", "low": agent // 250, "high": agent % 250, "fired": draw.randrange(1000),
            "log": "".join(draw.choices(self.logs, k=wanted)),
        }
        return (shape % values).encode()

    def write(self, path, count):
        lab.progress(f"writing {count} alerts")
        offset = 0
        with open(path, "wb") as file:
            for number in range(count):
                offset += file.write(self.line(number * HOURS_6 // count, offset))
        return path


class Files:
    """The alerts, plain and as two .gz; all of them, and a quarter."""

    def __init__(self, work, count):
        self.count = count
        self.plain = Lines().write(work / "alerts.json", count)
        lab.progress("compressing")
        lines = self.plain.read_bytes().splitlines(keepends=True)
        self.zipped = self.halves(work, "", lines)
        self.small = Small(work, lines[:count // 4])

    @staticmethod
    def halves(work, name, lines):
        half = len(lines) // 2
        paths = [work / f"ossec-alerts{name}-{number}.json.gz" for number in (1, 2)]
        for path, part in zip(paths, (lines[:half], lines[half:])):
            path.write_bytes(zlib.compress(b"".join(part), level=6, wbits=31))
        return paths


class Small:
    def __init__(self, work, lines):
        self.count, self.plain = len(lines), work / "quarter.json"
        self.plain.write_bytes(b"".join(lines))
        self.zipped = Files.halves(work, "-quarter", lines)
