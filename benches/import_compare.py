#!/usr/bin/env python3
"""Measures imports: what a second, grown export costs beside restic, how fast a large one is taken in, how fast messages are found.

    benches/import_compare.py [--work FOLDER] [--messages 1000000] [--chats 200] [--media 2000] [--runs 3]

Two whole-account exports of the same chats are made: the second has 2 % more messages (in a tenth of the chats, at their ends), 1 % of the
old ones edited in the chats that grew, and 2 % more media. Both tools back up the first and then the second, and what the second added to
the store is compared. restic is left out, and named, where it is not installed; age-keygen is needed.
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

WORDS = ("the photo was taken on the way home and nobody knew what to say about it until later that night "
         "слово мы были там вчера 言葉 写真 天気 reservation harbour ferry tickets tomorrow maybe").split()


def write_message(generator: random.Random, chat: int, number: int, edited: bool, photo: str | None) -> str:
    """One message as Telegram Desktop writes it, with its indentation."""
    identifier = number * (1 + chat % 3)
    unix = 1_500_000_000 + number * 61
    text = " ".join(generator.choices(WORDS, k=generator.randint(2, 20))) + f" {generator.getrandbits(40)}"
    message = {"id": identifier, "type": "message", "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix)), "date_unixtime": str(unix)}
    if edited:
        message |= {"edited": "2024-01-01T00:00:00", "edited_unixtime": "1704067200"}
        text += " (edited)"
    person = 100 + chat if generator.random() < 0.5 else 77
    message |= {"from": f"Person {person}", "from_id": f"user{person}"}
    if photo:
        message |= {"photo": photo, "photo_file_size": 60_000, "width": 1280, "height": 960}
    message |= {"text": text, "text_entities": [{"type": "plain", "text": text}]}
    return "\n".join("    " + line for line in json.dumps(message, indent=1, ensure_ascii=False).splitlines())


def export(folder: Path, messages: int, chats: int, media: int, grown: bool) -> None:
    """Writes an export, the same for the same arguments; the grown one begins like the other."""
    folder.mkdir(parents=True)
    per_chat = messages // chats
    photos_per_chat = max(media // chats, 1)
    with (folder / "result.json").open("w") as out:
        out.write('{\n "about": "Here is the data you requested. Telegram",\n "personal_information": {"user_id": 77},\n'
                  ' "chats": {\n  "about": "",\n  "list": [')
        for chat in range(chats):
            generator = random.Random(chat)
            grows = grown and chat % 10 == 0
            out.write((",\n" if chat else "\n") + f'   {{\n    "name": "Person {100 + chat}",\n    "type": "personal_chat",\n    "id": {100 + chat},\n'
                      '    "messages": [\n')
            count = per_chat + (per_chat // 5 if grows else 0)
            extra = photos_per_chat // 5 if grows else 0
            photo_step = max(per_chat // photos_per_chat, 1)
            shown = 0
            for number in range(1, count + 1):
                photo = None
                if number % photo_step == 0 and shown < photos_per_chat + extra:
                    shown += 1
                    photo = f"chats/chat_{chat:03}/photos/photo_{shown}.jpg"
                    path = folder / photo
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(random.Random(chat * 1_000_000 + shown).randbytes(60_000))
                edited = grows and number <= per_chat and number % 100 == 0
                out.write((",\n" if number > 1 else "") + write_message(generator, chat, number, edited, photo))
            out.write("\n    ]\n   }")
        out.write("\n  ]\n }\n}")


def run(command: list[str], env: dict) -> tuple[float, float, float]:
    """Runs a command; wall seconds, CPU seconds, largest resident set in MiB."""
    begin = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"failed ({process.returncode}): {' '.join(command)}\n{errors.decode(errors='replace')}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("target/import-compare"))
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--chats", type=int, default=200)
    parser.add_argument("--media", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3, help="of the intake and of each search")
    parser.add_argument("--tgvault", type=Path, default=Path("target/release/tgvault"))
    arguments = parser.parse_args()

    work = arguments.work.absolute()
    corpus = work / f"corpus-{arguments.messages}-{arguments.chats}-{arguments.media}"
    if not corpus.exists():
        shutil.rmtree(work / "corpus.partial", ignore_errors=True)
        for name, grown in [("first", False), ("second", True)]:
            export(work / "corpus.partial" / name, arguments.messages, arguments.chats, arguments.media, grown)
        (work / "corpus.partial").rename(corpus)
    first, second = corpus / "first", corpus / "second"
    json_bytes = (first / "result.json").stat().st_size
    print(f"first export: {json_bytes / 1e6:.0f} MB of JSON, {stored(first) / 1e6:.0f} MB in all; "
          f"second: {(second / 'result.json').stat().st_size / 1e6:.0f} MB, {stored(second) / 1e6:.0f} MB in all")

    env = {key: value for key, value in os.environ.items() if not key.startswith(("TGVAULT", "RESTIC", "XDG"))}
    env |= {"HOME": str(work / "home"), "RESTIC_PASSWORD": "x"}
    key = work / "key.txt"
    if not key.exists():
        subprocess.run(["age-keygen", "-o", str(key)], check=True, stderr=subprocess.DEVNULL)
    recipient = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True).stdout.strip()
    vault, state, repository = work / "vault", work / "state", work / "restic"
    tgvault = [str(arguments.tgvault.absolute()), "--repo", str(vault), "--state-dir", str(state), "--quiet"]
    take_in = [*tgvault, "backup", "desktop-export"]

    def fresh() -> None:
        for folder in [vault, state, work / "home"]:
            shutil.rmtree(folder, ignore_errors=True)
        (work / "home").mkdir()
        run([*tgvault, "init", "-r", recipient], env)

    print(f"\nintake of the first export ({json_bytes / 1e6:.0f} MB of JSON), median of {arguments.runs}")
    figures = []
    for _ in range(arguments.runs):
        fresh()
        figures.append(run([*take_in, str(first)], env))
    wall, cpu, rss = (statistics.median(column) for column in zip(*figures))
    print(f"  tgvault  {wall:7.2f} s  cpu {cpu:6.1f} s  rss {rss:5.0f} MiB  {json_bytes / 1e6 / wall:6.0f} MB of JSON a second")

    before = stored(vault)
    wall, cpu, rss = run([*take_in, str(second)], env)
    added = stored(vault) - before
    print(f"\nthe second, grown export\n  tgvault  adds {added / 1e6:9.3f} MB to {before / 1e6:9.3f} MB  {wall:7.2f} s  rss {rss:5.0f} MiB")
    if shutil.which("restic") is None:
        print("  restic: not installed, left out")
    else:
        shutil.rmtree(repository, ignore_errors=True)
        run(["restic", "-q", "-r", str(repository), "init"], env)
        # At one path, as a user would whose export grew: restic looks for its parent by it.
        place = work / "export"
        sizes = []
        for source in [first, second]:
            if place.is_symlink() or place.exists():
                shutil.rmtree(place)
            shutil.copytree(source, place)
            wall, _, rss = run(["restic", "-q", "-r", str(repository), "backup", "--compression", "max", str(place)], env)
            sizes.append(stored(repository))
        shutil.rmtree(place)
        theirs = sizes[1] - sizes[0]
        print(f"  restic   adds {theirs / 1e6:9.3f} MB to {sizes[0] / 1e6:9.3f} MB  {wall:7.2f} s  rss {rss:5.0f} MiB  "
              f"{theirs / max(added, 1):5.2f} x tgvault's bytes")

    print(f"\nsearch among {arguments.messages} messages and more, median of {arguments.runs}")
    for name, words in [("no hit", "zebra"), ("one word", "ferry"), ("Cyrillic", "ВЧЕРА"), ("two words", "harbour tickets")]:
        figures = [run([*tgvault, "-i", str(key), "search", *words.split()], env) for _ in range(arguments.runs)]
        wall, cpu, rss = (statistics.median(column) for column in zip(*figures))
        print(f"  {name:10} {wall:7.2f} s  cpu {cpu:6.1f} s  rss {rss:5.0f} MiB")
    wall, cpu, rss = run([*tgvault, "-i", str(key), "stats"], env)
    print(f"  {'stats':10} {wall:7.2f} s  cpu {cpu:6.1f} s  rss {rss:5.0f} MiB")
    for folder in [vault, state, repository, work / "home"]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
