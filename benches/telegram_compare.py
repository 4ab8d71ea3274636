#!/usr/bin/env python3
"""Compares `tgvault backup telegram` with a Telethon script that does the same job against the same server.

    benches/telegram_compare.py [--runs 3] [--messages 20000] [--chats 200] [--files 100] [--media-mb 50] [--latency-ms 0] [--pace fast]
                                [--programs DIR]

The job: every message of every chat in the dialog list, raw and as JSON, and every file that is shown, each once. tgvault also encrypts
and signs; Telethon writes plain files, page after page and file after file, as its own examples do, but without the second that it would
wait after each page. It does not see the history of groups from before they became supergroups. Both are logged in before the clock starts. The server is the project's own test server, on loopback, with the latency given, on the same cores.

Telethon comes from the package index into an environment of its own below `target/`. Programs are release builds unless `--profile` says
`dev`, and built first; `--programs DIR` takes them as they are there. Prints, for each job, the median wall time and the largest resident set, and the ratio of the medians to tgvault's.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
API_HASH = "0123456789abcdef0123456789abcdef"
PHONE = "+9996621234"


def newer(name: str, fields: str) -> type:
    """A type for an object that begins with its flags, as Telethon reads and prints one; `field:bit:form` is there where its bit is set."""
    from telethon.tl.tlobject import TLObject

    class Newer(TLObject):
        def __init__(self, values: dict) -> None:
            self.values = values

        def to_dict(self) -> dict:
            return {"_": name, **self.values}

        @classmethod
        def from_reader(cls, reader: object) -> "Newer":
            read = {"q": reader.read_long, "i": reader.read_int, "s": reader.tgread_string}
            flags = reader.read_int()
            values = {"flags": flags}
            for field in fields.split():
                field, *bit, form = field.split(":")
                if not bit or flags >> int(bit[0]) & 1:
                    values[field] = read[form]()
            return cls(values)

    return Newer


def telethon_job(arguments: list[str]) -> None:
    """Runs inside the environment that has Telethon: logs in, or fetches everything into a folder."""
    from telethon import TelegramClient
    from telethon.crypto import rsa
    from telethon.tl import types
    from telethon.tl.alltlobjects import tlobjects

    # The server speaks layer 230, which has some kinds of things more than Telethon's 229.
    tlobjects.setdefault(0x3CD2A36A, types.TextBankCard)
    tlobjects.setdefault(0xFDABBFCD, types.MessageEntityBankCard)
    tlobjects.setdefault(0x9329EA33, newer("messageActionGramTransfer", "amount:q peer_address:s transaction_id:s comment:0:s"))
    fields = "session_id:q expires:i topic:0:s trace_id:1:s dapp_name:4:s"
    tlobjects.setdefault(0x69B8C4BF, newer("messageActionWalletTonConnectRequest", fields))
    what, session, address, key, phone, code, dc, folder = arguments
    rsa.add_key(Path(key).read_text(), old=False)
    host, port = address.rsplit(":", 1)

    async def fetch() -> None:
        client = TelegramClient(session, 12345, API_HASH)
        if what == "login":
            client.session.set_dc(int(dc), host, int(port))
        await client.connect()
        if what == "login":
            await client.send_code_request(phone)
            await client.sign_in(phone, code)
            await client.disconnect()
            return
        counts = {"chats": 0, "messages": 0, "files": 0}
        seen = set()
        async for dialog in client.iter_dialogs():
            counts["chats"] += 1
            with open(Path(folder) / f"{dialog.id}.jsonl", "w") as out:
                async for message in client.iter_messages(dialog.input_entity, reverse=True, wait_time=0):
                    out.write(message.to_json() + "\n")
                    counts["messages"] += 1
                    shown = message.file
                    if shown is None or message.media is None or getattr(message, "web_preview", None):
                        continue
                    of = message.photo or message.document
                    if of is None or of.id in seen:
                        continue
                    seen.add(of.id)
                    if await client.download_media(message, str(Path(folder) / f"media-{of.id}")):
                        counts["files"] += 1
        await client.disconnect()
        print(json.dumps(counts))

    asyncio.run(fetch())


def telethon_python() -> Path:
    """The interpreter of an environment with Telethon, made on first use."""
    python = TARGET / "telethon/venv/bin/python"
    if subprocess.run([python, "-c", "import telethon"], capture_output=True).returncode if python.exists() else True:
        subprocess.run([sys.executable, "-m", "venv", TARGET / "telethon/venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "telethon"], check=True)
    return python


def measured(command: list, env: dict) -> tuple[float, float, str]:
    """Runs a command; wall seconds, largest resident set in MiB, its output."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(word) for word in command], env=env, stdout=out, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        out.seek(0)
        errors.seek(0)
        text = out.read().decode(errors="replace")
        # 3: finished, and something could not be read; it is told below.
        if process.returncode not in (0, 3):
            sys.exit(f"failed ({process.returncode}): {command}\n{errors.read().decode(errors='replace')}")
    return wall, usage.ru_maxrss / 1024, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--media-mb", type=int, default=50)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--pace", default="fast", choices=["gentle", "normal", "fast"])
    parser.add_argument("--profile", default="release", choices=["release", "dev"])
    parser.add_argument("--programs", type=Path)
    options = parser.parse_args()

    folder = programs(options)
    python = telethon_python()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        with serving(folder, work, options) as at:
            compare(options, folder / "tgvault", python, work, at)


