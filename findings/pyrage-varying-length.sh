#!/usr/bin/env bash
# pyrage 1.4.0 (PyPI; the Rust crate `age`, as in rage and tgvault) encrypts the same bytes to the same recipient with another length each
# time: each header has a second stanza of random name and size, so that readers get used to passing over what they do not know ("grease").
# age 1.1.1 (Go, Debian 12) gives files of one length. Both read all of them.
# What it means for users: sealed copies of one archive differ in length, so nothing may take length as a sign of sameness between vaults
# (a second vault is compared by what its archives hold); forecasts of stored bytes are off by some hundred bytes an object.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download 'age=1.1.1-*'
dpkg-deb --extract age_*.deb unpacked
python3 -m venv venv
venv/bin/pip -q install pyrage==1.4.0
PATH=$work/unpacked/usr/bin:$PATH venv/bin/python - <<'PYTHON' | tee seen
import subprocess

import pyrage

identity = pyrage.x25519.Identity.generate()
recipient = identity.to_public()
with open("identity", "w") as file:
    file.write(str(identity))


def crate():
    return pyrage.encrypt(b"the same words", [recipient])


def go():
    return subprocess.run(["age", "-r", str(recipient)], input=b"the same words", capture_output=True, check=True).stdout


for name, encrypt in [("pyrage", crate), ("age", go)]:
    sealed = [encrypt() for _ in range(100)]
    lengths = {len(one) for one in sealed}
    stanzas = {one.split(b"\n---")[0].count(b"\n-> ") for one in sealed}
    for one in sealed:
        opened = subprocess.run(["age", "-d", "-i", "identity"], input=one, capture_output=True, check=True).stdout
        assert opened == pyrage.decrypt(one, [identity]) == b"the same words"
    print(f"{name}: {'one length' if len(lengths) == 1 else 'several lengths'}; stanzas: {min(stanzas)} to {max(stanzas)}")
PYTHON
diff seen - <<'SEEN'
pyrage: several lengths; stanzas: 2 to 2
age: one length; stanzas: 1 to 1
SEEN
