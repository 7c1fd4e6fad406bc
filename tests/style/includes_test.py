#!/usr/bin/python3
"""Fails on an include that points against the arrows of the architecture.

    base <- {kernels <- model <- {data <- analysis, files, wire}, topology} <- config <- report
         <- {server, client} <- tools <- tests

server and client never include each other; gRPC stays in */rpc and the mains;
protobuf stays out of what users link against.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]

# What each folder of common/ may include of common/, besides itself.
COMMON = {
    "base": set(),
    "kernels": {"base"},
    "model": {"base", "kernels"},
    "data": {"base", "kernels", "model"},
    "analysis": {"base", "kernels", "model", "data"},
    "topology": {"base"},
    "files": {"base", "kernels", "model"},
    "wire": {"base", "kernels", "model"},
    "rpc": {"base", "wire"},
    "config": {"base", "kernels", "model", "data", "analysis", "topology", "files", "wire"},
    "report": {"base", "model", "data", "topology", "files", "wire", "config"},
}
NO_PROTO = {"common/analysis", "common/base", "common/kernels", "common/model", "common/data", "common/files", "common/topology"}
NO_PROTO_FILES = {"client/sdk/trainer.h", "client/program/client_program.h"}
MAY_INCLUDE_GRPC = re.compile(r"^(common/rpc|server/rpc|client/rpc|tests)/|/main\.cc$")
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.M)


def wrong(path: str, include: str) -> str:
    """Why the file may not include that, or an empty string."""
    parts = path.split("/")
    folder = "/".join(parts[:2])
    if (include.startswith(("grpc", "grpcpp/")) or include.endswith(".grpc.pb.h")) and not MAY_INCLUDE_GRPC.search(path):
        return "only */rpc and the mains include gRPC"
    if include.endswith(".pb.h") and (folder in NO_PROTO or path in NO_PROTO_FILES):
        return "no protobuf here"
    top = include.split("/")[0]
    if top not in ("common", "server", "client", "tools", "tests"):
        return ""
    if top == "tests" and parts[0] != "tests":
        return "only tests include tests"
    if parts[0] == "common":
        if top != "common":
            return "common includes nothing above it"
        other = include.split("/")[1]
        if other != parts[1] and other not in COMMON.get(parts[1], set()):
            return f"common/{parts[1]} stands below common/{other}, or beside it"
    if parts[0] in ("server", "client") and top in ({"server", "client", "tools"} - {parts[0]}):
        return f"{parts[0]} does not include {top}"
    return ""


def main() -> int:
    errors, files = [], 0
    for top in ("common", "server", "client", "tools", "tests"):
        for file in sorted((TOP / top).rglob("*")):
            if file.suffix not in (".h", ".cc", ".inc"):
                continue
            files += 1
            path = file.relative_to(TOP).as_posix()
            text = file.read_text()
            for match in INCLUDE.finditer(text):
                reason = wrong(path, match[1])
                if reason:
                    line = text.count("\n", 0, match.start()) + 1
                    errors.append(f"{path}:{line}: includes {match[1]}: {reason}")
    # The rules must be able to fail.
    assert wrong("common/base/x.h", "common/model/model.h")
    assert wrong("server/round/x.h", "client/session/y.h")
    assert wrong("server/round/x.cc", "grpcpp/grpcpp.h")
    assert wrong("common/model/x.h", "parley/v1/run.pb.h")
    print("\n".join(errors) or f"{files} files: every include follows the arrows")
    return 1 if errors or files < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