def programs(options: argparse.Namespace) -> Path:
    """The folder with the two programs, built where they are not given."""
    if options.programs is None:
        build = ["cargo", "build", "--locked", "--workspace", "--bins", "--profile", options.profile]
        subprocess.run(build, cwd=ROOT, check=True)
    return options.programs or TARGET / ("release" if options.profile == "release" else "debug")


@contextmanager
def serving(folder: Path, work: Path, options: argparse.Namespace, *more: str) -> Iterator[dict]:
    """Runs the test server with an account of the wanted size; gives what it says of itself. Its key is `work/key.pem`."""
    command = [folder / "telegram-server", "--write-key", work / "key.pem", "--messages", str(options.messages), "--chats", str(options.chats),
               "--files", str(options.files), "--media-bytes", f"{options.media_mb}M", "--latency", f"{options.latency_ms}ms", "--no-gallery"]
    server = subprocess.Popen([*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.stdin.close()
        server.wait()


def logged_in(tgvault: Path, work: Path, at: dict, pace: str) -> dict:
    """Logs in, and gives the environment in which `tgvault` finds the login and the server; a passphrase is in `work/passphrase`."""
    env = {**os.environ, "TGVAULT_STATE_DIR": str(work / "state"), "TGVAULT_API_ID": "12345", "TGVAULT_API_HASH": API_HASH,
           "TGVAULT_TELEGRAM_SERVER": at["address"], "TGVAULT_TELEGRAM_SERVER_KEY": str(work / "key.pem"),
           "TGVAULT_TELEGRAM_SERVER_DC": str(at["home_dc"]), "TGVAULT_PACE": pace}
    (work / "passphrase").write_text("seven purple otters juggle forgotten lanterns beside quartz zebras\n")
    (work / "passphrase").chmod(0o600)
    login = [tgvault, "--quiet", "login", "--phone", at.get("phone", PHONE)]
    subprocess.run(login, input=f"{at['code']}\n", text=True, env=env, check=True, stdout=subprocess.DEVNULL)
    return env


def new_vault(tgvault: Path, work: Path, env: dict, vault: Path) -> dict:
    """Makes a vault, and gives the environment with it."""
    with_vault = {**env, "TGVAULT_REPO": str(vault)}
    subprocess.run([tgvault, "--quiet", "--passphrase-file", work / "passphrase", "init"], env=with_vault, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return with_vault


def compare(options: argparse.Namespace, tgvault: Path, python: Path, work: Path, at: dict) -> None:
    phone, code = at.get("phone", PHONE), at["code"]
    env = logged_in(tgvault, work, at, options.pace)
    worker = [python, Path(__file__).resolve(), "--telethon"]
    common = [work / "telethon", at["address"], work / "key.pem", phone, code, at["home_dc"]]
    measured([*worker, "login", *common, work], env)

    results: dict[str, list[tuple[float, float]]] = {"tgvault": [], "telethon": []}
    told = {}
    for number in range(options.runs):
        # A new vault each time, so that nothing is known; the login is the same.
        with_vault = new_vault(tgvault, work, env, work / f"vault-{number}")
        backup = [tgvault, "--json", "backup", "telegram", "--takeout", "never", "--no-account-data", "--recheck-budget", "0"]
        wall, peak, text = measured(backup, with_vault)
        results["tgvault"].append((wall, peak))
        lines = [json.loads(line) for line in text.splitlines()]
        told["tgvault"] = next(line for line in lines if line["message_type"] == "coverage")
        out = work / f"telethon-{number}"
        out.mkdir()
        wall, peak, text = measured([*worker, "fetch", *common, out], env)
        results["telethon"].append((wall, peak))
        told["telethon"] = json.loads(text)
    for tool, counts in told.items():
        print(f"{tool}: {counts}")
    base = statistics.median(wall for wall, _ in results["tgvault"])
    print(f"{options.messages} messages in {options.chats} chats, {options.files} files of {options.media_mb} MB, "
          f"{options.latency_ms} ms latency, {options.runs} runs each")
    for tool, runs in results.items():
        wall = statistics.median(wall for wall, _ in runs)
        print(f"{tool:10} {wall:8.2f} s  {max(peak for _, peak in runs):7.0f} MiB  {wall / base:5.2f} x")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--telethon"]:
        telethon_job(sys.argv[2:])
    else:
        main()
