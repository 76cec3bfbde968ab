"""Runs the commands of the documents as they are written and compares what they print.

usage: quickstart.py README.md [FILE...]

All files share one server and one folder, in the order given. The first command of the first file,
`cargo run --release`, starts the server; the others run one by one, `peer-agent run` until it has
registered. `peer-registry --listen-addr ADDRESS ...` starts a further server. A JSON block after a
command must have the same keys as what the command printed, at every depth. A command may print an
error response only if the document shows it. Blocks of Rust and TypeScript must be the example files,
each shown once.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

SERVER = "http://127.0.0.1:3000"
START = "cargo run --release"
root = os.getcwd()
documents = {name: open(name).read() for name in sys.argv[1:]}

for kind, path in [("rust", "examples/embed.rs"), ("ts", "examples/node-loop.ts")]:
    shown = [
        block
        for text in documents.values()
        for block in re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)
    ]
    assert shown == [open(path).read()], f"the documents do not show {path} once, as it is"

# (file, kind, text) of each block that is run or compared.
blocks = [
    (name, kind, text)
    for name, document in documents.items()
    for kind, text in re.findall(r"^```(sh|json)\n(.*?)^```$", document, re.M | re.S)
]
assert blocks[0][1:] == ("sh", START + "\n"), blocks[0]
os.environ["PATH"] = os.path.join(root, "target", "release") + os.pathsep + os.environ["PATH"]


def shape(value):
    """The keys of a JSON value, at every depth."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def start_server(command, url, folder):
    server = subprocess.Popen(command, cwd=folder, start_new_session=True)
    servers.append(server)
    deadline = time.monotonic() + 300
    while True:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            return urllib.request.urlopen(f"{url}/health", timeout=5).status
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def stop_servers():
    for server in servers:
        os.killpg(server.pid, signal.SIGTERM)
    codes = [server.wait(timeout=60) for server in servers]
    assert not any(codes), f"the servers ended with {codes}"


def run_until_registered(line, folder):
    agent = subprocess.Popen(shlex.split(line), cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        lines = iter(agent.stderr.readline, "")
        assert any("registered with" in line for line in lines), "it ended without a registration"
    finally:
        agent.terminate()
    assert agent.wait(timeout=60) == 0, agent.returncode


def run(line, folder):
    """Runs one command line and returns what it printed."""
    print("$", line)
    if line.startswith("peer-agent run"):
        return run_until_registered(line, folder)
    if line.startswith("peer-registry --listen-addr "):
        command = shlex.split(line)
        return start_server(command, f"http://{command[2]}", folder)
    place = root if line.startswith("cargo ") else folder
    result = subprocess.run(line, shell=True, cwd=place, capture_output=True, text=True)
    assert result.returncode == 0, (line, result.returncode, result.stderr)
    print(result.stdout)
    return result.stdout


with tempfile.TemporaryDirectory() as folder:
    manifest = os.path.join(root, "Cargo.toml")
    servers = []
    try:
        start_server([*shlex.split(START), "--manifest-path", manifest], SERVER, folder)
        counts = {name: [0, 0] for name in documents}
        output = None
        for at, (name, kind, text) in enumerate(blocks[1:], start=1):
            if kind == "json":
                assert shape(json.loads(output)) == shape(json.loads(text)), (name, text, output)
                counts[name][1] += 1
                continue
            for line in text.splitlines():
                output = run(line, folder)
                counts[name][0] += 1
                is_shown = at + 1 < len(blocks) and '"error":' in blocks[at + 1][2]
                assert is_shown or '"error":' not in str(output), (name, line, output)
        assert "12D3KooW" in run("sqlite3 peers.db 'select * from active_peers'", folder)
        assert os.path.getsize(os.path.join(folder, "peers-backup.db")) > 0
    finally:
        stop_servers()
    for name, (commands, answers) in counts.items():
        print(f"{name}: {commands} commands, {answers} responses as documented")
