"""Runs the commands of the README as they are written and holds what they print against it.

The first command, `cargo run --release`, is started and left running; the others run one by one,
`peer-agent run` until it has registered. A JSON block after a command must have the same keys as what
the command printed. Blocks of program text must be the files that they show.
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

readme = open(sys.argv[1]).read()
root = os.getcwd()
for kind, path in [("rust", "examples/embed.rs"), ("ts", "examples/node-loop.ts")]:
    shown = re.findall(rf"^```{kind}\n(.*?)^```$", readme, re.M | re.S)
    assert shown == [open(path).read()], f"the README does not show {path} as it is"
os.environ["PATH"] = os.path.join(root, "target", "release") + os.pathsep + os.environ["PATH"]
blocks = re.findall(r"^```(sh|json)\n(.*?)^```$", readme, re.M | re.S)
assert blocks[0] == ("sh", "cargo run --release\n"), blocks[0]


def shape(value):
    """The keys of a JSON value, at every depth."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def check_status(url, deadline):
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def run_until_registered(line, folder):
    agent = subprocess.Popen(shlex.split(line), cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        said = iter(agent.stderr.readline, "")
        assert any("registered with" in line for line in said), "it ended without a registration"
    finally:
        agent.terminate()
    assert agent.wait(timeout=60) == 0, agent.returncode


with tempfile.TemporaryDirectory() as folder:
    manifest = os.path.join(root, "Cargo.toml")
    server = subprocess.Popen(
        ["cargo", "run", "--release", "--manifest-path", manifest], cwd=folder, start_new_session=True
    )
    try:
        check_status("http://127.0.0.1:3000/health", time.monotonic() + 300)
        commands = printed = 0
        output = None
        for kind, text in blocks[1:]:
            if kind == "json":
                assert shape(json.loads(output)) == shape(json.loads(text)), (text, output)
                printed += 1
                continue
            for line in text.splitlines():
                print("$", line)
                commands += 1
                if line.startswith("peer-agent run"):
                    run_until_registered(line, folder)
                    continue
                place = root if line.startswith("cargo ") else folder
                output = subprocess.run(
                    line, shell=True, cwd=place, check=True, capture_output=True, text=True
                ).stdout
                print(output)
        assert "12D3KooW" in subprocess.run(
            ["sqlite3", "peers.db", "select * from active_peers"],
            cwd=folder, check=True, capture_output=True, text=True,
        ).stdout
        assert os.path.getsize(os.path.join(folder, "peers-backup.db")) > 0
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        code = server.wait(timeout=60)
    assert code == 0, f"the server ended with {code}"
    print(f"README: {commands} commands, {printed} answers as documented")
