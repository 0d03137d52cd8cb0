"""Stages of a run that are skipped when their inputs and settings are unchanged."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from prs.errors import FileFormatError
from prs.files import write_atomically
from prs.locks import hold_file, remove_leftovers
from prs.provenance import digest_file, digest_settings, package_versions

__all__ = ["Stages"]

logger = logging.getLogger(__name__)


@dataclass
class Stages:
    """The stages of one run in one folder, each with a record of what made its outputs.

    A stage's key is a digest of its settings, of its input files' content and of the package
    versions. If the record of an earlier run has the same key, and the outputs are still there
    with the content that was recorded, the stage is not run again. The record is written after
    the outputs, so a run that is killed in the middle of a stage repeats that stage. Stages that
    do not need each other may be run by several threads.

    Attributes
    ----------
    folder : Path
        Folder of the results; records are in ``.stages`` below it.
    say : callable
        Gets one line for each stage.
    force : bool
        Run every stage, unchanged or not.
    ran : list of str
        Names of the stages that were run.
    """

    folder: Path
    say: Callable[[str], None]
    force: bool = False
    ran: list[str] = field(default_factory=list)
    _inputs: dict[Path, str] = field(default_factory=dict)
    _digests: dict[tuple[Path, int, int], str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def run(
        self,
        name: str,
        *,
        settings: Mapping[str, Any],
        inputs: Sequence[Path],
        outputs: Sequence[Path],
        work: Callable[[], str],
    ) -> None:
        """Run `work` unless it would make again what is there.

        Parameters
        ----------
        name : str
            Name of the stage, also of its record.
        settings : mapping
            Everything besides the inputs that can change the outputs.
        inputs, outputs : sequence of Path
            Files read and written.
        work : callable
            Does it; returns one line for the user.
        """
        record = self.folder / ".stages" / f"{name.replace(' ', '_')}.json"
        key = digest_settings(
            {
                "settings": settings,
                "inputs": self._digest_inputs(name, inputs),
                "versions": package_versions(),
            }
        )
        if not self.force and self._is_done(record, key, outputs):
            self.say(f"{name}: unchanged, kept")
            return
        start = time.perf_counter()
        record.unlink(missing_ok=True)
        line = work()
        self._digest_inputs(name, inputs)
        self.ran.append(name)
        for path in outputs:
            self._inputs.pop(path, None)
        made = {str(path.relative_to(self.folder)): self._digest(path) for path in outputs}
        with write_atomically(record) as temporary:
            temporary.write_text(json.dumps({"key": key, "outputs": made}, indent=1))
        self.say(f"{name}: {line} ({time.perf_counter() - start:.1f} s)")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the folder for this run alone, and clear what killed runs were writing there.

        Raises
        ------
        FolderInUseError
            If another run has it.
        OutputError
            If it cannot be written to.
        """
        with hold_file(self.folder / ".stages" / "lock", f"the results in {self.folder}"):
            if n_files := remove_leftovers(self.folder):
                logger.info("removed %d files that a killed run had half written", n_files)
            yield

    def _digest_inputs(self, name: str, inputs: Sequence[Path]) -> list[tuple[str, str]]:
        """Return the digests of a stage's inputs, which may not change while the run goes on."""
        digests = {path: self._digest(path) for path in inputs}
        changed = [
            path for path in inputs if self._inputs.get(path, digests[path]) != digests[path]
        ]
        if changed:
            raise FileFormatError(
                f"was changed while the run was reading it (stage {name!r})",
                path=changed[0],
                remedy="wait until whatever writes the file has finished, and run again: stages "
                "whose inputs did not change are kept",
            )
        self._inputs |= digests
        # not where they are: a study may be moved, and be named from another working folder
        return [(path.name, digest) for path, digest in digests.items()]

    def _is_done(self, record: Path, key: str, outputs: Sequence[Path]) -> bool:
        try:
            known = json.loads(record.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        if known.get("key") != key or not all(path.is_file() for path in outputs):
            return False
        made = {str(path.relative_to(self.folder)): self._digest(path) for path in outputs}
        return bool(made == known.get("outputs"))

    def _digest(self, path: Path) -> str:
        status = path.stat()
        key = (path, status.st_size, status.st_mtime_ns)
        with self._lock:  # stages that begin at the same time do not read one large file each
            if key not in self._digests:
                self._digests[key] = digest_file(path)
            return self._digests[key]
