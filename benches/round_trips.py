#!/usr/bin/env python3
"""Counts the requests that a vault in a bucket takes, beside restic and rustic on the same server in one run, and times them.

    benches/round_trips.py [--snapshots 200] [--files 300] [--latency-ms 50] [--tools tgvault,restic,rustic] [--tgvault PROGRAM]

A moto S3 server on loopback holds one repository for each tool: a tree of small files, and one new file for each snapshot. Between tool
and server stands a counter, which lets each request wait for the latency before it passes it on; the snapshots are made without it. *Cold*
is a machine that was never here (no cache, no state, the key only), *warm* the same machine again. Prints requests, of these pages of
listings, and seconds. A tool that is not installed is left out, and named. moto is the one that `tests/run` installs, or `--moto PROGRAM`.
"""

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path


class Counter:
    """A proxy that counts, on a thread of its own."""

    def __init__(self, behind: int, latency: float) -> None:
        self.behind, self.latency = behind, latency
        self.requests = self.listings = 0
        self.loop = asyncio.new_event_loop()
        started = threading.Event()

        def serve() -> None:
            asyncio.set_event_loop(self.loop)
            server = self.loop.run_until_complete(asyncio.start_server(self.connection, "127.0.0.1", 0))
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            self.loop.run_forever()

        threading.Thread(target=serve, daemon=True).start()
        started.wait()

    def take(self) -> tuple[int, int]:
        taken = self.requests, self.listings
        self.requests = self.listings = 0
        return taken

    async def connection(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            server, ask = await asyncio.open_connection("127.0.0.1", self.behind)
            while await self.exchange(client, answer, server, ask):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            answer.close()

    async def exchange(self, client, answer, server, ask) -> bool:
        head = await client.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0]
        self.requests += 1
        query = line.split(b" ")[1].partition(b"?")[2]
        self.listings += line.startswith(b"GET") and any(word in query for word in (b"list-type=", b"prefix=", b"delimiter="))
        if b"100-continue" in head.lower():
            answer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = b"\r\n".join(field for field in head.split(b"\r\n") if not field.lower().startswith(b"expect:"))
        body = await self.body(client, head, has_none=True)
        await asyncio.sleep(self.latency)
        ask.write(head + body)
        said = await server.readuntil(b"\r\n\r\n")
        is_empty = line.startswith(b"HEAD") or said.split(b" ")[1] in (b"204", b"304")
        answer.write(said + (b"" if is_empty else await self.body(server, said, has_none=False)))
        await answer.drain()
        return b"connection: close" not in said.lower() and b"connection: close" not in head.lower()

    async def body(self, stream: asyncio.StreamReader, head: bytes, has_none: bool) -> bytes:
        fields = dict(field.lower().split(b":", 1) for field in head.split(b"\r\n")[1:] if b":" in field)
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            chunks = b""
            while not chunks.endswith(b"0\r\n\r\n"):
                size = await stream.readuntil(b"\r\n")
                chunks += size + await stream.readexactly(int(size.split(b";")[0], 16) + 2)
            return chunks
        length = fields.get(b"content-length")
        if length is None:
            return b"" if has_none else await stream.read()
        return await stream.readexactly(int(length))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Tool:
    """How a tool is called: its commands by what they are for. `{file}` is a stored file, `{out}` a folder that is not there yet."""

    def __init__(self, program: str, work: Path, bucket: str) -> None:
        self.program, self.work, self.bucket = program, work, bucket
        self.source = work / "source"

    def env(self, port: int, machine: str) -> dict:
        home = self.work / type(self).__name__ / machine
        home.mkdir(parents=True, exist_ok=True)
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_STATE_HOME": str(home / "state"),
                       "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
                       "AWS_DEFAULT_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"} | self.more(f"http://127.0.0.1:{port}")

    def call(self, arguments: list[str], port: int, machine: str) -> float:
        begin = time.monotonic()
        ended = subprocess.run([self.program, *arguments], env=self.env(port, machine), cwd=self.work, capture_output=True, text=True)
        if ended.returncode != 0:
            sys.exit(f"failed ({ended.returncode}): {self.program} {' '.join(arguments)}\n{ended.stdout[-500:]}{ended.stderr[-2000:]}")
        return time.monotonic() - begin


class Tgvault(Tool):
    def more(self, url: str) -> dict:
        return {"AWS_ENDPOINT_URL": url, "TGVAULT_REPO": f"s3://{self.bucket}/tgvault"}

    @property
    def key(self) -> str:
        key = self.work / "key.txt"
        if not key.exists():
            subprocess.run(["age-keygen", "-o", str(key)], check=True, stderr=subprocess.DEVNULL)
        return str(key)

    def init(self) -> list[str]:
        return ["init", "-r", subprocess.run(["age-keygen", "-y", self.key], check=True, capture_output=True, text=True).stdout.strip()]

    def backup(self) -> list[str]:
        return ["-q", "-i", self.key, "backup", str(self.source)]

    def commands(self) -> dict:
        with_key = ["-i", self.key]
        return {"snapshots": [*with_key, "snapshots"], "ls latest": [*with_key, "ls", "latest"],
                "restore of one file": [*with_key, "restore", "latest", "{file}", "--to", "{out}"],
                "find in all": [*with_key, "find", "7.txt"], "verify --quick": [*with_key, "verify", "--quick"]}


