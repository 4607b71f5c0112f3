#!/usr/bin/env python3
"""Latency of visitors during a slowloris attack: thousands of clients that are silent or send one byte a second.

    cargo build --release
    bench/slow_clients.py target/release/wxqr [--silent 5000] [--dripping 5000]

Starts the demo with its default limits and opens the slow clients from a separate process. Meanwhile a visitor requests a
cached code, alternating between new connections and a kept-alive one. Prints one line with the figures, and exits with 1 if a
promise is broken: p99 below 50 ms, every slow client closed within 15 s, no leaked file descriptor. Needs Linux, Python 3.9 and
a hard limit of open files (ulimit -Hn) above the number of slow clients.
"""

import argparse
import http.client
import multiprocessing
import os
import re
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time

from rig import report

DRIP_EVERY_S = 1.0
ASK_EVERY_S = 0.01
P99_MS = 50
CLOSED_WITHIN_S = 15
TIMEOUT_S = 60


def main():
    arguments = parsed_arguments()
    room = arguments.silent + arguments.dripping + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < room:
        sys.exit(f"the hard limit of open files is {hard}; {room} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    with tempfile.TemporaryDirectory() as folder:
        service = subprocess.Popen(
            [os.path.abspath(arguments.binary), "demo", "--listen", "127.0.0.1:0"],
            cwd=folder, stdout=subprocess.PIPE, text=True,
        )
        try:
            address = address_of(service)
            line, kept = measure(service.pid, address, arguments)
        finally:
            service.terminate()
            service.wait(TIMEOUT_S)
    report(line, kept)
    sys.exit(0 if kept else 1)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--silent", type=int, default=5000)
    parser.add_argument("--dripping", type=int, default=5000)
    return parser.parse_args()


def address_of(service):
    """The listen address, from the output of the demo."""
    for line in service.stdout:
        found = re.match(r"Page:\s+http://([0-9.]+):(\d+)/", line)
        if found:
            return found[1], int(found[2])
    sys.exit("the demo did not start")


def measure(pid, address, arguments):
    visitor = Visitor(address)
    for _ in range(100):
        visitor.ask()
    visitor.leave()
    files_before, memory_before = open_files(pid), memory_mib(pid, "VmRSS")
    ours, theirs = multiprocessing.Pipe()
    flood = multiprocessing.Process(
        target=slow_clients, args=(address, arguments.silent, arguments.dripping, theirs)
    )
    flood.start()
    times = []
    while not ours.poll():
        times.append(visitor.ask())
        time.sleep(ASK_EVERY_S)
    lives = ours.recv()
    flood.join()
    visitor.leave()
    files_after = files_before + 1
    deadline = time.monotonic() + CLOSED_WITHIN_S
    while files_after > files_before and time.monotonic() < deadline:
        time.sleep(0.1)
        files_after = open_files(pid)
    times.sort()
    p50, p99 = (1000 * times[len(times) * share // 100] for share in (50, 99))
    closed = [life for life in lives if life is not None]
    longest = max(closed, default=0.0)
    line = (
        f"{arguments.silent} silent and {arguments.dripping} dripping clients: {len(times)} other requests, all answered, "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {1000 * times[-1]:.1f} ms; {len(closed)} of {len(lives)} slow clients "
        f"closed, the last after {longest:.1f} s; open files {files_before} before, {files_after} after; "
        f"resident memory {memory_before} MiB before, {memory_mib(pid, 'VmHWM')} MiB at most"
    )
    kept = (
        p99 < P99_MS
        and len(closed) == len(lives)
        and longest < CLOSED_WITHIN_S
        and files_after <= files_before
    )
    return line, kept


class Visitor:
    """Requests a cached code, alternating between a new connection and a kept-alive one."""

    def __init__(self, address):
        self.address = address
        self.kept = self.connection()
        self.asked = 0

    def connection(self):
        return http.client.HTTPConnection(*self.address, timeout=TIMEOUT_S)

    def ask(self):
        """Sends one request, and returns the seconds until the whole answer, connecting included."""
        self.asked += 1
        is_new = self.asked % 2 == 0
        started = time.perf_counter()
        connection = self.connection() if is_new else self.kept
        try:
            self.read(connection)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # The service may evict an idle kept-alive connection; clients retry.
            if is_new:
                raise
            connection.close()
            self.read(connection)
        took = time.perf_counter() - started
        if is_new:
            connection.close()
        return took

    @staticmethod
    def read(connection):
        connection.request("GET", "/qrcode.json?scene_id=1")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"a visitor got {answer.status}")

    def leave(self):
        self.kept.close()


def slow_clients(address, silent, dripping, report):
    """Opens all clients, drips, and reports the lifetime of each in seconds, None if still open."""
    clients, opened, lives = {}, {}, {}
    epoll = select.epoll()
    for number in range(silent + dripping):
        client = socket.create_connection(address, TIMEOUT_S)
        client.setblocking(False)
        handle = client.fileno()
        clients[handle], opened[handle], lives[handle] = client, time.monotonic(), None
        epoll.register(handle, select.EPOLLIN | select.EPOLLRDHUP)
        if number >= silent:
            client.send(b"GET / HTTP/1.1\r\nX: ")
    drips = list(clients)[silent:]
    end = time.monotonic() + TIMEOUT_S
    next_drip = time.monotonic() + DRIP_EVERY_S
    while None in lives.values() and time.monotonic() < end:
        for handle, _ in epoll.poll(max(0.0, next_drip - time.monotonic())):
            # No request is ever answered, so any event means that the connection was closed.
            lives[handle] = time.monotonic() - opened[handle]
            epoll.unregister(handle)
        if time.monotonic() >= next_drip:
            next_drip += DRIP_EVERY_S
            for handle in drips:
                if lives[handle] is None:
                    drip(clients[handle])
    report.send(list(lives.values()))


def drip(client):
    try:
        client.send(b"a")
    except OSError:
        pass  # Closed: the next poll reports it.


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_mib(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) // 1024
    sys.exit(f"there is no {field}")


if __name__ == "__main__":
    main()
