"""Brings uPlot into the wheel, with which report pages zoom: by name, version and hash, through npm.

Nobody else's code is committed here. Without npm or a network the wheel is built all the same, and
its pages keep the drawings that need no script. Tests bring axe-core in the same way.
"""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_S_MAX = 60.0
"""Longest that npm may take: a build without a network shall not wait for one."""
FILE_BYTES_MAX = 4 << 20
STAMP = "brought.txt"
"""Beside the files: which package they come from."""


class Package(NamedTuple):
    """One package of npm's registry."""

    name: str
    version: str
    sha512: str
    """Of its archive, in base64, as the registry and lock files write it."""
    files: tuple[str, ...]
    """What is taken out of it; the licence among them."""

    @property
    def stamp(self) -> str:
        """What tells this package, and what was taken of it, from all others."""
        return f"{self.name}@{self.version} sha512-{self.sha512} {' '.join(self.files)}\n"


UPLOT = Package(
    name="uplot",
    version="1.6.32",
    sha512="KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
    files=("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
)
FOLDER = Path("src/surgetank/rehearsal/drill/report/vendor")


def bring(package: Package, folder: Path) -> str:
    """Put the files of a package into a folder of its own; those of another version go.

    Returns:
        Empty, or why the folder does not have them.
    """
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == package.stamp:
        return ""
    try:
        shutil.rmtree(folder, ignore_errors=True)
        contents = _fetch(package)
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / Path(name).name).write_bytes(content)
        stamp.write_text(package.stamp, encoding="utf-8")
    except (OSError, LookupError, subprocess.SubprocessError, tarfile.TarError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return str(error) or type(error).__name__
    return ""


def _fetch(package: Package) -> dict[str, bytes]:
    """Ask npm for the archive, check it, and read the files out of it."""
    npm = shutil.which("npm")
    if npm is None:
        raise LookupError("there is no npm")
    with TemporaryDirectory() as directory:
        wanted = f"{package.name}@{package.version}"
        patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000")
        options = ("--ignore-scripts", *patience, "--pack-destination", directory)
        subprocess.run(  # noqa: S603 - the command is written here
            [npm, "pack", wanted, *options],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=NPM_S_MAX,
        )
        (archive,) = Path(directory).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != package.sha512:
            raise LookupError(f"{wanted} is not what it was: sha512-{digest}")
        with tarfile.open(archive) as members:
            return {name: _content(members, f"package/{name}") for name in package.files}


def _content(members: tarfile.TarFile, name: str) -> bytes:
    file = members.extractfile(name)
    if file is None:
        raise LookupError(f"{name} is no file")
    content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise LookupError(f"{name} has more than {FILE_BYTES_MAX} bytes")
    return content


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Runs before each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface has it
        """Bring uPlot, or say that the wheel goes without."""
        reason = bring(UPLOT, Path(self.root) / FOLDER)
        if reason:
            self.app.display_warning(f"without uPlot, so report pages will not zoom: {reason}")
        # Git ignores the folder, and so would the build.
        build_data["artifacts"].append(f"/{FOLDER}/*")
