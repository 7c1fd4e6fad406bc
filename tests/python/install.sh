#!/bin/sh
# install.sh SOURCE OUT: installs the package in SOURCE/python into OUT/site, by
# way of a source distribution, which must have all that it needs.
set -eu
source=$1 out=$2
rm -rf "$out/clone" "$out/dist" "$out/site"
mkdir -p "$out/clone"
# A build leaves files where it builds.
cp -r "$source/python" "$source/proto" "$out/clone"
cd "$out/clone/python"
/usr/bin/python3 setup.py -q sdist --dist-dir "$out/dist"
/usr/bin/python3 -m pip install --quiet --root-user-action=ignore --no-index --no-deps \
  --no-build-isolation --target "$out/site" "$out"/dist/parley-*.tar.gz
