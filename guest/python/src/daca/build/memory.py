"""How much memory a component has from its beginning: the first memories of its modules, together."""

_CORE = b"\x01\x00\x00\x00"
_PAGE = 65536


def first_memory(component: bytes) -> int:
    """The bytes of the first memories."""
    return sum(_memories(component, 0, len(component)))


def _memories(data: bytes, start: int, end: int) -> list[int]:
    found = []
    is_core = data[start + 4 : start + 8] == _CORE
    at = start + 8
    while at < end:
        section = data[at]
        size, at = _number(data, at + 1)
        if is_core and section == 5:
            count, place = _number(data, at)
            for _ in range(count):
                has_maximum = data[place] & 1
                pages, place = _number(data, place + 1)
                if has_maximum:
                    _, place = _number(data, place)
                found.append(pages * _PAGE)
        elif not is_core and section in (1, 4):
            found += _memories(data, at, at + size)
        at += size
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
