#!/usr/bin/env python3
"""Memory of the service while it reads hostile files of channels, and what it answers.

    cargo build --release
    bench/hostile_files.py target/release/wxqr

Sends each file to `POST /api/codes/plan`, alone and then four at once. Prints one line of figures; standard error has a line for
each file: the answer, the time, and by how much resident memory grew at most. Exits with 1 if a file is planned that should be
refused, if memory grows by more than 64 MiB, or if a code is there afterwards. Needs Linux: the peak is reset through /proc.
"""

import argparse
import concurrent.futures
import io
import json
import pathlib
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

from lists import KEY, serve
from rig import report
from slow_clients import memory_mib

PROMISED_MIB = 64
AT_ONCE = 4
LARGEST = 4 * 1024 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"

PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{DOCUMENT}"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" Type="{DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
MIB = 1024 * 1024


def workbook(rows=b"", strings=None, more=()):
    """A workbook whose sheet has these rows; each part is bytes, or a list of pieces to repeat."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in PARTS.items():
            archive.writestr(name, text)
        if strings is not None:
            archive.writestr("xl/sharedStrings.xml", strings)
        for name, text in more:
            archive.writestr(name, text)
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'<worksheet xmlns="{MAIN}"><sheetData>'.encode())
            for piece in rows if isinstance(rows, list) else [rows]:
                sheet.write(piece)
            sheet.write(b"</sheetData></worksheet>")
    return file.getvalue()


def cell(at, text):
    return f'<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>'.encode()


HEADING = b'<row r="1">' + cell("A1", "label") + b"</row>"


def of_rows(count):
    return workbook(HEADING + b"".join(b'<row r="%d">' % n + cell(f"A{n}", f"Shop {n}") + b"</row>" for n in range(2, count + 2)))


def lines(count):
    return b"label\n" + b"".join(b"Shop %d\n" % n for n in range(count))


def laughs():
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY l0 "lol">{entities}]><sst xmlns="{MAIN}"><si><t>&l9;</t></si></sst>'
    return workbook(HEADING + b'<row r="2"><c r="A2" t="s"><v>0</v></c></row>', text)


# What is sent, as what, and whether it is refused.
FILES = {
    "CSV of 10,000 rows": (lambda: lines(10_000), "text/csv", False),
    "CSV of 10,001 rows": (lambda: lines(10_001), "text/csv", True),
    "CSV of 4 MiB in one line": (lambda: b"label\n" + b"a" * (LARGEST - 6), "text/csv", False),
    "CSV of 2 million separators": (lambda: b"label\n" + b"," * 2_000_000, "text/csv", True),
    "CSV of 2 million line breaks": (lambda: b"label\n" + b"\n" * 2_000_000, "text/csv", True),
    "CSV with an open quotation mark": (lambda: b'label\n"' + b"a\n" * 1_000_000, "text/csv", False),
    "CSV with 2 million headings": (lambda: b"a," * 2_000_000 + b"\na\n", "text/csv", True),
    "GB18030 with a broken byte": (lambda: "名称\n南京路店\n".encode("gb18030") + b"\xff\n", "text/csv", True),
    "NUL bytes": (lambda: b"label\n\0\0\0\n", "text/csv", True),
    "XLSX of 10,000 rows": (lambda: of_rows(10_000), XLSX, False),
    "XLSX of 10,001 rows": (lambda: of_rows(10_001), XLSX, True),
    "half an XLSX": (lambda: of_rows(10_000)[:60_000], XLSX, True),
    "zip bomb: a sheet of 2 GiB": (lambda: workbook([b"<row/>" * 170_000] * 2_000), XLSX, True),
    "zip bomb: 900 entries of 1 MiB": (lambda: workbook(HEADING, more=[(f"x{n}", b"\0" * MIB) for n in range(900)]), XLSX, True),
    "16 MiB of text in one cell": (lambda: workbook(HEADING + b'<row r="2"><c r="A2" t="inlineStr"><is><t>' + b"a" * (15 * MIB) + b"</t></is></c></row>"), XLSX, True),
    "15 MiB of empty cells": (lambda: workbook([HEADING] + [b'<row r="2">'] + [b"<c/>" * 250_000] * 15 + [b"</row>"]), XLSX, True),
    "shared strings that say they are 4 billion": (lambda: workbook(HEADING, f'<sst xmlns="{MAIN}" count="4000000000" uniqueCount="4000000000"></sst>'), XLSX, True),
    "800,000 shared strings": (lambda: workbook(HEADING, f'<sst xmlns="{MAIN}">{"<si><t>a</t></si>" * 800_000}</sst>'), XLSX, True),
    "a billion laughs": (laughs, XLSX, None),
    "XML of a million levels": (lambda: workbook([HEADING, b"<a>" * 1_000_000]), XLSX, True),
    "no ZIP archive": (lambda: b"PK\x03\x04" + b"a" * 1000, XLSX, True),
    "an old XLS": (lambda: b"\xd0\xcf\x11\xe0" + b"\0" * 1000, XLSX, True),
}


def post(server, file, media_type):
    url = f"http://127.0.0.1:{server.port}/api/codes/plan"
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": media_type}
    request = urllib.request.Request(url, data=file, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def outcome(status, answer):
    if status != 200:
        return f"{status} {answer['code']}: {answer['detail']}"
    invalid = sum(row["status"] == "invalid" for row in answer["rows"])
    return f"200, {len(answer['rows'])} rows, {invalid} of them invalid"


def sent(server, file, media_type):
    """Sends a file alone and several times at once. Returns its answer, the time alone, and the growth of memory."""
    pid = server.process.pid
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    before, started = memory_mib(pid, "VmRSS"), time.monotonic()
    status, answer = post(server, file, media_type)
    took = time.monotonic() - started
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: post(server, file, media_type), range(AT_ONCE)))
    return status, answer, took, memory_mib(pid, "VmHWM") - before


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    arguments = parser.parse_args()
    refused, longest_s, most_mib, kept = 0, 0.0, 0, True
    with tempfile.TemporaryDirectory() as folder:
        server, _ = serve(arguments.binary.resolve(), f"sqlite://{folder}/wxqr.db")
        # What the first plan takes stays, and is no file's.
        post(server, lines(10_000), "text/csv")
        for name, (make, media_type, is_refused) in FILES.items():
            file = make()
            assert len(file) <= LARGEST, f"{name} has {len(file)} bytes"
            status, answer, took, grown = sent(server, file, media_type)
            is_kept = grown <= PROMISED_MIB and status < 500 and is_refused in (None, status != 200)
            line = f"{name}, {len(file) / MIB:.1f} MiB: {outcome(status, answer)} {took * 1000:.0f} ms, {grown} MiB more"
            print(line if is_kept else f"NOT AS PROMISED: {line}", file=sys.stderr)
            refused, longest_s, most_mib = refused + (status != 200), max(longest_s, took), max(most_mib, grown)
            kept = kept and is_kept
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/api/codes", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request) as answer:
            codes = json.load(answer)["total"]
        server.stop()
    kept = kept and codes == 0
    report(
        f"{len(FILES)} files of channels, hostile or of the largest size, each alone and {AT_ONCE} at once: {refused} refused, "
        f"{len(FILES) - refused} read, the slowest in {longest_s * 1000:.0f} ms, {most_mib} MiB more memory at most, {codes} codes created",
        kept,
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
