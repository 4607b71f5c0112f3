#!/usr/bin/env python3
"""A site whose visitors sign in by scanning a code. README.md beside this file tells what happens.

    WXQR_URL=http://127.0.0.1:8080 BIND_KEY=... python3 server.py [PORT]

Needs Python 3.9 and nothing else. Sessions are kept in memory: a real site has a place for them already.
"""

from __future__ import annotations

import http.cookies
import json
import os
import pathlib
import secrets
import sys
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WXQR = os.environ.get("WXQR_URL", "http://127.0.0.1:8080").rstrip("/")
KEY = os.environ.get("BIND_KEY", "")
PAGE = pathlib.Path(__file__).with_name("page.html").read_bytes()

# How long one request of the page waits for a scan, in seconds.
WAIT = 20

# By session id: "binding" is the id of the binding under way, "nonce" its context, "openid" the
# follower who signed in.
SESSIONS: dict[str, dict[str, str]] = {}
LOCK = threading.Lock()


def wxqr(method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
    """Asks wxqr with the key, which never leaves this back end."""
    request = urllib.request.Request(
        WXQR + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT + 10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError:
        return 503, {"detail": "wxqr cannot be reached"}


def begin(session: str) -> dict:
    """A new code for this session and for no other: only we know whose its context is."""
    nonce = secrets.token_urlsafe(16)
    status, binding = wxqr("POST", "/api/bindings", {"expire_seconds": 300, "context": nonce})
    if status != 201:
        return {"status": "failed", "why": binding.get("detail", "")}
    with LOCK:
        SESSIONS[session] = {"binding": binding["id"], "nonce": nonce}
    # The page gets the picture and not the id.
    code = binding["code"]
    return {"status": "pending", "image": code["image_url"], "url": code["url"]}


def wait(session: str) -> dict:
    """Waits for the scan a while. Whoever scanned is signed in here, in the session that asked for the code."""
    with LOCK:
        state = dict(SESSIONS[session])
    if "openid" in state:
        return {"status": "signed_in", "openid": state["openid"]}
    if "binding" not in state:
        return {"status": "expired"}
    path = f"/api/bindings/{state['binding']}"
    status, standing = wxqr("GET", f"{path}?wait={WAIT}")
    if status >= 500:
        return {"status": "busy"}
    if status == 200 and standing["status"] == "pending":
        return {"status": "pending"}
    if status == 200 and standing["status"] == "scanned":
        status, claimed = wxqr("POST", f"{path}/claim")
        if status >= 500:
            return {"status": "busy"}
        if status == 200 and claimed.get("context") == state["nonce"]:
            with LOCK:
                SESSIONS[session] = {"openid": claimed["openid"]}
    # Another tab of the same session may have been first.
    with LOCK:
        openid = SESSIONS[session].get("openid")
    return {"status": "signed_in", "openid": openid} if openid else {"status": "expired"}


class Site(BaseHTTPRequestHandler):
    """The page, and the three things that it asks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(PAGE, "text/html; charset=utf-8")
        elif self.path == "/login/wait":
            self.with_session(wait)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        # A form of another site cannot send this header without being asked first.
        if self.headers.get("X-Requested-With") != "page":
            self.send_error(403)
        elif self.path == "/login":
            self.with_session(begin)
        elif self.path == "/logout":
            self.with_session(lambda session: SESSIONS.__setitem__(session, {}) or {"status": "signed_out"})
        else:
            self.send_error(404)

    def with_session(self, act) -> None:
        session, is_new = self.session()
        answer = json.dumps(act(session)).encode()
        cookie = f"session={session}; Path=/; HttpOnly; SameSite=Lax" if is_new else None
        self.answer(answer, "application/json", cookie)

    def session(self) -> tuple[str, bool]:
        """The visitor's session. Only one that was given out here is taken."""
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        known = cookies["session"].value if "session" in cookies else ""
        with LOCK:
            if known in SESSIONS:
                return known, False
            session = secrets.token_urlsafe(16)
            SESSIONS[session] = {}
            return session, True

    def answer(self, body: bytes, media_type: str, cookie: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if not KEY:
        sys.exit("BIND_KEY is not set: a key of wxqr with the scope bind")
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    server = ThreadingHTTPServer(("127.0.0.1", port), Site)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
