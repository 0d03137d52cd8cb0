"""Make this environment import prs from a folder, or from nowhere: ``use_commit.py [FOLDER]``.

asv calls it to go from commit to commit. An installation anew would do as well, but would lose
the kernels that numba has compiled: it knows them by the path and the time of their source.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    path_file = Path(sysconfig.get_path("purelib")) / "prs_commit.pth"
    path_file.write_text("".join(f"{folder}\n" for folder in sys.argv[1:]), encoding="utf-8")
