#!/usr/bin/env bash
# busybox 1.35.0 (Debian 12; NAS systems, Alpine): `sha256sum -c` counts a line that begins with `#` as a file that fails, and ends with 1
# although all sums hold. coreutils and Perl's shasum pass over such lines.
# What it means for users: sums files with comments cannot be checked on the machine that holds the vault.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download busybox-static=1:1.35.0-4+deb12u1+b1
dpkg-deb --extract busybox-static_*.deb unpacked
busybox=$(find "$work/unpacked" -type f -name busybox -perm -u+x | head -n 1)
dpkg-deb --field busybox-static_*.deb Version

echo content >file
{
    echo "# lengths: 8"
    sha256sum file
} >sums
code() {
    "$@" >>log 2>&1 && echo 0 || echo $?
}
{
    echo "coreutils $(code sha256sum --check sums)"
    echo "shasum $(code shasum --algorithm 256 --check sums)"
    echo "busybox $(code "$busybox" sha256sum -c sums)"
    sed -i 1d sums
    echo "busybox, without the comment $(code "$busybox" sha256sum -c sums)"
} | tee seen
diff seen - <<'SEEN'
coreutils 0
shasum 0
busybox 1
busybox, without the comment 0
SEEN
