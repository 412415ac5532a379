"""Does a page of the API take as long with a million alerts as with a thousand?

Fills two databases on one mongod, runs a `serve` over each, and asks both for the first and the
second page of every filter and every pair of filters, in turns. mongod's profiler says how many
documents each question made it read.
"""

import http.client
import itertools
import json
import random
import statistics
import sys
import time
import urllib.parse
from datetime import datetime, timedelta, timezone

import lab
from lab import fail

FEW, MANY = 1000, 1_000_000
LIMIT = 20
BATCH = 5000
# Alerts come so often, in seconds: a million are five days and a half.
EVERY = 0.5
LEVELS = [3, 3, 3, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 12, 15]
RULES = ["5710", "5711", "550", "92000", "31101"]
GROUPS = ["syslog", "sshd", "authentication_failed", "web", "ossec"]
TECHNIQUES = ["T1110", "T1078", "T1059"]
# Documents that a page may read (goal 7), and what is no difference in time: milliseconds.
PER_PAGE, NOISE = 100, 5


def risk(level):
    return "critical" if level >= 12 else "high" if level >= 8 else "medium" if level >= 5 else "low"


def alerts(count, now):
    """The same in every run but for the time; the newest first."""
    dice = random.Random(42)
    for number in range(count):
        level, first = dice.choice(LEVELS), dice.randrange(5)
        agent = f"{dice.randrange(20):03}"
        rule = {"level": level, "id": dice.choice(RULES), "description": "sshd: Attempt to login using a wrong user",
                "groups": [GROUPS[first], GROUPS[(first + dice.randrange(1, 5)) % 5]], "firedtimes": number % 99,
                "mail": False}
        if dice.randrange(10) == 0:
            rule["mitre"] = {"id": [dice.choice(TECHNIQUES)], "tactic": ["Credential Access"]}
        when = now - timedelta(seconds=number * EVERY + dice.random() * EVERY)
        yield {"_id": f"{number * 7919 + dice.randrange(7919):032x}", "rule": rule, "timestamp": when.isoformat(),
               "agent": {"id": agent, "name": f"server{agent}", "ip": "10.0.0.7"}, "manager": {"name": "wazuh"},
               "id": f"{int(when.timestamp())}.{number}", "decoder": {"name": "sshd"}, "location": "/var/log/auth.log",
               "full_log": f"Jun  2 21:47:23 host sshd[{number}]: Invalid user ec2-user alpha{number % 300}",
               "data": {"srcip": f"10.{number % 250}.1.2", "srcport": str(number % 60000), "srcuser": "ec2-user"},
               "agent_id": agent, "_risk_score": risk(level), "_assessment_category": "configuration",
               "_site": "north" if dice.randrange(8) == 0 else "default", "_schema": 1, "_source": "hook",
               "_timestamp": when, "_processed_at": when}


def fill(collection, count, now):
    everything = alerts(count, now)
    done = 0
    while batch := list(itertools.islice(everything, BATCH)):
        collection.insert_many(batch, ordered=False)
        done += len(batch)
        lab.progress(f"{done} of {count} alerts")
    lab.progress("")


def filters(now):
    at = lambda hours: (now - timedelta(hours=hours)).isoformat()
    return [("site", "north"), ("risk_score", "critical"), ("agent_id", "007"), ("rule_id", "550"), ("group", "web"),
            ("mitre", "T1110"), ("level_min", "10"), ("level_min", "5"), ("since", at(1)), ("until", at(0.05)),
            # Nobody has these: nothing is found however far it is looked.
            ("agent_id", "999"), ("rule_id", "1"), ("mitre", "T9999"), ("level_min", "16")]


def questions(now):
    all_of_them = filters(now)
    pairs = [[one, other] for one, other in itertools.combinations(all_of_them, 2) if one[0] != other[0]]
    return [[], *([one] for one in all_of_them), *pairs]


