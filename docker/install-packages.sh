#!/bin/sh
# Installs the Debian packages of docker/packages.txt that are not there yet.
# Says what it installs before it does; does nothing where all is there.
#
#   install-packages.sh                   all of them
#   install-packages.sh --without-tests   those before the heading "# Tests"
set -eu
list=$(dirname "$0")/packages.txt
until=
[ "${1-}" = --without-tests ] && until='/^# Tests/,$d'
wanted=$(sed "$until; s/#.*//" "$list" | tr -s ' \n' ' ')

missing=
for package in $wanted; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

by_hand() {
  echo "$1 Install by hand, then run this again:" >&2
  echo "  apt-get install --no-install-recommends$missing" >&2
  exit 1
}
command -v apt-get >/dev/null 2>&1 || by_hand "There is no apt-get here; Parley is built on Debian 12."
as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || by_hand "This needs root, and there is no sudo."
  as_root=sudo
fi
echo "Installing by apt:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $as_root apt-get update && $as_root apt-get install -y \
    --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  by_hand "apt-get failed (its last lines are above)."
fi
