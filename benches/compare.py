#!/usr/bin/env python3
"""Compares tgvault with the tools a user would otherwise choose, on the same data, in interleaved runs.

    benches/compare.py [--runs 3] [--work FOLDER] [--size-mb 2048] [--json-mb 300] [--files 5000]

Peers that are not installed are named and left out: `apt-get install age restic borgbackup zstd`, `cargo install rustic-rs --locked`.
The corpus: incompressible media files of 50 KiB to 20 MiB, and chat JSON. Everything lies on one local disk with a warm cache.
Prints, for each job, the median wall time, CPU time and the largest resident set of each tool, and the ratio of medians to tgvault's.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

WORDS = "the photo was taken on the way home and nobody knew what to say about it until later that night".split()


def corpus(folder: Path, media_mb: int, json_mb: int, files: int) -> None:
    """Writes the corpus, the same for the same arguments."""
    generator = random.Random(7)
    chats = max(files // 50, 1)
    media = files - chats
    weights = [generator.uniform(50, 400) if generator.random() < 0.93 else generator.uniform(400, 20 * 1024) for _ in range(media)]
    scale = media_mb * 1024 / sum(weights)
    for number, weight in enumerate(weights):
        size = int(min(max(weight * scale, 50), 20 * 1024) * 1024)
        path = folder / f"chats/chat_{number % chats:03}/photos/photo_{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(generator.randbytes(size))
    for chat in range(chats):
        path = folder / f"chats/chat_{chat:03}/result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as out:
            identifier = 0
            while out.tell() < json_mb * 1_000_000 // chats:
                identifier += 1
                text = " ".join(generator.choices(WORDS, k=generator.randint(3, 25)))
                out.write(json.dumps({"id": identifier, "type": "message", "date_unixtime": str(1_600_000_000 + identifier * 37),
                                      "from": f"Person {generator.randint(1, 40)}", "from_id": f"user{generator.getrandbits(32)}",
                                      "text": text, "text_entities": [{"type": "plain", "text": text}]}, indent=1) + ",\n")


def run(command: str, env: dict) -> tuple[float, float, float]:
    """Runs a shell command; wall seconds, CPU seconds, largest resident set in MiB."""
    begin = time.monotonic()
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    if process.returncode != 0:
        sys.exit(f"failed ({process.returncode}): {command}\n{errors.decode(errors='replace')}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("target/compare"))
    parser.add_argument("--size-mb", type=int, default=2048)
    parser.add_argument("--json-mb", type=int, default=300)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--only", nargs="*", help="tools to run beside tgvault")
    parser.add_argument("--settle", type=float, default=65, help="seconds to wait after the files of a round were deleted")
    parser.add_argument("--tgvault", type=Path, default=Path("target/release/tgvault"))
    arguments = parser.parse_args()

    work = arguments.work.absolute()
    source = work / f"corpus-{arguments.size_mb}-{arguments.json_mb}-{arguments.files}"
    if not source.exists():
        corpus(work / "corpus.partial", arguments.size_mb, arguments.json_mb, arguments.files)
        (work / "corpus.partial").rename(source)
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    one_file = max((path for path in source.rglob("*.jpg")), key=lambda path: path.stat().st_size)
    one = one_file.relative_to(source)
    print(f"corpus: {total / 1e6:.0f} MB in {arguments.files} files; one file: {one_file.stat().st_size / 1e6:.1f} MB")

    env = {key: value for key, value in os.environ.items() if not key.startswith(("TGVAULT", "RESTIC", "BORG", "RUSTIC", "XDG"))}
    env |= {"RESTIC_PASSWORD": "x", "BORG_PASSPHRASE": "x", "RUSTIC_PASSWORD": "x",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
    key = work / "key.txt"
    if not key.exists():
        subprocess.run(["age-keygen", "-o", str(key)], check=True, stderr=subprocess.DEVNULL)
    recipient = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True).stdout.strip()
    tgvault = arguments.tgvault.absolute()
    parent, name = source.parent, source.name
    # job: the command; {r} is the tool's repository, {o} the folder to restore into.
    tools = {
        "tgvault": {
            "init": f"{tgvault} --repo {{r}} init -r {recipient} --quiet",
            "first backup": f"{tgvault} --repo {{r}} backup folder {source} --quiet",
            "unchanged backup": f"{tgvault} --repo {{r}} backup folder {source} --quiet",
            "full restore": f"{tgvault} --repo {{r}} -i {key} restore latest --to {{o}} --quiet",
            "one file": f"{tgvault} --repo {{r}} -i {key} cat latest {one}",
            "verify": f"{tgvault} --repo {{r}} verify --quiet",
        },
        "pipe": {
            "init": "mkdir -p {r}",
            "first backup": f"tar c -C {parent} {name} | zstd -T0 -3 | age -r {recipient} | tee {{r}}/F | sha256sum > {{r}}/sum",
            "unchanged backup": f"tar c -C {parent} {name} | zstd -T0 -3 | age -r {recipient} | tee {{r}}/F | sha256sum > {{r}}/sum",
            "full restore": f"mkdir -p {{o}} && age -d -i {key} {{r}}/F | zstd -d | tar x -C {{o}}",
            "one file": f"age -d -i {key} {{r}}/F | zstd -d | tar xO {name}/{one}",
            "verify": "sha256sum {r}/F",
        },
        "restic": {
            "init": "restic -q -r {r} init",
            "first backup": f"restic -q -r {{r}} backup {source}",
            "unchanged backup": f"restic -q -r {{r}} backup {source}",
            "full restore": "restic -q -r {r} restore latest --target {o}",
            "one file": f"restic -q -r {{r}} dump latest {source}/{one}",
            "verify": "restic -q -r {r} check --read-data",
        },
        "borg": {
            "init": "borg init -e repokey-blake2 {r}",
            "first backup": f"borg create -C zstd,3 {{r}}::a{{n}} {source}",
            "unchanged backup": f"borg create -C zstd,3 {{r}}::b{{n}} {source}",
            "full restore": "mkdir -p {o} && cd {o} && borg extract {r}::a{n}",
            "one file": f"borg extract --stdout {{r}}::a{{n}} {str(source)[1:]}/{one}",
            "verify": "borg check {r}",
        },
        "rustic": {
            "init": "rustic -r {r} init",
            "first backup": f"rustic -r {{r}} --no-progress backup {source}",
            "unchanged backup": f"rustic -r {{r}} --no-progress backup {source}",
            "full restore": "rustic -r {r} --no-progress restore latest {o}",
            "one file": f"rustic -r {{r}} --no-progress dump latest:{source}/{one}",
            "verify": "rustic -r {r} --no-progress check --read-data",
        },
    }
    needs = {"pipe": "age", "restic": "restic", "borg": "borg", "rustic": "rustic"}
    for tool, program in needs.items():
        if arguments.only is not None and tool not in arguments.only:
            del tools[tool]
        elif shutil.which(program) is None:
            print(f"{tool}: not installed, left out")
            del tools[tool]

    jobs = ["first backup", "unchanged backup", "full restore", "one file", "verify"]
    figures = {tool: {job: [] for job in jobs} for tool in tools}
    rounds = work / "rounds"
    for number in range(arguments.runs + 1):
        # ext4 looks at every file that was deleted in the last minute before it makes a new one. So nothing is deleted while a
        # round runs, and the next one waits: otherwise each tool pays for the files of the tool before.
        shutil.rmtree(rounds, ignore_errors=True)
        os.sync()
        time.sleep(arguments.settle)
        for tool, commands in tools.items():
            folder = rounds / tool
            (folder / "home").mkdir(parents=True)
            for job in ["init", *jobs]:
                # What a job reads lies in memory when it begins, whatever the tool before has pushed out or written past the cache.
                if job in ("first backup", "full restore"):
                    warm = source if job == "first backup" else folder / "repository"
                    subprocess.run(["bash", "-c", f"find {warm} -type f -print0 | xargs -0 cat > /dev/null"], check=True)
                figure = run(commands[job].format(r=folder / "repository", o=folder / "restored", n=number),
                             env | {"HOME": str(folder / "home")})
                # The first round warms caches up and is not counted.
                if job in jobs and number > 0:
                    figures[tool][job].append(figure)
    shutil.rmtree(rounds, ignore_errors=True)

    for job in jobs:
        print(f"\n{job}")
        ours = statistics.median(figure[0] for figure in figures["tgvault"][job])
        for tool in tools:
            wall, cpu, rss = (statistics.median(column) for column in zip(*figures[tool][job]))
            spread = [figure[0] for figure in figures[tool][job]]
            print(f"  {tool:8} {wall:7.2f} s ({min(spread):.2f}-{max(spread):.2f})  cpu {cpu:6.1f} s  rss {rss:5.0f} MiB  {wall / ours:5.2f} x tgvault's time")


if __name__ == "__main__":
    main()
