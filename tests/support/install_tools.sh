#!/usr/bin/env bash
# The programs the tests drive that do not come from the lock file: installs them when it may.
set -euo pipefail
missing=()
command -v sipp >/dev/null || missing+=(sip-tester)
command -v sipsak >/dev/null || missing+=(sipsak)
[ "$(id -u)" -ne 0 ] || [ -x /usr/sbin/nft ] || command -v nft >/dev/null || missing+=(nftables)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "the tests need: ${missing[*]} (as root: apt-get install ${missing[*]})" >&2
  exit 1
fi
