#!/usr/bin/env bash
# PyPI zstandard 0.25.0, given a file of several zstd frames (what pzstd, zstd after `cat`, and our archives are): `decompress`,
# `decompressobj` and `read_to_iter` give the first frame only, without an error, while `open`, `stream_reader` and `copy_stream` of the
# same version give all of it. RFC 8878 says that frames one after the other decompress to their contents one after the other.
# What it means for users: whoever recovers an archive from Python by the first function that the library names gets its first 2 MiB.
# docs/recovery.md says which readers were tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install zstandard==0.25.0

cat >"$work/try.py" <<'PYTHON'
import io
import zstandard

parts = [("message %d of a chat\n" % i).encode() * 5000 for i in range(3)]
whole = b"".join(parts)
data = b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)
reader = zstandard.ZstdDecompressor()


def copied():
    out = io.BytesIO()
    reader.copy_stream(io.BytesIO(data), out)
    return out.getvalue()


ways = {
    "decompress": lambda: reader.decompress(data),
    "decompressobj": lambda: reader.decompressobj().decompress(data),
    "read_to_iter": lambda: b"".join(reader.read_to_iter(io.BytesIO(data))),
    "stream_reader": lambda: reader.stream_reader(io.BytesIO(data)).read(),
    "copy_stream": copied,
    "open": lambda: zstandard.open(io.BytesIO(data)).read(),
}
for name, way in ways.items():
    out = way()
    print(name, "all" if out == whole else "first frame only" if out == parts[0] else "something else")
PYTHON
echo "zstandard $("$work/venv/bin/python" -c 'import zstandard; print(zstandard.__version__)')"
"$work/venv/bin/python" "$work/try.py" | tee "$work/seen"
diff "$work/seen" - <<'SEEN'
decompress first frame only
decompressobj first frame only
read_to_iter first frame only
stream_reader all
copy_stream all
open all
SEEN
