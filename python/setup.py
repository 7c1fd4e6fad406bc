"""Compiles the .proto files into one descriptor set beside the package.

A descriptor set, unlike generated code, is read by every version of protobuf,
whichever protoc wrote it.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
# A source distribution has its own copy; a clone has them at its top.
PROTO = next((f for f in (HERE / "proto", HERE.parent / "proto") if f.is_dir()), None)


def proto_files():
    if PROTO is None:
        raise SystemExit("parley: the folder proto/ is missing: build in a clone of the whole "
                         "repository, with pip 21.3 or newer, or from a source distribution")
    return sorted((PROTO / "parley" / "v1").glob("*.proto"))


def compilers():
    """The protoc programs that are there, as commands."""
    if program := shutil.which("protoc"):
        yield [program]
    if importlib.util.find_spec("grpc_tools"):
        yield [sys.executable, "-m", "grpc_tools.protoc"]


def compile_protocol(out):
    words = [f"-I{PROTO}", "--include_imports", f"--descriptor_set_out={out}",
             *map(str, proto_files())]
    errors = []
    for compiler in compilers():  # one that is too old is passed over
        done = subprocess.run([*compiler, *words], capture_output=True, text=True)
        if done.returncode == 0:
            return
        errors.append(f"{' '.join(compiler)}: {done.stderr.strip()}")
    raise SystemExit("parley: no protoc that compiles the .proto files; install Debian's "
                     "protobuf-compiler, or grpcio-tools by pip\n" + "\n".join(errors))


class BuildPy(build_py):
    def run(self):
        super().run()
        folder = pathlib.Path(self.build_lib, "parley")
        folder.mkdir(parents=True, exist_ok=True)
        compile_protocol(folder / "protocol.bin")


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        to = pathlib.Path(base_dir, "proto", "parley", "v1")
        to.mkdir(parents=True, exist_ok=True)
        for file in proto_files():
            shutil.copy(file, to)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
