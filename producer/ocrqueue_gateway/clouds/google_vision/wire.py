"""Messages as they come by gRPC: weighed before they are read.

Two bytes may tell of a field that takes sixty in memory. So what a message has beside the content of files may be no
more than a body of JSON may have, and is counted on the wire: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from ocrqueue.errors import RequestInvalid, RequestTooLarge

_VARINT: Final = 0
_SIZED: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_LONGEST_VARINT: Final = 10


def read_message(data: bytes, kind: type[Message], most: int) -> Any:
    """`most`: bytes beside the content of files. It blocks. Raises RequestInvalid, RequestTooLarge."""
    try:
        _weighed(memoryview(data), kind.DESCRIPTOR, most)
        return kind.FromString(data)
    except DecodeError:
        raise RequestInvalid(f"The message is no {kind.DESCRIPTOR.name}.") from None


def _weighed(data: memoryview, kind: Any, most: int) -> int:
    """Bytes that are in no field of bytes. Raises RequestTooLarge, DecodeError."""
    at = weight = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        wire, field = tag & 7, kind.fields_by_number.get(tag >> 3)
        if wire == _SIZED:
            size, at = _varint(data, at)
            weight += at - start
            part = data[at : at + size]
            at += size
            if field is None or field.type not in (FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE):
                weight += len(part)
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                weight += _weighed(part, field.message_type, most - weight)
        elif wire == _VARINT:
            _, at = _varint(data, at)
            weight += at - start
        elif wire in _FIXED:
            at += _FIXED[wire]
            weight += at - start
        else:  # groups, which none of the messages has
            raise DecodeError()
        if weight > most:
            raise RequestTooLarge(f"The message has more than {most} bytes beside the content of files.")
    return weight


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    number = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, at + place + 1
    raise DecodeError()
