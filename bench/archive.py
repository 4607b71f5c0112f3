#!/usr/bin/env python3
"""Memory of the service while it writes a ZIP archive of pictures, and what is in the archive.

    cargo build --release
    bench/archive.py target/release/wxqr [--codes 2000] [--more 20000]

Writes codes into an empty database, starts the service, and downloads the archive as PNG and as SVG. Every picture of the first is
read by zbar, and its text compared with `codes.csv`; names must differ without regard to case, and be safe on Windows. Then again
with more codes, for what each of them costs. Prints one line of figures, the rest to standard error. Exits with 1 if the first
archives let resident memory grow by 32 MiB or more.
"""

import argparse
import csv
import io
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

from lists import APP_ID, KEY, serve
from rig import report
from slow_clients import memory_mib

PROMISED_MIB = 32
UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f]|[ .]$')
DEVICE = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)
LABELS = ["南京路店", "CON", "../../x", "Shop", "shop", "a:b", "🎪"]


def fill(database, codes):
    with sqlite3.connect(database.removeprefix("sqlite://")) as connection:
        rows = [(f"s{n}", f"gQ{'x' * 80}{n:08}", f"http://weixin.qq.com/q/{n:021}", n, f"k{n}", LABELS[n % len(LABELS)]) for n in range(codes)]
        connection.executemany(
            "INSERT INTO code (appid, kind, scene, ticket, url, minted_at, created_at, url_key)"
            f" VALUES ('{APP_ID}', 'QR_LIMIT_STR_SCENE', ?, ?, ?, ?, 0, ?)", [row[:5] for row in rows])
        connection.executemany(
            "INSERT INTO channel (appid, kind, scene, label)"
            f" VALUES ('{APP_ID}', 'QR_LIMIT_STR_SCENE', ?, ?)", [(row[0], row[5]) for row in rows])
        connection.execute("DELETE FROM about WHERE name = 'search_keys'")


def download(server, picture_format):
    url = f"http://127.0.0.1:{server.port}/api/codes.zip?format={picture_format}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {KEY}"})
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=600) as answer:
        archive = answer.read()
    return archive, time.monotonic() - started


def check(archive, codes):
    """Reads every picture with zbar, and compares."""
    archive = zipfile.ZipFile(io.BytesIO(archive))
    rows = list(csv.DictReader(io.TextIOWrapper(archive.open("codes.csv"), encoding="utf-8", newline="")))
    names = [name for name in archive.namelist() if name != "codes.csv"]
    assert len(rows) == len(names) == codes, (len(rows), len(names))
    assert len({name.lower() for name in names}) == codes, "names differ in case only"
    assert not [name for name in names if UNSAFE.search(name) or DEVICE.match(name)], "names that Windows refuses"
    with tempfile.TemporaryDirectory() as folder:
        numbered = {row["url"]: number for number, row in enumerate(rows)}
        for row in rows:
            pathlib.Path(folder, f"{numbered[row['url']]}.png").write_bytes(archive.read(row["file"]))
        for first in range(0, codes, 500):
            files = [f"{number}.png" for number in range(first, min(first + 500, codes))]
            read = subprocess.run(["zbarimg", "--quiet", "--raw", *files], cwd=folder, check=True, capture_output=True, text=True)
            texts = read.stdout.splitlines()
            assert [numbered[text] for text in texts] == list(range(first, first + len(files))), "a picture is another code's"


def measure(binary, codes, is_promised):
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite://{folder}/wxqr.db"
        server, _ = serve(binary, database)
        server.stop()
        fill(database, codes)
        server, _ = serve(binary, database)
        pid = server.process.pid
        # What the first list takes is not the archive's.
        urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{server.port}/api/codes?limit=100", headers={"Authorization": f"Bearer {KEY}"})).read()
        before = memory_mib(pid, "VmRSS")
        took = {}
        for picture_format in ["png", "svg"]:
            archive, took[picture_format] = download(server, picture_format)
            size = len(archive) / 2**20
            if is_promised and picture_format == "png":
                check(archive, codes)
            print(f"{codes:7,} codes as {picture_format}: {size:6.1f} MiB in {took[picture_format]:5.1f} s", file=sys.stderr)
        grown = memory_mib(pid, "VmHWM") - before
        print(f"{codes:7,} codes: resident memory {before} MiB before, {grown} MiB more at most", file=sys.stderr)
        server.stop()
    return grown, took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--codes", type=int, default=2000)
    parser.add_argument("--more", type=int, default=20_000)
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    grown, took = measure(binary, arguments.codes, True)
    if arguments.more:
        measure(binary, arguments.more, False)
    kept = grown < PROMISED_MIB
    report(
        f"A ZIP archive of {arguments.codes:,} codes: all pictures are read by zbar, {grown} MiB more memory at most, "
        f"{took['png']:.1f} s as PNG, {took['svg']:.1f} s as SVG",
        kept,
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
