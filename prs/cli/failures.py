"""What is said of a failure that is the user's to mend."""

from __future__ import annotations

from prs.errors import PrsError

__all__ = ["describe_failure", "is_out_of_memory"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory is what failed: also where a library of compiled code found no room."""
    return isinstance(error, MemoryError) or (
        isinstance(error, ImportError) and "failed to map segment" in str(error)
    )


def describe_failure(error: BaseException) -> str:
    """Return the message of an error; of one that is nobody's input, that it is a bug."""
    if isinstance(error, PrsError):
        return str(error)
    if isinstance(error, OSError):  # a full disk, no permission, a file that vanished
        return f"{error.filename or 'file system'}: {error.strerror or error}"
    if is_out_of_memory(error):
        return "out of memory. Remedy: fewer chains or threads, or a smaller LD reference"
    return f"a bug: {type(error).__name__}: {error} (its traceback is in the log)"
