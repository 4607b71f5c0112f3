#!/usr/bin/env python3
"""The files of Compose: python3 deploy/checks/compose.py PATH/TO/wxqr

docker-compose reads both, with a `.env` that is made as env.example and .env.example say. Services
have no more rights than they need, and wxqr takes the settings that it would get.

Needs docker-compose, openssl and the Python packages of requirements.txt. No container is started.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

from common import TOP, expect

# Rights that a service needs, of all that it is denied.
RIGHTS = {
    "compose.yaml": {"demo": [], "serve": []},
    "deploy/compose/compose.yaml": {
        "wxqr": [], "caddy": ["NET_BIND_SERVICE"], "postgres": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]},
}
FILLED = {"WXQR_APP_ID": "wx0123456789abcdef", "WXQR_APP_SECRET": "secret", "SITE": "qr.example.com"}


def make_env(example):
    """Runs the commands that stand in the example, as one would at a first start, and fills in what they leave open."""
    lines = re.findall(r"^#     (.*)$", example.read_text(), re.MULTILINE)
    (folder,) = [line.removeprefix("cd ") for line in lines if line.startswith("cd ")] or ["."]
    subprocess.run(["bash", "-euc", "\n".join(lines)], cwd=example.parents[len(pathlib.Path(folder).parts)], check=True)
    made = example.with_name(".env")
    text = made.read_text()
    for name, value in FILLED.items():
        text = re.sub(f"^{name}=$", f"{name}={value}", text, flags=re.MULTILINE)
    made.write_text(text)
    expect(made.stat().st_mode & 0o777 == 0o600, f"{made} can be read by others")
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=.", line))


def check(binary, top, name, example):
    for service, written in yaml.safe_load((top / name).read_text())["services"].items():
        # In the short form the file is required, for every version of Compose.
        expect(written.get("env_file", [".env"]) == [".env"], f"{name}: env_file of {service}")
        expect(name != "compose.yaml" or written["profiles"] == [service], f"{name}: profiles of {service}")
    given = make_env(top / example)
    command = ["docker-compose", "--file", top / name, "--profile", "demo", "--profile", "serve", "config"]
    read = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    services = read["services"]
    networks = {network for service in services.values() for network in service.get("networks", [])}
    expect(networks == set(read.get("networks", [])), f"{name}: networks {networks}")
    expect(set(services) == set(RIGHTS[name]), f"{name}: {set(services)}")
    for service, rights in RIGHTS[name].items():
        got = services[service]
        expect(got["read_only"] and got["cap_drop"] == ["ALL"] and got.get("cap_add", []) == rights, f"{name}: rights of {service}")
        expect(got["security_opt"] == ["no-new-privileges:true"] and "privileged" not in got, f"{name}: {service} may gain rights")
        # Only what speaks TLS, or this machine, is reached from elsewhere.
        published = [port for port in got.get("ports", []) if service != "caddy"]
        expect(all(str(port).startswith("127.0.0.1:") for port in published), f"{name}: {service} publishes {published}")
        if got.get("image") == "wxqr" and service != "demo":
            check_settings(binary, service, {**given, **got["environment"]})


def check_settings(binary, service, environment):
    variables = {key: value for key, value in environment.items() if key.startswith("WXQR_") and value}
    done = subprocess.run([binary, "config"], env=variables, capture_output=True, text=True)
    expect(done.returncode == 0, f"{service}: {done.stderr}")
    for name in variables:
        expect(re.search(f"^{name} +variable ", done.stdout, re.MULTILINE), f"{service}: {name} is not set")


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = os.path.realpath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "compose.yaml", ".env.example", "deploy"],
                               cwd=TOP, check=True, capture_output=True, text=True)
        subprocess.run(["cp", "--parents", "-t", top, *files.stdout.split()], cwd=TOP, check=True)
        check(binary, top, "compose.yaml", ".env.example")
        check(binary, top, "deploy/compose/compose.yaml", "deploy/compose/env.example")
    print("both Compose files are read, and wxqr takes their settings")


if __name__ == "__main__":
    main()
