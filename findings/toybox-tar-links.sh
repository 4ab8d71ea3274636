#!/usr/bin/env bash
# toybox 0.8.9 (Debian 12; the same code is the `tar` of Android and of some routers): a symbolic link whose target is longer than 100 bytes,
# which a PAX archive holds as `linkpath`, is extracted with a target cut to 100 bytes, and the exit code is 0. File names that are as long
# come out whole. GNU tar and busybox give the whole target.
# What it means for users: links between folders of a recovered tree lead nowhere. docs/recovery.md asks for GNU tar.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download toybox=0.8.9+dfsg-1
dpkg-deb --extract toybox_*.deb unpacked
toybox=$(find "$work/unpacked" -type f -name toybox -perm -u+x | head -n 1)

target=media/$(printf 'a%.0s' $(seq 100))/photo.jpg
mkdir from toybox gnu
ln -s "$target" from/link
touch "from/$(printf 'n%.0s' $(seq 150))"
tar --format=pax -C from -cf links.tar .
(cd toybox && "$toybox" tar xf ../links.tar; echo "exit code $?")>code
tar -C gnu -xf links.tar
{
    "$toybox" --version | sed 's/ .*//'
    cat code
    echo "target: ${#target} bytes; toybox: $(readlink toybox/link | tr -d '\n' | wc -c); GNU tar: $(readlink gnu/link | tr -d '\n' | wc -c)"
    echo "longest name: $(ls toybox | awk '{print length}' | sort -n | tail -n 1)"
} | tee seen
diff seen - <<'SEEN'
toybox
exit code 0
target: 116 bytes; toybox: 100; GNU tar: 116
longest name: 150
SEEN
