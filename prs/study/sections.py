"""What every section of the study file has in common: unknown keys are errors."""

from __future__ import annotations

import msgspec

__all__ = ["Section"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the study file: unknown keys are errors."""
