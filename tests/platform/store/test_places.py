"""A store's place is a folder or a bucket; anything else is refused in one sentence."""

from pathlib import Path

import pytest

from bakeoff.platform.store import places
from bakeoff.platform.store.bucket import Remote
from bakeoff.platform.store.places import File, below, commit, each, files, place
from bakeoff.samplers.errors import InputError


def test_a_text_without_a_scheme_is_a_folder() -> None:
    assert place("stores/one") == Path("stores/one")
    assert place("s3:/bucket") == Path("s3:/bucket")


@pytest.mark.parametrize("url", ["s3://bucket/a/store", "s3://bucket/a/store/", "s3://my.bucket-1"])
def test_a_url_is_a_place_in_a_bucket(url: str) -> None:
    found = place(url)
    assert isinstance(found, Remote) and str(found) == url.rstrip("/")
    assert (found / "samples/part-1.parquet").name == "part-1.parquet"
    assert (found / "samples/part-1.parquet").parent == found / "samples"
    assert (found / "samples/part-1.parquet").suffix == ".parquet"
    assert below(found / "samples/part-1.parquet", found) == "samples/part-1.parquet"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/store",
        "S3://bucket/store",
        "file:///tmp/store",
        "s3://",
        "s3:///store",
        "s3://bucket//store",
        "s3://bucket/../other",
        "s3://bucket/*",
        "s3://key:secret@bucket/store",
        "s3://bucket/store?versionId=1",
        "s3://bucket/a::file:///etc",
        "s3://bucket/line\nbreak",
        "x" * 1000 + "://bucket",
    ],
)
def test_a_url_of_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="must be a folder, s3://BUCKET/FOLDER or gs://") as raised:
        place(url)
    assert len(str(raised.value)) < 200


def test_a_scheme_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(places.LIBRARIES, "gs", "a_library_that_nobody_has")
    with pytest.raises(InputError, match=r"pip install 'bakeoff\[gcs\]'"):
        place("gs://bucket/store")


def test_a_folder_lists_what_lies_in_it_and_tells_of_a_change(tmp_path: Path) -> None:
    commit(tmp_path / "b/two", lambda file: file.write_text("22"))
    commit(tmp_path / "a", lambda file: file.write_text("1"))
    (tmp_path / "gone").symlink_to("nowhere")
    before = files(tmp_path)
    assert [(one.place, one.size_bytes) for one in before] == [
        (tmp_path / "a", 1),
        (tmp_path / "b/two", 2),
    ]
    commit(tmp_path / "a", lambda file: file.write_text("3"))
    assert isinstance(before[0], File) and before[0].change != files(tmp_path)[0].change


class Vanishing:
    """A folder whose file is replaced by another between its being found and looked at."""

    def __init__(self, folder: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.left, self.find = folder, times, Path.rglob
        (folder / str(times)).touch()
        monkeypatch.setattr(Path, "rglob", lambda folder, pattern: self.found(pattern))

    def found(self, pattern: str) -> list[Path]:
        found = list(self.find(self.folder, pattern))
        if self.left:
            self.left -= 1
            (self.folder / str(self.left + 1)).rename(self.folder / str(self.left))
        return found


def test_what_vanishes_while_a_folder_is_listed_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vanishing(tmp_path, 3, monkeypatch)
    assert [one.place.name for one in files(tmp_path)] == ["0"]


def test_a_folder_that_changes_at_every_listing_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vanishing(tmp_path, 1000, monkeypatch)
    with pytest.raises(InputError, match="was changed while it was read: ask again"):
        files(tmp_path)


def test_a_file_that_is_finished_while_a_folder_is_listed_is_no_reason_to_list_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, gone = [], tmp_path / f"part.parquet{places.UNFINISHED}0"
    monkeypatch.setattr(Path, "rglob", lambda *_: times.append(1) or iter([gone]))
    assert files(tmp_path) == [] and len(times) == 1


def test_work_on_places_in_a_bucket_comes_back_in_order() -> None:
    many = [Remote("s3", f"bucket/{number}") for number in range(100)]
    assert list(each(lambda one: int(one.name), many)) == list(range(100))
