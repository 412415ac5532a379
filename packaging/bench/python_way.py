"""The Python way, as scripts in the field do it: python_way.py ALERTS_JSON; MONGO_URI and MONGO_DB say where to."""

import itertools
import json
import os
import sys
from datetime import datetime

from pymongo import MongoClient


def documents(file):
    """With what the product's indexes are for."""
    for line in file:
        alert = json.loads(line)
        alert["_id"] = alert["manager"]["name"] + alert["id"]
        alert["_timestamp"] = datetime.strptime(alert["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
        alert["agent_id"] = alert["agent"]["id"]
        alert["_risk_score"] = "high" if alert["rule"]["level"] >= 8 else "low"
        yield alert


with open(sys.argv[1]) as file, MongoClient(os.environ["MONGO_URI"], w="majority", journal=True) as client:
    ready = documents(file)
    while batch := list(itertools.islice(ready, 1000)):
        client[os.environ["MONGO_DB"]].alerts.insert_many(batch, ordered=False)
