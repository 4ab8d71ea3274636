#!/usr/bin/env python3
"""A copy in a second repository, beside `restic copy`: seconds, processor seconds and the most memory, and the ratio of the times.

    benches/copies.py [--program target/release/tgvault] [--mib 900] [--folder /tmp]

The data is noise, so nobody compresses; both copy from one local folder to another, with keys of its own each.
"""

import argparse, os, re, resource, shutil, subprocess, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument("--program", default="target/release/tgvault")
parser.add_argument("--mib", type=int, default=900)
parser.add_argument("--folder", default="/tmp")
args = parser.parse_args()
program = os.path.abspath(args.program)
home = tempfile.mkdtemp(dir=args.folder)
env = {"PATH": os.environ["PATH"], "HOME": home, "RESTIC_PASSWORD": "a", "RESTIC_FROM_PASSWORD": "a"}


def run(*command):
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True, cwd=home).stdout


def measured(*command):
    began = time.monotonic()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, cwd=home)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


try:
    os.mkdir(f"{home}/src")
    for number in range(3):
        with open(f"{home}/src/{number}", "wb") as out:
            for _ in range(args.mib // 3):
                out.write(os.urandom(1 << 20))
    for name in ["first", "second"]:
        run("age-keygen", "-o", f"{name}.key")
        recipient = re.search("age1[a-z0-9]+", open(f"{home}/{name}.key").read()).group()
        run(program, "--repo", name, "init", "-r", recipient)
    run(program, "--repo", "first", "backup", "folder", "src")
    rows = {
        "tgvault copy": measured(program, "-q", "--repo", "first", "-i", "first.key", "copy", "--to", "second"),
        "tgvault copy --mirror": measured(program, "-q", "--repo", "first", "copy", "--mirror", "--to", "mirror"),
    }
    if shutil.which("restic"):
        run("restic", "-q", "-r", "r1", "init")
        run("restic", "-q", "-r", "r2", "init", "--from-repo", "r1", "--copy-chunker-params")
        run("restic", "-q", "-r", "r1", "backup", "src")
        rows["restic copy"] = measured("restic", "-q", "-r", "r2", "copy", "--from-repo", "r1")
    ours = rows["tgvault copy"][0]
    for name, (seconds, cpu, memory) in rows.items():
        print(f"{name:22} {seconds:6.2f} s  {cpu:6.2f} s CPU  {memory:4.0f} MiB  {seconds / ours:5.1f} times")
finally:
    shutil.rmtree(home)
