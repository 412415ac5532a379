"""Files of alerts as Wazuh leaves them, for the benches: made afresh, the same each time."""

import gzip
import itertools
import json
import math
import random
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
        """Within a JSON string already: its quotes and its end have their backslash."""
        number = self.random.randrange
        return (f"Jun  2 {number(24):02}:{number(60):02}:{number(60):02} host-{number(500)} service[{number(32768)}]: "
                f"request={number(2**64):016x} user=\\\"u{number(9999)}\\\" from 10.{number(256)}.{number(256)}."
                f"{number(256)} port {number(65536)}\\n")

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
        wanted = max(1, math.ceil((draw.triangular(1000, 3000, 1500) - size) / len(self.logs[0])))
        moment = BEGIN + timedelta(milliseconds=milliseconds)
        agent = draw.randrange(1, 500)
        values = {
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000",
            "id": f"{int(moment.timestamp())}.{offset}",
            "agent": f"{agent:03}", "low": agent // 250, "high": agent % 250, "fired": draw.randrange(1000),
            "log": "".join(draw.choices(self.logs, k=wanted)),
        }
        return (shape % values).encode()

    def many(self, count):
        """Alerts of six hours, one file of them."""
        offset = 0
        for number in range(count):
            line = self.line(number * HOURS_6 // count, offset)
            offset += len(line)
            yield line


class Files:
    """The same alerts twice: in a plain file, and in two .gz of half as many each."""

    def __init__(self, work, name, lines, count):
        self.count, self.plain = count, work / f"{name}.json"
        self.zipped = [work / f"{name}-{half}.json.gz" for half in (1, 2)]
        with open(self.plain, "wb") as plain:
            for zipped, half in zip(self.zipped, (count // 2, count - count // 2)):
                with gzip.open(zipped, "wb", compresslevel=6) as packed:
                    for line in itertools.islice(lines, half):
                        plain.write(line)
                        packed.write(line)

    @classmethod
    def make(cls, work, count):
        lab.progress(f"writing {count} alerts")
        return cls(work, "alerts", Lines().many(count), count)

    def quarter(self, work):
        with open(self.plain, "rb") as lines:
            return Files(work, "quarter", lines, self.count // 4)
