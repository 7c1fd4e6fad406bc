"""Channels to a coordinator, with the settings of common/rpc/channel.cc."""

from __future__ import annotations

import ipaddress
import pathlib
from dataclasses import dataclass
from os import PathLike
from typing import Any, Union

import grpc

from ._wire import MAX_CHUNK_BYTES

Path = Union[str, "PathLike[str]"]


class Refused(RuntimeError):
    """The coordinator and this program do not fit, or it was sent away."""


class Unreachable(ConnectionError):
    """Nobody answers at the coordinator's address."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM form.

    ca: the authority that the coordinator's certificate comes from.
    cert, key: this program's own certificate and its key, for a coordinator
    that asks for one; a client's name must then be its certificate's.
    """

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def credentials(self) -> Any:
        if (self.cert is None) != (self.key is None):
            raise ValueError("Tls: cert and key are given together")
        return grpc.ssl_channel_credentials(
            pathlib.Path(self.ca).read_bytes(),
            None if self.key is None else pathlib.Path(self.key).read_bytes(),
            None if self.cert is None else pathlib.Path(self.cert).read_bytes())


def is_loopback(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str, tls: Tls | None, insecure: bool) -> None:
    """ValueError: unencrypted where that was not asked for."""
    if tls is None and not insecure and not is_loopback(address):
        raise ValueError(f"refusing unencrypted transport to {address}, which is not a loopback "
                         "address: give tls=parley.Tls(...), or insecure=True to do without")


def dial(address: str, tls: Tls | None) -> Any:
    """A channel with a connection of its own. Nothing is sent yet."""
    options = [
        ("grpc.keepalive_time_ms", 30000),
        ("grpc.keepalive_timeout_ms", 10000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MAX_CHUNK_BYTES + (64 << 10)),
        ("grpc.max_send_message_length", MAX_CHUNK_BYTES + (64 << 10)),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),  # the session's business
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.min_reconnect_backoff_ms", 10000),
    ]
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    if tls is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, tls.credentials(), options)


class Calls:
    """The calls of the two services, over one channel."""

    def __init__(self, channel: Any) -> None:
        from . import _proto as p

        def call(kind: str, path: str, request: Any, reply: Any) -> Any:
            return getattr(channel, kind)(f"/parley.v1.{path}", request.SerializeToString,
                                          reply.FromString)

        self.session = call("stream_stream", "Coordinator/Session", p.ClientMessage,
                            p.ServerMessage)
        self.download = call("unary_stream", "Coordinator/Download", p.DownloadRequest, p.Chunk)
        self.upload = call("stream_unary", "Coordinator/Upload", p.Chunk, p.UploadReply)
        self.get_status = call("unary_unary", "Admin/GetStatus", p.StatusRequest, p.RunStatus)
        self.watch = call("unary_stream", "Admin/Watch", p.StatusRequest, p.RunStatus)
        self.stop = call("unary_unary", "Admin/Stop", p.StopRequest, p.StopReply)
        self.submit = call("unary_unary", "Admin/Submit", p.SubmitRequest, p.SubmitReply)
        self.list_runs = call("unary_unary", "Admin/ListRuns", p.ListRunsRequest, p.ListRunsReply)
