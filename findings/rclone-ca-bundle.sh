#!/usr/bin/env bash
# rclone 1.60.1 (Debian 12) with S3: where AWS_CA_BUNDLE names a sound file of certificates, as the AWS command line and tgvault read it,
# rclone does not begin at all: "LoadCustomCABundleError: … HTTPClient's transport unsupported type", exit code 1, for an address without
# TLS too. Without the variable the same command gets as far as asking the server. rclone's own option is --ca-cert.
# What it means for users: who sets AWS_CA_BUNDLE for a private store must unset it for rclone (docs/guide/second-copy.md).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User=root download 'rclone=1.60.1+dfsg-*' 'ca-certificates'
for package in *.deb; do dpkg-deb --extract "$package" unpacked; done
# One root certificate, as the package brings it.
bundle=$work/bundle.pem
cat unpacked/usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt >"$bundle"
export RCLONE_CONFIG=$work/rclone.conf AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1
unset AWS_ENDPOINT_URL AWS_PROFILE
touch rclone.conf

# Nobody listens there.
there=":s3,provider=Other,env_auth=true,endpoint='http://127.0.0.1:9':vault"
ask() {
    local code=0
    env "$@" "$work/unpacked/usr/bin/rclone" lsf --retries 1 --low-level-retries 1 --contimeout 2s "$there" >said 2>&1 || code=$?
    echo "exit code $((code > 0))"
    grep -o 'LoadCustomCABundleError\|unsupported type\|connection refused' said | sort -u
}
{
    "$work/unpacked/usr/bin/rclone" version >version
    head -n 1 version | cut -d- -f1
    ask "AWS_CA_BUNDLE=$bundle"
    ask -u AWS_CA_BUNDLE
} | tee seen
diff seen - <<'SEEN'
rclone v1.60.1
exit code 1
LoadCustomCABundleError
unsupported type
exit code 1
connection refused
SEEN