class Restic(Tool):
    def more(self, url: str) -> dict:
        return {"RESTIC_REPOSITORY": f"s3:{url}/{self.bucket}/restic", "RESTIC_PASSWORD": "x"}

    def init(self) -> list[str]:
        return ["init"]

    def backup(self) -> list[str]:
        return ["-q", "backup", str(self.source)]

    def commands(self) -> dict:
        return {"snapshots": ["snapshots"], "ls latest": ["ls", "latest"],
                "restore of one file": ["restore", "latest", "--include", str(self.source / "{file}"), "--target", "{out}"],
                "find in all": ["find", "7.txt"], "verify --quick": ["check", "--with-cache"]}


class Rustic(Tool):
    def more(self, url: str) -> dict:
        return {"RUSTIC_REPOSITORY": "opendal:s3", "RUSTIC_PASSWORD": "x", "OPENDAL_BUCKET": self.bucket, "OPENDAL_ROOT": "/rustic",
                "OPENDAL_ENDPOINT": url, "OPENDAL_REGION": "us-east-1", "OPENDAL_ACCESS_KEY_ID": "x", "OPENDAL_SECRET_ACCESS_KEY": "x"}

    def init(self) -> list[str]:
        return ["init"]

    def backup(self) -> list[str]:
        return ["--no-progress", "backup", str(self.source)]

    def commands(self) -> dict:
        return {"snapshots": ["snapshots"], "ls latest": ["ls", "latest"],
                "restore of one file": ["restore", f"latest:{self.source}/{{file}}", "{out}"],
                "find in all": ["find", "--glob", "**/7.txt"], "verify --quick": ["check"]}


def write(source: Path, number: int, files: int) -> None:
    """The files of a snapshot's turn: all of the first one, then one more each."""
    for name in [f"old/{n}.txt" for n in range(files)] if number == 0 else [f"new/{number}.txt"]:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n" * 3)


def measure(tool: Tool, options: argparse.Namespace, counter: Counter, server: int) -> dict:
    name = type(tool).__name__
    tool.call(tool.init(), server, "writer")
    shutil.rmtree(tool.source, ignore_errors=True)
    for number in range(options.snapshots):
        write(tool.source, number, options.files)
        tool.call(tool.backup(), server, "writer")
        print(f"\r{name}: {number + 1} of {options.snapshots} snapshots", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    figures = {}

    def counted(command: list[str], machine: str) -> tuple[float, int, int]:
        counter.take()
        seconds = tool.call(command, counter.port, machine)
        return (seconds, *counter.take())

    for what, command in tool.commands().items():
        for state in ("cold", "warm"):
            out = tool.work / "out"
            shutil.rmtree(out, ignore_errors=True)
            words = [word.replace("{file}", "new/7.txt").replace("{out}", str(out)) for word in command]
            figures[what, state] = counted(words, f"reader-{what.replace(' ', '-')}")
    for state, machine in (("warm", "writer"), ("cold", "another")):
        write(tool.source, options.snapshots + len(machine), options.files)
        figures["backup of one file", state] = counted(tool.backup(), machine)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshots", type=int, default=200)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--tools", default="tgvault,restic,rustic")
    parser.add_argument("--tgvault", default="target/release/tgvault")
    parser.add_argument("--moto", default="target/test-servers/moto/venv/bin/moto_server")
    parser.add_argument("--work", type=Path, default=Path("target/round-trips"))
    options = parser.parse_args()
    if options.snapshots < 9:
        parser.error("--snapshots must be 9 at least")
    work = options.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    port = free_port()
    server = subprocess.Popen([options.moto, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/bench", method="PUT")
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
                break
            except OSError:
                time.sleep(0.1)
        counter = Counter(port, options.latency_ms / 1000)
        programs = {"tgvault": (Tgvault, os.path.abspath(options.tgvault)), "restic": (Restic, "restic"), "rustic": (Rustic, "rustic")}
        all_figures = {}
        for name in options.tools.split(","):
            kind, program = programs[name]
            if shutil.which(program) is None:
                print(f"{name}: not installed, left out")
                continue
            all_figures[name] = measure(kind(program, work, "bench"), options, counter, port)
        print(f"\n{options.snapshots} snapshots, {options.latency_ms:g} ms a request: requests (pages of listings among them), seconds\n")
        print("| command | " + " | ".join(f"{name} {state}" for name in all_figures for state in ("warm", "cold")) + " |")
        print("|---|" + "---|" * (2 * len(all_figures)))
        for what in sorted({what for figures in all_figures.values() for what, _ in figures}):
            cells = []
            for figures in all_figures.values():
                for state in ("warm", "cold"):
                    seconds, requests, listings = figures[what, state]
                    cells.append(f"{requests} ({listings}), {seconds:.1f} s")
            print(f"| {what} | " + " | ".join(cells) + " |")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
