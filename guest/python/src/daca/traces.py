"""Exceptions as text: the error first, then the frames of the author's files."""

from types import TracebackType

_MAX_FRAMES = 40
_MAX_CAUSES = 5

#: The lines of the author's files, by the names that Python has for them. A component cannot read files.
sources: dict[str, list[str]] = {}
#: What an author calls a folder that the component knows by another name.
folders: dict[str, str] = {}


def text_of(raised: BaseException) -> str:
    """The text of an exception, with what caused it."""
    parts: list[str] = []
    current: BaseException | None = raised
    while current is not None and len(parts) < _MAX_CAUSES:
        parts.append(_one(current))
        cause = current.__cause__
        current = cause or (None if current.__suppress_context__ else current.__context__)
    return "\ncaused by ".join(parts)


def _one(raised: BaseException) -> str:
    message = str(raised)
    head = f"{type(raised).__name__}: {message}" if message else type(raised).__name__
    notes = [str(note) for note in getattr(raised, "__notes__", ())]
    return "\n".join([head, *notes, *_frames(raised.__traceback__)])


def _frames(trace: TracebackType | None) -> list[str]:
    lines: list[str] = []
    while trace is not None:
        code, number = trace.tb_frame.f_code, trace.tb_lineno
        # The SDK's own frames are no use to an author.
        if not _is_own(trace.tb_frame.f_globals.get("__name__", "")):
            lines.append(f'  File "{_name(code.co_filename)}", line {number}, in {code.co_name}')
            source = sources.get(code.co_filename, ())
            if 0 < number <= len(source):
                lines.append(f"    {source[number - 1].strip()}")
        trace = trace.tb_next
    return lines[-2 * _MAX_FRAMES :]


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in ("daca", "daca_entry", "componentize_py_types")


def _name(file: str) -> str:
    for folder, name in folders.items():
        if file.startswith(folder):
            return name + file.removeprefix(folder)
    return file
