#!/usr/bin/env bash
# unar 1.10.7+ds1+really1.10.1 (Debian 12): of a PAX archive with three files whose paths are longer than 100 bytes and begin alike, it extracts one, under
# a name cut to 100 bytes, and ends with 0: each file overwrote the one before. It does not read the `path` of PAX headers.
# What it means for users: a file manager's "extract here" with unar behind it loses files of a recovered archive in silence.
# docs/recovery.md asks for GNU tar.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download unar=1.10.7+ds1+really1.10.1-2+b2
dpkg-deb --extract unar_*.deb unpacked

folder=chats/$(printf 'd%.0s' $(seq 90))
mkdir -p "from/$folder"
for name in one two three; do
    echo "$name" >"from/$folder/message-$name.json"
done
tar --format=pax -C from -cf long.tar chats
tar -tf long.tar | grep -c 'json$' >seen
(unpacked/usr/bin/unar -quiet -force-overwrite -output-directory out long.tar >log 2>&1; echo "exit code $?") >>seen
find out -type f | wc -l >>seen
find out -type f -printf '%f\n' >>seen
cat seen
diff seen - <<'SEEN'
3
exit code 0
1
mes
SEEN
