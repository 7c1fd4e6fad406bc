#!/bin/sh
# Makes the image debian:bookworm-slim from Debian's packages, where no registry
# can be reached. Needs root, debootstrap, and this machine's apt mirror. Does
# nothing where the image is there already.
set -eu
image=debian:bookworm-slim
docker info >/dev/null 2>&1 || { echo "No Docker engine answers: start it first." >&2; exit 1; }
docker image inspect "$image" >/dev/null 2>&1 && exit 0
[ "$(id -u)" -eq 0 ] || { echo "Run this as root: debootstrap needs it." >&2; exit 1; }
command -v debootstrap >/dev/null 2>&1 || {
  echo "Installing by apt: debootstrap"
  apt-get install -y --no-install-recommends debootstrap >/dev/null
}

# The mirror that this machine's own apt uses for bookworm.
mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' \
  'Created-By: Packages' | awk '$2 == "bookworm" && $3 == "main" {print $1; exit}')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
echo "Making $image by debootstrap from ${mirror:-its default mirror}"
debootstrap --variant=minbase --include=ca-certificates bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 || {
  tail -n 20 "$root.log" >&2; rm -f "$root.log"; exit 1; }
rm -f "$root.log"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc "$root"/usr/share/man
tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$image"
