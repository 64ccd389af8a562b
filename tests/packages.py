"""Packages written by hand, as an installer would leave them in a folder, for tests of plugins."""

from pathlib import Path


def put(folder: Path, package: str, code: str, **points: str) -> None:
    """Write a package of one module and its metadata; `metrics="name = object"` is a group."""
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    groups = [
        f"[bakeoff.{group}]\n" + point.replace("= ", f"= {module}:")
        for group, point in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")
