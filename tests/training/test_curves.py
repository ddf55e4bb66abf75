"""Curves from event files that overlap, were cut short or are joined, and the picture of them."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from japanese_bert.common import command_line
from japanese_bert.training.curves import PANELS, draw, join_stages, panels_of, read_run
from tools import plot_training_curves

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def write_events(path: Path, start: float, points: list[tuple[int, float]], tag: str = "training_loss") -> Path:
    """Write scalars as the trainer does, one a second from `start` on."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_tensor_proto

    path.parent.mkdir(parents=True, exist_ok=True)
    events = [Event(wall_time=start, file_version="brain.Event:2")]
    for number, (step, value) in enumerate(points):
        event = Event(wall_time=start + number, step=step)
        event.summary.value.add(tag=tag, tensor=make_tensor_proto(np.float32(value)))
        events.append(event)
    records = [event.SerializeToString() for event in events]
    path.write_bytes(b"".join(struct.pack("<QI", len(record), 0) + record + bytes(4) for record in records))
    return path


def run(*flags: str) -> None:
    command_line.run_stage(plot_training_curves.get_parser(), plot_training_curves.main, list(flags))


def test_what_a_continued_run_wrote_later_counts(tmp_path):
    """The run was killed and continued from step 20: the first file's points at 30 and 40 are lost training."""
    write_events(tmp_path / "train/events.out.tfevents.1.v2", 100, [(10, 7.0), (20, 6.0), (30, 5.0), (40, 4.0)])
    write_events(tmp_path / "train/events.out.tfevents.2.v2", 200, [(30, 5.5), (50, 4.5)])
    write_events(tmp_path / "validation/events.out.tfevents.3.v2", 100, [(20, 6.5)], "validation_loss")
    curves = read_run([tmp_path])
    assert curves["train", "training_loss"] == [(10, 7.0), (20, 6.0), (30, 5.5), (50, 4.5)]
    assert curves["validation", "validation_loss"] == [(20, 6.5)]


def test_workers_that_write_the_same_count_once(tmp_path):
    for worker in range(2):
        path = tmp_path / f"train/events.out.tfevents.{worker}.v2"
        write_events(path, 100 + worker / 10, [(10, 7.0), (20, 6.0)])
    assert read_run([tmp_path])["train", "training_loss"] == [(10, 7.0), (20, 6.0)]


def test_stages_are_joined(tmp_path):
    """The second begins where the first ended. The last point of the first is a validation."""
    write_events(tmp_path / "a/train/events.out.tfevents.1.v2", 100, [(10, 7.0), (20, 6.0)])
    write_events(tmp_path / "a/validation/events.out.tfevents.1.v2", 100, [(25, 6.5)], "validation_loss")
    write_events(tmp_path / "b/train/events.out.tfevents.1.v2", 50, [(10, 5.0)])
    run = join_stages([tmp_path / "a", tmp_path / "b"])
    assert run.curves["train", "training_loss"] == [(10, 7.0), (20, 6.0), (35, 5.0)]
    assert run.boundaries == [25]
    assert read_run([tmp_path / "a", tmp_path / "b"]) == run.curves


@pytest.mark.parametrize("missing", [1, 5, 20])
def test_file_that_a_kill_cut_short(tmp_path, missing):
    path = write_events(tmp_path / "train/events.out.tfevents.1.v2", 100, [(10, 7.0), (20, 6.0)])
    path.write_bytes(path.read_bytes()[:-missing])
    assert read_run([tmp_path])["train", "training_loss"] == [(10, 7.0)]


def test_picture_of_two_runs(tmp_path, capsys):
    for name in ("a", "b"):
        write_events(tmp_path / f"{name}/train/events.out.tfevents.1.v2", 100, [(10, 7.0), (20, 6.0)])
    output = tmp_path / "pictures" / "curves.png"
    run(f"--run=ours={tmp_path}/a,{tmp_path}/b", f"--run={tmp_path}/b", f"--output_file={output}")
    assert output.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in output.parent.iterdir()] == ["curves.png"]
    printed = capsys.readouterr().out
    assert "ours: 40 steps" in printed
    assert f"{tmp_path}/b: 20 steps" in printed
    assert printed.count("loss (train): 6") == 2


