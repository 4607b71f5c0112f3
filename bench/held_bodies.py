#!/usr/bin/env python3
"""Memory and latency under clients that send incomplete requests (slow POST, slow headers).

    cargo build --release
    bench/held_bodies.py target/release/wxqr [--clients 9500] [--only NAME]

For each attack, starts the demo with its default limits and opens the clients from a separate process. Each client sends its
whole request but the last byte. Meanwhile a visitor requests a cached code. Prints one line of figures for each attack, and
exits with 1 if a promise is broken: visitors' median below 50 ms, at most 256 MiB of resident memory, 64 MiB afterwards, every
client closed within 15 s of its connection, no leaked file descriptor. Needs Linux, Python 3.9 and a hard limit of open files
(ulimit -Hn) above the number of clients.
"""

import argparse
import multiprocessing
import os
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time

from rig import report
from slow_clients import CLOSED_WITHIN_S, TIMEOUT_S, Visitor, address_of, memory_mib, open_files

ASK_EVERY_S = 0.01
MOST_MIB = 256
MOST_MIB_AFTER = 64

# Applies to the median: p99 falls into the second in which the flood connects, on the same cores.
P50_MS = 50

# The allocator returns freed memory to the operating system after ten seconds.
SETTLED_AFTER_S = 15

LONGEST_PUSH = 64 * 1024
LONGEST_LIST = 512 * 1024


def request(method, target, length, header=""):
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{header}Content-Length: {length}\r\n\r\n"
    return head.encode() + b"a" * (length - 1)


def unsigned_push():
    """A push that can only be rejected by its body."""
    query = f"timestamp={int(time.time())}&nonce=1&encrypt_type=aes&msg_signature={'0' * 40}"
    return request("POST", f"/callback?{query}", LONGEST_PUSH)


ATTACKS = {
    "pushes with a query that can never be valid": lambda: request("POST", "/callback?x=1", LONGEST_PUSH),
    "pushes with a query that may be valid": unsigned_push,
    "POST /api/codes without a key": lambda: request("POST", "/api/codes", LONGEST_LIST),
    "POST /api/bindings without a key": lambda: request("POST", "/api/bindings", 16 * 1024),
    "PUT /sandbox/faults in the demo": lambda: request("PUT", "/sandbox/faults", LONGEST_PUSH),
    "heads of 24 KiB": lambda: b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (24 * 1024),
}


def main():
    arguments = parsed_arguments()
    room = arguments.clients + 200
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < room:
        sys.exit(f"the hard limit of open files is {hard}; {room} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, hard))
    good = True
    for name, attack in ATTACKS.items():
        if arguments.only in name:
            line, kept = figures_of(arguments, name, attack)
            report(line, kept)
            good = good and kept
    sys.exit(0 if good else 1)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--clients", type=int, default=9500)
    parser.add_argument("--only", default="", help="part of the name of an attack")
    return parser.parse_args()


def figures_of(arguments, name, attack):
    with tempfile.TemporaryDirectory() as folder:
        service = subprocess.Popen(
            [os.path.abspath(arguments.binary), "demo", "--listen", "127.0.0.1:0"],
            cwd=folder, stdout=subprocess.PIPE, text=True,
        )
        try:
            return measure(service.pid, address_of(service), arguments.clients, name, attack)
        finally:
            service.terminate()
            service.wait(TIMEOUT_S)


def measure(pid, address, clients, name, attack):
    visitor = Visitor(address)
    for _ in range(100):
        visitor.ask()
    visitor.leave()
    files_before, memory_before = open_files(pid), memory_mib(pid, "VmRSS")
    ours, theirs = multiprocessing.Pipe()
    flood = multiprocessing.Process(target=hold, args=(address, clients, attack(), theirs))
    flood.start()
    times = []
    while not ours.poll():
        times.append(visitor.ask())
        time.sleep(ASK_EVERY_S)
    lives = ours.recv()
    flood.join()
    visitor.leave()
    time.sleep(SETTLED_AFTER_S)
    files_after, memory_after = open_files(pid), memory_mib(pid, "VmRSS")
    times.sort()
    p50, p99 = (1000 * times[len(times) * share // 100] for share in (50, 99))
    closed = [life for life in lives if life is not None]
    longest, most = max(closed, default=0.0), memory_mib(pid, "VmHWM")
    line = (
        f"{clients} clients hold {name}: resident memory {memory_before} MiB before, {most} MiB at most, {memory_after} MiB after; "
        f"{len(times)} other requests, all answered, p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {1000 * times[-1]:.1f} ms; "
        f"{len(closed)} of {len(lives)} clients closed, the last after {longest:.1f} s; open files {files_before} before, {files_after} after"
    )
    kept = (
        p50 < P50_MS
        and most <= MOST_MIB
        and memory_after <= MOST_MIB_AFTER
        and len(closed) == len(lives)
        and longest < CLOSED_WITHIN_S
        and files_after <= files_before
    )
    return line, kept


def hold(address, clients, request, report):
    """Opens all clients, sends what the service accepts, and reports the lifetime of each in seconds, None if still open."""
    streams, left, opened, lives = {}, {}, {}, {}
    epoll = select.epoll()
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end and (len(streams) < clients or None in lives.values()):
        if len(streams) < clients:
            stream = socket.create_connection(address, TIMEOUT_S)
            stream.setblocking(False)
            handle = stream.fileno()
            streams[handle], left[handle] = stream, memoryview(request)
            opened[handle], lives[handle] = time.monotonic(), None
            epoll.register(handle, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP)
        for handle, events in epoll.poll(0 if len(streams) < clients else 0.1):
            if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                lives[handle] = time.monotonic() - opened[handle]
                epoll.unregister(handle)
            elif events & select.EPOLLOUT:
                try:
                    left[handle] = left[handle][streams[handle].send(left[handle]):]
                except OSError:
                    continue  # Closed: the next poll reports it.
                if not left[handle]:
                    epoll.modify(handle, select.EPOLLRDHUP)
    report.send(list(lives.values()))


if __name__ == "__main__":
    main()
