#!/bin/sh
# Calls a compiler by ccache. A precompiled header that is there already would
# stand for its own sources, old as it is, when ccache looks what has changed.
previous=
for word in "$@"; do
  case "$previous $word" in '-o '*.gch) rm -f "$word" ;; esac
  previous=$word
done
exec ccache "$@"
