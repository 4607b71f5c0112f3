#!/usr/bin/env python3
"""Webhooks under events and kills: nothing lost, everything in order.

    cargo build --release
    bench/webhooks.py target/release/wxqr [--kills 100] [--rate 100] [--away 60] [--answer-ms 100] [--database postgres://...]

Two replicas share a database, an SQLite file unless another is named, which must be empty and needs psql. Events are pushed to
both, and again until they are acknowledged, as WeChat does. The receiver is away at first, for --away seconds. Then one of the
replicas after the other is killed with SIGKILL and started again. At the end the events that the receiver got, repeats dropped,
must be those of /api/scans in their order. Each request must be signed, a repeated id must bring the same events, and each event
must be in the database when it comes. Prints one line of figures, and exits with 1 if a promise is broken. Needs Linux and Python
3.9.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rig import Server, free_port, report

TOKEN = "callbacktokenOfTheBench"
KEY = "stats-key-of-the-bench"
SECRET = secrets.token_bytes(32)
CATCHES_UP_WITHIN_S = 60


class Receiver:
    """What the owner runs. It notes what comes, and what is wrong with it."""

    def __init__(self, database, answers_after_s):
        self.port = free_port()
        self.answers_after_s = answers_after_s
        self.database = database
        self.lock = threading.Lock()
        self.requests = {}
        self.order = []
        self.repeats = 0
        self.faults = []
        self.came_at = [time.monotonic()]

    def open(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(self.headers, body)
                time.sleep(receiver.answers_after_s)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        message_id = headers["webhook-id"]
        if not is_signed(headers, body):
            self.faults.append(f"{message_id} is not signed")
        ids = [event["id"] for event in json.loads(body)["data"]["events"]]
        missing = len(ids) - stored(self.database, ids)
        if missing:
            self.faults.append(f"{missing} events came before they were stored")
        with self.lock:
            self.came_at.append(time.monotonic())
            if message_id in self.requests:
                self.repeats += 1
                if self.requests[message_id] != ids:
                    self.faults.append(f"{message_id} came again with other events")
            else:
                self.requests[message_id] = ids
                self.order += ids


def is_sqlite(database):
    return database.startswith("sqlite:")


def stored(database, ids):
    """How many of these events are in the database."""
    count = "SELECT COUNT(*) FROM event WHERE id IN ({})".format(",".join(f"'{event_id}'" for event_id in ids))
    if is_sqlite(database):
        file = database.removeprefix("sqlite://")
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(count).fetchone()[0]
    read = subprocess.run(["psql", "-XAtq", database, "-c", count], check=True, stdout=subprocess.PIPE, text=True)
    return int(read.stdout)


def is_signed(headers, body):
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    return f"v1,{signature}" in headers["webhook-signature"].split(" ")


class Pushes:
    """Events at a steady rate, each to one replica, and to another until it is acknowledged."""

    def __init__(self, replicas, rate):
        self.replicas = replicas
        self.rate = rate
        self.stop = threading.Event()
        self.acknowledged = itertools.count()
        self.count = 0
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, worker):
        begun = time.monotonic()
        for turn in itertools.count():
            due = begun + turn * len(self.threads) / self.rate
            if self.stop.wait(max(0.0, due - time.monotonic())):
                return
            openid, created = f"oFollower{worker:02}{turn:08}", int(time.time())
            for replica in itertools.cycle([turn % 2, 1 - turn % 2]):
                if push(self.replicas[replica].port, openid, created):
                    self.count = next(self.acknowledged) + 1
                    break
                time.sleep(0.05)

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.count


def push(port, openid, created):
    timestamp, nonce = str(int(time.time())), "1320562132"
    signature = hashlib.sha1("".join(sorted([TOKEN, timestamp, nonce])).encode()).hexdigest()
    body = (
        f"<xml><ToUserName><![CDATA[gh_bench]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName>"
        f"<CreateTime>{created}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[SCAN]]></Event>"
        "<EventKey><![CDATA[poster]]></EventKey><Ticket><![CDATA[an-unknown-ticket]]></Ticket></xml>"
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        target = f"/callback?signature={signature}&timestamp={timestamp}&nonce={nonce}&openid={openid}"
        connection.request("POST", target, body, {"Content-Type": "text/xml"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def started(binary, database, sandbox, receiver):
    variables = {
        "WXQR_LISTEN": "127.0.0.1:{port}",
        "WXQR_METRICS_LISTEN": "127.0.0.1:{metrics}",
        "WXQR_APP_ID": "wxbench",
        "WXQR_APP_SECRET": "0123456789abcdef0123456789abcdef",
        "WXQR_API_BASE": f"http://127.0.0.1:{sandbox.port}",
        "WXQR_MP_BASE": f"http://127.0.0.1:{sandbox.port}",
        "WXQR_DATABASE_URL": database,
        "WXQR_API_KEYS": f"bench:{KEY}:stats",
        "WXQR_CALLBACK_TOKEN": TOKEN,
        "WXQR_WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/",
        "WXQR_WEBHOOK_SECRET": "whsec_" + base64.b64encode(SECRET).decode(),
        "WXQR_LOG": "error",
    }
    replica = Server("replica", [binary, "serve"], variables)
    replica.wait_until_ready("/readyz")
    return replica


def asked(replica, path):
    request = urllib.request.Request(
        f"http://127.0.0.1:{replica.port}{path}", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def all_events(replica):
    ids, cursor = [], "0"
    while True:
        page = asked(replica, f"/api/scans?limit=1000&cursor={cursor}")
        if not page["items"]:
            return ids
        ids += [event["id"] for event in page["items"]]
        cursor = page["cursor"]


def wait_until_begun(replica):
    while "webhook" not in asked(replica, "/api/account"):
        time.sleep(0.05)


def wait_until_delivered(replica):
    begun = time.monotonic()
    while asked(replica, "/api/account")["webhook"]["lag_events"] > 0:
        if time.monotonic() - begun > CATCHES_UP_WITHIN_S:
            break
        time.sleep(0.05)
    return time.monotonic() - begun


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rate", type=int, default=100, help="events a second")
    parser.add_argument("--away", type=float, default=60, help="seconds without a receiver at first")
    parser.add_argument("--answer-ms", type=int, default=100, help="how long the receiver takes, so that kills meet requests under way")
    parser.add_argument("--database", help="an empty PostgreSQL database instead of an SQLite file")
    return parser.parse_args()


def measure(arguments, folder):
    database = arguments.database or f"sqlite://{folder}/wxqr.db"
    binary = os.path.abspath(arguments.binary)
    receiver = Receiver(database, arguments.answer_ms / 1000)
    command = [binary, "sandbox", "--listen", "127.0.0.1:{port}", "--account", "wxbench:0123456789abcdef0123456789abcdef"]
    sandbox = Server("sandbox", command)
    replicas = [started(binary, database, sandbox, receiver) for _ in range(2)]
    try:
        wait_until_begun(replicas[0])
        pushes = Pushes(replicas, arguments.rate)
        time.sleep(arguments.away)
        receiver.open()
        for kill in range(arguments.kills):
            # Spread over most of a second, in an order that can be repeated.
            time.sleep(0.2 + kill * 7919 % 800 / 1000)
            victim = replicas[kill % 2]
            victim.process.kill()
            victim.process.wait()
            replicas[kill % 2] = started(binary, database, sandbox, receiver)
        acknowledged = pushes.finish()
        caught_up_s = wait_until_delivered(replicas[0])
        return figures(arguments, receiver, all_events(replicas[0]), acknowledged, caught_up_s)
    finally:
        for server in [*replicas, sandbox]:
            server.stop()


def figures(arguments, receiver, events, acknowledged, caught_up_s):
    times = receiver.came_at[1:]
    longest = max((after - before for before, after in zip(times, times[1:])), default=0.0)
    lost = len(set(events) - set(receiver.order))
    engine = "SQLite" if is_sqlite(receiver.database) else "PostgreSQL"
    line = (
        f"{arguments.kills} kills of one of two replicas, receiver of webhooks away for {arguments.away:.0f} s, {arguments.rate} events a second, "
        f"stored in {engine}: {acknowledged} events acknowledged, {len(events)} stored, {len(receiver.order)} delivered in {len(receiver.requests)} requests and {receiver.repeats} repeats, {lost} lost, "
        f"longest silence {longest:.1f} s, caught up {caught_up_s:.1f} s after the last event"
    )
    kept = (
        receiver.order == events
        and acknowledged == len(events)
        and not receiver.faults
        and caught_up_s < CATCHES_UP_WITHIN_S
    )
    return line, receiver.faults[:5], kept


def main():
    with tempfile.TemporaryDirectory() as folder:
        line, faults, kept = measure(parsed_arguments(), folder)
    report(line, kept)
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
