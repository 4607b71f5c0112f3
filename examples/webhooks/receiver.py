#!/usr/bin/env python3
"""Receives webhooks of wxqr, and prints their events. README.md beside this file tells more.

    pip install standardwebhooks
    WEBHOOK_SECRET=whsec_... python3 receiver.py [PORT]
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])

# The largest body that is read, in bytes. Those of the service are far smaller.
MAX_BODY = 1024 * 1024

# The id of the last request. A real receiver keeps it with the events.
last_id = None
lock = threading.Lock()


class Receiver(BaseHTTPRequestHandler):
    # Seconds that a connection may be silent.
    timeout = 10

    def do_POST(self):
        length = self.headers["Content-Length"] or ""
        if not length.isdecimal():
            return self.answer(411)
        if len(length) > 9 or int(length) > MAX_BODY:
            return self.answer(413)
        # The body as it came: the signature covers its bytes.
        body = self.rfile.read(int(length))
        try:
            message = WEBHOOK.verify(body, dict(self.headers))
        except WebhookVerificationError:
            return self.answer(401)
        take(self.headers["webhook-id"], message["data"]["events"])
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def take(message_id, events):
    """Takes the events of a request, unless it came before: a lost answer brings it again."""
    global last_id
    with lock:
        if message_id != last_id:
            for event in events:
                print(json.dumps(event, ensure_ascii=False), flush=True)
            last_id = message_id


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
