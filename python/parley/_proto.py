"""The messages of proto/parley/v1, by name: _proto.Chunk, _proto.TRAIN.

Made from a descriptor set, which every version of protobuf reads, in a pool of
its own, so that other packages may have the same messages.
"""

from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
_names: dict[str, Any] = {}


def _load() -> None:
    data = resources.files(__package__).joinpath("protocol.bin").read_bytes()
    files = descriptor_pb2.FileDescriptorSet.FromString(data).file
    for file in files:
        _pool.AddSerializedFile(file.SerializeToString())
    make = getattr(message_factory, "GetMessageClass", None)
    if make is None:  # protobuf < 4.22
        make = message_factory.MessageFactory(_pool).GetPrototype
    for file in files:
        descriptor = _pool.FindFileByName(file.name)
        for name, message in descriptor.message_types_by_name.items():
            _names[name] = make(message)
        for enum in descriptor.enum_types_by_name.values():
            _names[enum.name] = {value.number: value.name for value in enum.values}
            _names.update((value.name, value.number) for value in enum.values)


def __getattr__(name: str) -> Any:
    if not _names:
        _load()
    try:
        return _names[name]
    except KeyError:
        raise AttributeError(f"the protocol has no {name}") from None
