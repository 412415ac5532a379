"""The usual webhook receiver in Python: Flask takes an alert, pymongo writes it with an upsert.

`flask_service.py PORT`, with MONGO_URI and MONGO_DB; the answer comes after the majority write, as
custom-mongo's does. Threaded, as Flask's own server is unless told otherwise.
"""

import logging
import os
import sys
from datetime import datetime, timezone

from flask import Flask, jsonify, request
from pymongo import MongoClient

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(__name__)
alerts = MongoClient(os.environ["MONGO_URI"], w="majority", journal=True)[os.environ["MONGO_DB"]].alerts


def risk(level):
    if level >= 12:
        return "critical"
    if level >= 8:
        return "high"
    return "medium" if level >= 5 else "low"


@app.post("/wazuh-alert")
def receive():
    alert = request.json
    if not alert:
        return jsonify({"status": "error", "message": "Empty payload"}), 400
    if "id" not in alert:
        return jsonify({"status": "error", "message": "Missing alert ID"}), 400
    alert["agent_id"] = alert.get("agent", {}).get("id", "unknown")
    alert["_risk_score"] = risk(alert.get("rule", {}).get("level", 0))
    alert["_assessment_category"] = "configuration"
    alert["_processed_at"] = datetime.now(timezone.utc)
    alerts.update_one({"_id": alert["id"]}, {"$set": alert}, upsert=True)
    return jsonify({"status": "success"})


if __name__ == "__main__":
    from werkzeug.serving import WSGIRequestHandler

    # Connections are kept, which its own default (HTTP/1.0) would not do.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
