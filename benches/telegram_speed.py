#!/usr/bin/env python3
"""Times `tgvault backup telegram` against the project's own test server, on loopback and the same cores.

    benches/telegram_speed.py [--messages 1000000] [--chats 5000] [--files 0] [--media-mb 0] [--latency-ms 0] [--bandwidth BYTES] [--dcs 2,4]
                              [--pace fast] [--runs 1] [--again] [--folder DIR] [--programs DIR]

Each run begins a new vault with a login that is there; `--again` times the run after it too, which finds nothing new. `--bandwidth` is what
one connection carries, in bytes a second; `--folder` is where vaults and states go for as long as it takes, memory by choice. Programs
are release builds, built first, or those in `--programs`. Prints wall seconds, messages and bytes of media a second, requests, and
the largest resident set; with a bandwidth also the share of what the file connections could carry.
"""

import argparse
import json
import tempfile
from pathlib import Path

from telegram_compare import logged_in, measured, new_vault, programs, serving

# All that a run opens at `--pace fast` (docs/guide/telegram.md, "Pace").
FILE_CONNECTIONS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--chats", type=int, default=5_000)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--media-mb", type=int, default=0)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--bandwidth", type=int, default=0)
    parser.add_argument("--dcs", default="2,4")
    parser.add_argument("--pace", default="fast", choices=["gentle", "normal", "fast"])
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--programs", type=Path)
    parser.set_defaults(profile="release")
    options = parser.parse_args()

    folder = programs(options)
    tgvault = folder / "tgvault"
    more = ["--dcs", options.dcs] + (["--bandwidth", str(options.bandwidth)] if options.bandwidth else [])
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            work = Path(name)
            with serving(folder, work, options, *more) as at:
                env = new_vault(tgvault, work, logged_in(tgvault, work, at, options.pace), work / "vault")
                run(options, tgvault, env, "first")
                if options.again:
                    run(options, tgvault, env, "again")


def run(options: argparse.Namespace, tgvault: Path, env: dict, what: str) -> None:
    wall, peak, text = measured([tgvault, "--json", "backup", "telegram", "--recheck-budget", "0"], env)
    lines = {line["message_type"]: line for line in map(json.loads, text.splitlines())}
    held, new = lines["coverage"], lines["summary"]["new_bytes"]
    share = f", {new / wall / (FILE_CONNECTIONS * options.bandwidth):.1%} of {FILE_CONNECTIONS} connections" if options.bandwidth else ""
    print(f"{what}: {wall:.1f} s, {held['messages']} messages ({held['messages'] / wall:.0f}/s), {new / 1e6:.0f} MB ({new / wall / 1e6:.0f} MB/s"
          f"{share}), {held['requests']} requests, {peak:.0f} MiB, {held['incomplete'] + held['unknown']} chats incomplete", flush=True)


if __name__ == "__main__":
    main()
