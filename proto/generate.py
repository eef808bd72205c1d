"""Owns the way from proto/ to gen/: what is run, with which plugins, and how a stale tree is found.

`python proto/generate.py` rewrites gen/xaso from proto/xaso; `--check` writes nothing and fails when the two differ.
The packages under gen/ are namespace packages: no `__init__.py` is made, `from xaso.identity.v1 import events_pb2`
works because the editable install puts gen/ on the path.
"""

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "proto"
TARGET = PROJECT / "gen"


def generate(target: Path) -> list[Path]:
    """Write modules, type stubs and gRPC stubs of all of proto/xaso; returns their paths relative to `target`."""
    protos = sorted(path for path in (SOURCES / "xaso").rglob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    if protos:
        arguments = [
            "protoc",
            f"--proto_path={SOURCES}",
            f"--proto_path={files('grpc_tools') / '_proto'}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            *(str(path.relative_to(SOURCES)) for path in protos),
        ]
        _run(arguments)
        with_services = [path for path in protos if "\nservice " in path.read_text(encoding="utf-8")]
        if with_services:
            _run([*arguments[:3], f"--grpc_python_out={target}", *(str(p.relative_to(SOURCES)) for p in with_services)])
    return sorted(path.relative_to(target) for path in target.rglob("*.py*") if path.suffix in {".py", ".pyi"})


def _run(arguments: list[str]) -> None:
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc refused the proto files; its words are above")


def write() -> None:
    """Bring gen/ to what proto/ says; a file of a proto that is gone goes too."""
    with tempfile.TemporaryDirectory() as scratch:
        made = generate(Path(scratch))
        for name in made:
            (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
            if not (TARGET / name).exists() or not filecmp.cmp(Path(scratch) / name, TARGET / name, shallow=False):
                shutil.copyfile(Path(scratch) / name, TARGET / name)
    for name in _kept() - set(made):
        (TARGET / name).unlink()
    sys.stdout.write(f"gen/: {len(made)} files\n")


def _kept() -> set[Path]:
    return {path.relative_to(TARGET) for path in TARGET.rglob("*.py*") if path.suffix in {".py", ".pyi"}}


def differences() -> list[str]:
    """Names of generated files that are missing, superfluous or other than protoc makes them now."""
    with tempfile.TemporaryDirectory() as scratch:
        made = set(generate(Path(scratch)))
        kept = _kept()
        wrong = {n for n in made & kept if not filecmp.cmp(Path(scratch) / n, TARGET / n, shallow=False)}
        return sorted(str(name) for name in wrong | (made ^ kept))


def main() -> int:
    """Command line: no argument writes, `--check` compares and exits 1 on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when gen/ is stale")
    if not parser.parse_args().check:
        write()
        return 0
    stale = differences()
    for name in stale:
        sys.stderr.write(f"gen/{name} is not what proto/ says: run `make gen`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