class Side:
    """One `serve` and its database."""

    def __init__(self, service, database):
        self.connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self.database = database

    def ask(self, path, question):
        self.connection.request("GET", path + "?" + urllib.parse.urlencode(question))
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            fail(f"{path} {question}: {answer.status} {body.decode()}")
        return json.loads(body)

    def whether(self, path, question):
        """Milliseconds for the answer, or `refused` where it would take MongoDB too long."""
        begun = time.perf_counter()
        self.connection.request("GET", path + "?" + urllib.parse.urlencode(question))
        answer = self.connection.getresponse()
        answer.read()
        return f"{(time.perf_counter() - begun) * 1000:.1f}" if answer.status == 200 else "refused"

    def page(self, question):
        """Milliseconds for the first and for the second page, and what was on both."""
        costs, found, next_page = [], 0, ""
        for _ in range(2):
            given = [*question, ("limit", LIMIT), *([("next", next_page)] if next_page else [])]
            begun = time.perf_counter()
            answer = self.ask("/api/alerts", given)
            costs.append((time.perf_counter() - begun) * 1000)
            found += len(answer["data"])
            next_page = answer["next"]
            if not next_page:
                break
        return costs, found

    def examined(self, question):
        """Documents that mongod reads for both pages, how many were returned, on how many pages."""
        profile = self.database["system.profile"]
        self.database.command("profile", 0)
        profile.drop()
        self.database.command("profile", 2)
        costs, found = self.page(question)
        self.database.command("profile", 0)
        seen = list(profile.find({"appName": "custom-mongo"}, {"docsExamined": 1, "planSummary": 1}))
        if any("COLLSCAN" in one.get("planSummary", "") for one in seen):
            fail(f"{question} is not answered by an index")
        return sum(one.get("docsExamined", 0) for one in seen), found, len(costs)


def report(times, read):
    worst = sorted(times, key=lambda one: one["many"] - one["few"], reverse=True)
    print(f"{len(times)} questions, two pages of {LIMIT} each; milliseconds a page:")
    for name in ("few", "many"):
        values = sorted(one[name] for one in times)
        print(f"  {FEW if name == 'few' else MANY:9} alerts: median {statistics.median(values):.1f}, "
              f"95th percentile {values[int(len(values) * 0.95)]:.1f}, longest {values[-1]:.1f}")
    print("  the largest differences:")
    for one in worst[:5]:
        print(f"    {one['few']:7.1f} {one['many']:7.1f}   {urllib.parse.urlencode(one['question'])}")
    most = max(read, key=lambda one: one[1] - 2 * one[2])
    print(f"documents read: at most {most[1]} for {most[2]} returned on {most[3]} pages ({most[0]})")
    wrong = [one for one in read if one[1] > 2 * one[2] + PER_PAGE * one[3]]
    if wrong:
        fail(f"more than 2 × returned + {PER_PAGE} documents read: {wrong}")


def others(few, many, now):
    """What looks at a window or counts to a limit."""
    day = (now - timedelta(days=1)).isoformat()
    for name, path, question in [
        ("count of all", "/api/alerts", [("count", "true"), ("limit", 1)]),
        ("count of a group", "/api/alerts", [("count", "true"), ("limit", 1), ("group", "web")]),
        ("count of group with mitre", "/api/alerts",
         [("count", "true"), ("limit", 1), ("group", "web"), ("mitre", "T1110"), ("since", day)]),
        ("q, often there", "/api/alerts", [("q", "alpha17"), ("limit", LIMIT)]),
        ("q, never there", "/api/alerts", [("q", "nobody wrote this"), ("limit", LIMIT)]),
        ("q of an agent", "/api/alerts", [("q", "alpha17"), ("agent_id", "007"), ("limit", LIMIT)]),
        ("stats of a day", "/api/alerts/stats", []),
        ("stats of five days", "/api/alerts/stats", [("since", "5d")]),
    ]:
        costs = [side.whether(path, question) for side in (few, many)]
        print(f"{name:28}{costs[0]:>9}{costs[1]:>9} ms")


def compare(services, mongod, rounds):
    """`services` are the one over FEW and the one over MANY alerts."""
    packages = lab.python_packages("pymongo")
    if not packages:
        fail("without pymongo nothing can be filled in")
    sys.path.insert(0, str(packages))
    import pymongo

    client = pymongo.MongoClient(mongod.uri, directConnection=True)
    now = datetime.now(timezone.utc)
    sides = []
    for service, count in zip(services, (FEW, MANY)):
        database = client[service.database]
        fill(database.alerts, count, now)
        sides.append(Side(service, database))
    few, many = sides
    times, read = [], []
    everything = questions(now)
    random.shuffle(everything)
    for number, question in enumerate(everything):
        lab.progress(f"question {number + 1} of {len(everything)}")
        costs = {"few": [], "many": []}
        for _ in range(rounds):
            for name, side in random.sample([("few", few), ("many", many)], 2):
                costs[name] += side.page(question)[0]
        times.append({"question": question} | {name: statistics.median(all) for name, all in costs.items()})
        read.append((urllib.parse.urlencode(question), *many.examined(question)))
    lab.progress("")
    report(times, read)
    others(few, many, now)
    slow = [one for one in times if one["many"] > 3 * one["few"] + NOISE]
    print(f"{len(slow)} of {len(times)} questions take more than 3 × as long and {NOISE} ms")
