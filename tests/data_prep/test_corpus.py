"""A corpus on disk is whole or absent, opens in `datasets`, and gives back the rows that were written."""

import json
import pickle
import shutil

import numpy as np
import pytest

from data_prep.corpus import Ragged, SequenceWriter, open_corpus
from data_prep.corpus import writer as writer_module
from data_prep.corpus.files import digest, write_atomic
from data_prep.corpus.tally import Tally
from data_prep.errors import DataPrepError

ROWS = [bytes(np.random.default_rng(row).choice(list(b"ACGU"), 5 + row % 40).tolist()) for row in range(950)]
IDS = [f"row-{row}" for row in range(950)]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 100)


def write(out, rows=ROWS, chunk=950, overwrite=False, **parameters):
    """A corpus of `rows` whose columns follow from the row numbers."""
    with SequenceWriter(
        out, stage="test", parameters=parameters, columns=("rna_type", "structure", "mfe_kcal_per_mol"),
        overwrite=overwrite,
    ) as writer:  # fmt: skip
        for first in range(0, len(rows), chunk):
            part = range(first, min(first + chunk, len(rows)))
            writer.append(
                "train",
                [IDS[row] for row in part],
                [rows[row] for row in part],
                rna_type=[None if row % 3 else "tRNA" for row in part],
                structure=[None if row % 2 else "." * len(rows[row]) for row in part],
                mfe_kcal_per_mol=[None if row % 2 else -row / 4 for row in part],
            )
        writer.append("validation", ["v"], [b"ACGU"], rna_type=[None], structure=["...."], mfe_kcal_per_mol=[np.nan])
        return writer.finish(Tally())


@pytest.mark.usefixtures("small_shards")
def test_rows_come_back_in_any_order(tmp_path):
    write(tmp_path / "c")
    table = open_corpus(tmp_path / "c", verify=True).split("train")
    order = np.random.default_rng(0).permutation(950)[:400]
    assert table.gather(order).rows() == [ROWS[row] for row in order]
    assert table.ids(order) == [IDS[row] for row in order]
    assert table.rna_type(order) == [None if row % 3 else "tRNA" for row in order]
    assert table.gather_text("structure", order).lengths.tolist() == [0 if r % 2 else len(ROWS[r]) for r in order]
    expected = np.array([np.nan if row % 2 else -row / 4 for row in order], np.float32)
    np.testing.assert_array_equal(table.mfe_kcal_per_mol(order), expected)
    assert table.lengths.dtype == np.int32
    assert table.lengths.tolist() == [len(row) for row in ROWS]
    assert len(table.gather(np.array([], np.int64))) == 0
    assert pickle.loads(pickle.dumps(table)).gather(order[:3]).rows() == [ROWS[row] for row in order[:3]]
    with pytest.raises(IndexError, match="950"):
        table.gather(np.array([950]))


@pytest.mark.usefixtures("small_shards")
def test_datasets_opens_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    write(tmp_path / "c")
    loaded = datasets.load_from_disk(str(tmp_path / "c"))
    assert loaded["train"]["sequence"][:] == [row.decode() for row in ROWS]
    assert loaded["train"].features["mfe_kcal_per_mol"].dtype == "float32"
    assert loaded["validation"].num_rows == 1


@pytest.mark.usefixtures("small_shards")
def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path):
    one = write(tmp_path / "a", chunk=950)
    other = write(tmp_path / "b", chunk=7)
    assert one == other
    assert len(one["splits"]["train"]["shards"]) == 10


def test_a_corpus_of_one_split_has_an_empty_other_one(tmp_path):
    with SequenceWriter(tmp_path / "c", stage="test", parameters={}) as writer:
        writer.append("train", ["a"], [b"ACGU"])
        writer.finish(Tally())
    assert len(open_corpus(tmp_path / "c").split("validation")) == 0


def test_manifest_says_mean_and_deviation_of_energies(tmp_path):
    manifest = write(tmp_path / "c")
    energies = np.array([-row / 4 for row in range(0, 950, 2)]).round(2)
    summary = manifest["splits"]["train"]["mfe_kcal_per_mol"]
    assert summary["rows"] == 475
    assert summary["mean"] == pytest.approx(energies.mean(), abs=1e-5)
    assert summary["std"] == pytest.approx(energies.std(), abs=1e-5)
    assert manifest["splits"]["train"]["composition"] == {
        letter: sum(row.count(letter.encode()) for row in ROWS)
        for letter in sorted("ACGU", key=lambda letter: -sum(row.count(letter.encode()) for row in ROWS))
    }