def test_panels_are_those_with_curves(tmp_path):
    """One run has no next sentences, one is an ELECTRA. Both together have all panels."""
    tags = {
        "masked": ["lm_example_loss"],
        "electra": ["lm_example_loss", "discriminator_loss", "discriminator_accuracy"],
    }
    for name, names in tags.items():
        for tag in names:
            write_events(tmp_path / f"{name}/validation/events.out.tfevents.{tag}.v2", 100, [(10, 0.5)], tag)
    runs = {name: read_run([tmp_path / name]) for name in tags}
    assert list(panels_of({"masked": runs["masked"]})) == ["masked LM loss"]
    panels = ["masked LM loss", "replaced token loss", "replaced token accuracy"]
    assert list(panels_of({"electra": runs["electra"]})) == list(panels_of(runs)) == panels
    output = tmp_path / "curves.png"
    run(f"--run={tmp_path}/electra", f"--run={tmp_path}/masked", f"--output_file={output}")
    assert output.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return the figure of two runs with two stages and equal rates, the second with one point in its first stage."""
    from matplotlib import pyplot

    for name, first in (("a", [(10, 7.0), (20, 6.0)]), ("b", [(20, 6.0)])):
        for stage, points in (("first", first), ("second", [(10, 5.0), (20, 4.0)])):
            for tag in ("training_loss", "learning_rate", "lm_example_loss", "masked_lm_accuracy"):
                write_events(tmp_path / name / stage / f"train/events.out.tfevents.{tag}", 100, points, tag)
    figures = []
    monkeypatch.setattr(pyplot, "close", figures.append)
    stages = {name: [tmp_path / name / "first", tmp_path / name / "second"] for name in ("a", "b")}
    draw({name: join_stages(directories) for name, directories in stages.items()}, io.BytesIO())
    yield figures[0]
    monkeypatch.undo()
    pyplot.close(figures[0])


class TestPicture:
    def test_every_place_has_a_panel_with_lines(self, drawn):
        """Four panels are a row of three and a row of one, which is as wide as the row above."""
        assert [axis.get_title() for axis in drawn.axes] == [*list(PANELS)[:3], "learning rate"]
        assert [(axis.get_xlabel(), axis.get_ylabel()) for axis in drawn.axes] == [
            ("step", name) for name in ("loss", "loss", "accuracy", "rate")
        ]
        places = [axis.get_subplotspec() for axis in drawn.axes]
        assert [(place.rowspan.start, len(place.colspan)) for place in places] == [(0, 2), (0, 2), (0, 2), (1, 6)]

    def test_stages_are_separate_lines_with_a_mark_between_them(self, drawn):
        lines = drawn.axes[0].lines
        assert [list(line.get_xdata()) for line in lines] == [
            [10, 20],
            [30, 40],
            [20, 20],
            [20],
            [30, 40],
            [20, 20],
        ]
        assert [line.get_marker() for line in lines if len(line.get_xdata()) == 1] == ["o"]
        legend = [text.get_text() for text in drawn.legends[0].get_texts()]
        assert legend == ["a, training", "a, next stage", "b, training", "b, next stage"]

    def test_equal_rates_share_a_line(self, drawn):
        """The dashes of one run are in the gaps of the other."""
        first, second = (drawn.axes[3].lines[number] for number in (0, 3))
        assert [line._unscaled_dash_pattern for line in (first, second)] == [(0, (6, 6)), (6, (6, 6))]


def test_japanese_names_without_a_font_are_one_line(tmp_path, capsys, monkeypatch, recwarn):
    monkeypatch.setattr("japanese_bert.common.plot_fonts.FONTS", "")
    write_events(tmp_path / "train/events.out.tfevents.1.v2", 100, [(10, 7.0), (20, 6.0)])
    run(f"--run=単語={tmp_path}", f"--output_file={tmp_path}/curves.png")
    assert capsys.readouterr().out.count("no Japanese font is installed") == 1
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["{place}/a"], "a: no train/events.out.tfevents.*. Expected a --model_dir"),
        (["={place}"], "expected NAME=DIR"),
        (["x={place}/b", "x={place}/b"], "expected a different name for each"),
    ],
)
def test_runs_that_are_none(tmp_path, capsys, runs, message):
    write_events(tmp_path / "b/train/events.out.tfevents.1.v2", 100, [(10, 7.0)])
    with pytest.raises(SystemExit):
        run(*(f"--run={name.format(place=tmp_path)}" for name in runs), f"--output_file={tmp_path}/curves.png")
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "curves.png").exists()


def test_a_directory_may_have_an_equals_sign():
    assert plot_training_curves.parse_run("model/lr=5e-5/cc,b") == (
        "model/lr=5e-5/cc",
        [Path("model/lr=5e-5/cc"), Path("b")],
    )
    assert plot_training_curves.parse_run("base=model/lr=5e-5") == ("base", [Path("model/lr=5e-5")])
