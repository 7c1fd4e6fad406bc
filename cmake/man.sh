#!/bin/sh
# Writes the man pages of the programs and of parley's commands, from their --help.
#
#   man.sh BIN OUT    reads BIN/parley and so on, writes OUT/parley.1, OUT/parley-run.1, ...
set -eu
bin=$1 out=$2
mkdir -p "$out"

page() {  # page "PROGRAM [COMMAND]" SUMMARY
  name=$(echo "$1" | tr ' ' -)
  # help2man names a page after the program's file alone.
  help2man --no-info --name="$2" --manual="Parley's manual" --source=Parley --output=- "$bin/$1" |
    sed "s/^\.TH [^ ]*/.TH $(echo "$name" | tr a-z A-Z)/; /^\.SH NAME/,/^\.SH SYN/s/^[a-z-]* /$name /" >"$out/$name.1"
}

pages() {  # pages "PROGRAM [COMMAND]" SUMMARY: its own, and those of its commands
  page "$1" "$2"
  "$bin"/$1 --help | sed -nE '/^Commands:/,/^$/s/^  ([a-z-]+) +(.*)\.$/\1 \2/p' |
    while read -r command summary; do pages "$1 $command" "$summary"; done
}

pages parley "train one model over many machines whose data stays where it is"
page parley-server "the coordinator of a run"
page parley-client "trains a run's model on data that stays here"
