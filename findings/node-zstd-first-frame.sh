#!/usr/bin/env bash
# Node 24.21.0, zlib: of a file of several zstd frames, `zstdDecompressSync`, `zstdDecompress` and `createZstdDecompress` give the first
# frame only, without an error. The functions beside them for gzip give all members of a file of several.
# What it means for users: a script that recovers an archive with Node reads its first 2 MiB and ends well. Use `zstd -d`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
npm init --yes >"$work/log" 2>&1
npm install --silent --no-audit --no-fund node@24.21.0

cat >try.cjs <<'JS'
const zlib = require("node:zlib");
const parts = [0, 1, 2].map((i) => Buffer.from(`message ${i} of a chat\n`.repeat(5000)));
const whole = Buffer.concat(parts);
const what = (out) => (out.equals(whole) ? "all" : out.equals(parts[0]) ? "first frame only" : "something else");
const zstd = Buffer.concat(parts.map((part) => zlib.zstdCompressSync(part)));
const gzip = Buffer.concat(parts.map((part) => zlib.gzipSync(part)));
console.log("gunzipSync", what(zlib.gunzipSync(gzip)));
console.log("zstdDecompressSync", what(zlib.zstdDecompressSync(zstd)));
zlib.zstdDecompress(zstd, (error, out) => {
  console.log("zstdDecompress", error ? error.code : what(out));
  const stream = zlib.createZstdDecompress();
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("error", (error) => console.log("createZstdDecompress", error.code));
  stream.on("end", () => console.log("createZstdDecompress", what(Buffer.concat(chunks))));
  stream.end(zstd);
});
JS
node_modules/.bin/node --version
node_modules/.bin/node try.cjs | tee seen
diff seen - <<'SEEN'
gunzipSync all
zstdDecompressSync first frame only
zstdDecompress first frame only
createZstdDecompress first frame only
SEEN
