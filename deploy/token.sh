#!/usr/bin/env bash
# Makes what a compose cluster keeps under .cluster: the token that every RPC must
# carry, and the lake, the directory for input and output data. An existing token
# is kept: running executors know it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The image's user, which the containers of root's cluster run as (see compose.sh).
image_user=65532:65532

mkdir -p .cluster/lake
if [[ ! -s .cluster/token ]]; then
  umask 077
  # 256 bits from the kernel as 64 hexadecimal digits; renamed into place so that
  # a token is there whole or not at all.
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >.cluster/token.tmp
  mv .cluster/token.tmp .cluster/token
  echo "made .cluster/token"
fi
if ((EUID == 0)); then
  chown "$image_user" .cluster/token .cluster/lake
fi
