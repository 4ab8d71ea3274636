#!/usr/bin/env bash
# rclone 1.60.1 (Debian 12) with S3: an object that another program has uploaded in parts has no MD5 that rclone could compare. `rclone check`
# then compares lengths alone, says "0 differences found", counts the file as matching, and ends with 0, although a byte in the middle is
# another one; `rclone copy --checksum` finds nothing to transfer. It does say "1 hashes could not be checked". `check --download` notices.
# What it means for users: tgvault uploads archives of more than 8 MiB in parts, so `rclone check` says nothing of what is in them.
# docs/guide/second-copy.md names `tgvault verify` and `--download`.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download 'rclone=1.60.1+dfsg-*'
dpkg-deb --extract rclone_*.deb unpacked
python3 -m venv venv
venv/bin/pip -q install 'moto[server]==5.1.15' boto3==1.40.59
# Neither of these is to meet settings of this machine.
unset AWS_CA_BUNDLE AWS_ENDPOINT_URL AWS_PROFILE
export RCLONE_CONFIG=$work/rclone.conf AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
touch rclone.conf

venv/bin/moto_server -H 127.0.0.1 -p 0 >log 2>&1 &
server=$!
for _ in $(seq 100); do
    grep -q 'Running on' log && break
    sleep 0.2
done
port=$(grep -o '127\.0\.0\.1:[0-9]*' log | head -n 1 | cut -d: -f2)

mkdir here
venv/bin/python - "$port" <<'PYTHON'
import sys

import boto3
from botocore.config import Config

PART = 8 << 20
sound = bytes(number % 251 for number in range(1 << 16)) * 180
with open("here/archive", "wb") as file:
    file.write(sound)
damaged = bytearray(sound)
damaged[len(damaged) // 2] ^= 1

store = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", config=Config(s3={"addressing_style": "path"}))
store.create_bucket(Bucket="vault")
place = {"Bucket": "vault", "Key": "archive"}
upload = store.create_multipart_upload(**place)["UploadId"]
parts = []
for number, at in enumerate(range(0, len(damaged), PART), 1):
    put = store.upload_part(**place, UploadId=upload, PartNumber=number, Body=bytes(damaged[at : at + PART]))
    parts.append({"PartNumber": number, "ETag": put["ETag"]})
store.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})
PYTHON

there=":s3,provider=Other,env_auth=true,force_path_style=true,endpoint='http://127.0.0.1:$port':vault"
rclone() { "$work/unpacked/usr/bin/rclone" "$@"; }
{
    rclone version >version
    head -n 1 version | cut -d- -f1
    for check in "check" "check --download" "copy --checksum --dry-run"; do
        code=0
        # shellcheck disable=SC2086
        rclone $check here "$there" 2>said || code=$?
        echo "$check: exit code $code"
        grep -o '[0-9]* \(differences found\|hashes could not be checked\|matching files\)$\|Skipped copy.*' said | sort -u || true
    done
} | tee seen
diff seen - <<'SEEN'
rclone v1.60.1
check: exit code 0
0 differences found
1 hashes could not be checked
1 matching files
check --download: exit code 1
1 differences found
copy --checksum --dry-run: exit code 0
SEEN
