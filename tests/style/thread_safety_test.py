#!/usr/bin/python3
"""clang's thread-safety analysis of all sources that lock something.

    thread_safety_test.py BUILD_FOLDER

GCC, which the release build uses, has no such analysis. Only the front end of
clang runs: nothing is generated.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCKS = re.compile(r"\b(MutexLock|GUARDED_BY|REQUIRES)\b")
# Of the command that GCC is called with, what clang needs as well.
KEPT = ("-I", "-D", "-std=")
# It must be found out that the analysis works at all.
WRONG = """#include "common/base/mutex.h"
struct Account { parley::Mutex mu; int balance GUARDED_BY(mu) = 0; };
int Look(Account& account) { return account.balance; }
"""


def has_locks(source):
    texts = [source, source.with_suffix(".h")]
    return any(LOCKS.search(t.read_text()) for t in texts if t.exists())


def analyse(flags, source, text=None):
    """What clang says of a source; empty if nothing."""
    command = ["clang++", "-fsyntax-only", "-Wno-everything", "-Wthread-safety",
               "-Werror=thread-safety", *flags, *(["-xc++", "-"] if text else [str(source)])]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def flags_of(command):
    words = shlex.split(command)
    flags = [f"-I{ROOT}"]
    for i, word in enumerate(words):
        if word == "-isystem":
            flags += [word, words[i + 1]]
        elif word.startswith(KEPT):
            flags.append(word)
    return flags


def main():
    if shutil.which("clang++") is None:
        sys.exit("clang++ is not there: apt install clang")
    commands = json.loads((pathlib.Path(sys.argv[1]) / "compile_commands.json").read_text())
    sources = {pathlib.Path(c["file"]): flags_of(c["command"]) for c in commands}
    sources = {s: f for s, f in sources.items()
               if s.is_relative_to(ROOT) and "tests" not in s.relative_to(ROOT).parts[:1]
               and "build" not in s.relative_to(ROOT).parts[:1] and has_locks(s)}
    if len(sources) < 10:
        sys.exit(f"only {len(sources)} sources with locks found: is this the build folder?")
    if "requires holding mutex" not in analyse(["-std=c++20", f"-I{ROOT}"], None, WRONG):
        sys.exit("clang does not see an unguarded access: the check is of no use")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda item: analyse(item[1], item[0]), sources.items()))
    print(f"{len(sources)} sources with locks")
    sys.exit("\n".join(s for s in said if s) or 0)


if __name__ == "__main__":
    main()
