#!/usr/bin/env bash
# PyPI fzstd 0.1.1: `decompress` gives wrong bytes of the right length for a single, valid frame of 1.8 MB of JSON that libzstd 1.5 made at
# level 1, and no error; the same text at level 3 comes out right. The frame has the content's length and could have had a checksum.
# What it means for users: only a comparison with the SHA-256 in an archive's index tells that what such a reader gave is not the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install zstandard==0.25.0 fzstd==0.1.1

cat >"$work/try.py" <<'PYTHON'
import importlib.metadata
import json
import random
import fzstd
import zstandard

print("fzstd", importlib.metadata.version("fzstd"))
random.seed(3)
words = ["alpha", "beta", "gamma", "delta", "otter", "zebra"]
messages = [{"id": i, "text": " ".join(random.choice(words) for _ in range(random.randrange(1, 30)))} for i in range(16000)]
text = json.dumps(messages).encode()
for level in (1, 3):
    packed = zstandard.ZstdCompressor(level=level).compress(text)
    sound = zstandard.ZstdDecompressor().decompress(packed) == text
    out = fzstd.decompress(packed)
    print(f"level {level}: libzstd right: {sound}; fzstd: length right: {len(out) == len(text)}, bytes right: {out == text}")
PYTHON
"$work/venv/bin/python" "$work/try.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
fzstd 0.1.1
level 1: libzstd right: True; fzstd: length right: True, bytes right: False
level 3: libzstd right: True; fzstd: length right: True, bytes right: True
SEEN