def test_same_recipe_is_complete_and_another_one_needs_overwrite(tmp_path):
    first = write(tmp_path / "c", limit=1)
    with SequenceWriter(
        tmp_path / "c", stage="test", parameters={"limit": 1}, columns=("rna_type", "structure", "mfe_kcal_per_mol")
    ) as writer:
        assert writer.complete
    with pytest.raises(DataPrepError, match="--overwrite"):
        write(tmp_path / "c", limit=2)
    second = write(tmp_path / "c", rows=ROWS[:10], limit=2, overwrite=True)
    assert open_corpus(tmp_path / "c").fingerprint == second["fingerprint"] != first["fingerprint"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


@pytest.mark.usefixtures("small_shards")
def test_a_rerun_keeps_finished_shards(tmp_path):
    """Interrupted after five shards: the rerun leaves their files alone and ends in the same corpus."""
    columns = {"rna_type": [None] * 500, "structure": [None] * 500, "mfe_kcal_per_mol": [None] * 500}
    straight = write_plain(tmp_path / "straight", columns, stop=False)
    with pytest.raises(KeyboardInterrupt):
        write_plain(tmp_path / "c", columns, stop=True)
    shards = sorted((tmp_path / ".c.partial" / "train").glob("*.arrow"))
    stamps = [shard.stat().st_mtime_ns for shard in shards]
    assert len(shards) == 5
    assert write_plain(tmp_path / "c", columns, stop=False) == straight
    finished = [tmp_path / "c" / "train" / shard.name for shard in shards]
    assert [shard.stat().st_mtime_ns for shard in finished] == stamps


def write_plain(out, columns, stop):
    with SequenceWriter(out, stage="plain", parameters={}, columns=list(columns)) as writer:
        writer.append("train", IDS[:500], ROWS[:500], **columns)
        if stop:
            raise KeyboardInterrupt
        writer.append("train", IDS[500:600], ROWS[500:600], **{name: values[:100] for name, values in columns.items()})
        return writer.finish(Tally())


def test_a_folder_that_is_no_corpus_is_never_replaced(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataPrepError, match="never replaced"):
        write(tmp_path / "precious", overwrite=True)
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious"]


def test_two_processes_do_not_build_the_same_folder(tmp_path):
    with (
        SequenceWriter(tmp_path / "c", stage="test", parameters={}),
        pytest.raises(DataPrepError, match="another process"),
        SequenceWriter(tmp_path / "c", stage="test", parameters={}),
    ):
        pass


def remove_manifest(folder):
    (folder / "manifest.json").unlink()


def cut_manifest(folder):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text[: len(text) // 2])


def strange_manifest(folder):
    (folder / "manifest.json").write_text("[1, 2]")


def newer_version(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))


def unknown_kind(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "kind": "proteins"}))


def remove_shard(folder):
    (folder / "train" / "shard-00000.arrow").unlink()


def cut_shard(folder):
    shard = folder / "train" / "shard-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-100])


def flip_byte(folder):
    shard = folder / "train" / "shard-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such corpus folder"),
        (remove_manifest, "no manifest.json"),
        (cut_manifest, "not valid JSON"),
        (strange_manifest, "not the manifest"),
        (newer_version, "version 99"),
        (unknown_kind, "unknown corpus kind 'proteins'"),
        (remove_shard, "shard-00000.arrow is missing"),
        (cut_shard, "shard-00000.arrow: .* bytes, the manifest says"),
        (flip_byte, "shard-00000.arrow: damaged"),
    ],
)
def test_a_damaged_corpus_is_one_clear_line(tmp_path, damage, message):
    write(tmp_path / "c")
    damage(tmp_path / "c")
    with pytest.raises(DataPrepError, match=message) as caught:
        open_corpus(tmp_path / "c", verify=True)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "c") in str(caught.value)


def test_an_unknown_split_names_the_splits(tmp_path):
    write(tmp_path / "c")
    with pytest.raises(DataPrepError, match="train, validation"):
        open_corpus(tmp_path / "c").split("test")


def test_ragged_packs_and_unpacks_rows():
    packed = Ragged.from_rows([b"ACG", b"", b"U"])
    assert packed.offsets.tolist() == [0, 3, 3, 4]
    assert packed.lengths.tolist() == [3, 0, 1]
    assert packed.rows() == [b"ACG", b"", b"U"]
    assert len(Ragged.from_rows([])) == 0


@pytest.mark.parametrize("letters", [b"ACGU", b"ACGTNU", b"ACGURYx\xff"])
def test_letters_are_counted_as_by_a_histogram_whatever_is_left_out(letters):
    generator = np.random.default_rng(3)
    rows = Ragged.from_rows(
        [generator.choice(list(letters), length).astype(np.uint8).tobytes() for length in range(60)]
    )
    for mask in (generator.random(60) < share for share in (0, 0.1, 0.9, 1)):
        for counted_before in (False, True):
            whole = Ragged(rows.values, rows.offsets)
            assert not counted_before or whole.letter_counts.sum() == len(whole.values)
            kept = whole.where(mask)
            assert (kept.letter_counts == np.bincount(kept.values, minlength=256)).all()


def test_a_structure_of_another_length_is_never_written(tmp_path):
    def write_wrong():
        with SequenceWriter(tmp_path / "c", stage="test", parameters={}, columns=("structure",)) as writer:
            writer.append("train", ["a", "b"], [b"ACGU", b"ACGU"], structure=["....", "..."])
            writer.finish(Tally())

    with pytest.raises(DataPrepError, match="row 'b' has a structure of 3 symbols and a sequence of 4 nucleotides"):
        write_wrong()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_as_it_was(tmp_path):
    """Whatever goes wrong on the way, the old content stays and nothing lies beside it."""
    path = tmp_path / "numbers.txt"
    assert write_atomic(path, b"one") == {"bytes": 3, "sha256": digest(b"one")["sha256"]}

    def broken(file):
        file.write(b"tw")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_atomic(path, broken)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("numbers.txt", b"one")]
