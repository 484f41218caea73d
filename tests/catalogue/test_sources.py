"""The catalogue: every mistake is found, named with file:row: column, and nothing else is."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.catalogue.listing import format_listing
from cyborg.catalogue.rows import COLUMNS, check_row
from cyborg.catalogue.sources import find_used_sources, read_catalogue
from cyborg.common.errors import UserError, UserErrors
from cyborg.config.experiment import Experiment
from cyborg.config.load import load_experiment
from paths import REPOSITORY

ROW = {
    "name": "mine", "label": "bona_fide", "role": "any", "access": "local",
    "path": "data/raw/mine", "licence": "CC0",
}  # fmt: skip


def write(root: Path, *rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> Path:
    path = root / "data/sources.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def mistakes(path: Path) -> list[UserError]:
    with pytest.raises(UserErrors) as caught:
        read_catalogue(path)
    return caught.value.mistakes


def experiment(
    training: list[str], test: list[str], classes: tuple[str, ...] = ("bona_fide", "synthetic")
) -> Experiment:
    return Experiment.model_validate(
        {
            "classes": list(classes),
            "data": {"training_sets": {"main": training}, "test_sets": {"held_out": test}},
            "architectures": {"a": {}},
            "variants": {"v": {"loss": "cross_entropy"}},
            "seeds": [1],
        }
    )


def complaints(root: Path, wanted: Experiment) -> list[UserError]:
    with pytest.raises(UserErrors) as caught:
        find_used_sources(wanted, root)
    return caught.value.mistakes


# The shipped catalogue


def test_the_shipped_catalogue_is_right() -> None:
    sources = read_catalogue(REPOSITORY / "data/sources.csv")
    assert len(sources) > 60
    for source in sources.values():
        assert source.licence, source.name
        assert source.citation, source.name
        assert source.instructions, source.name


def test_the_published_experiment_can_be_written_down(tmp_path: Path) -> None:
    """Real counts and pairing of the paper: ProGAN and StarGAN v2 go with CelebA-HQ."""
    sources = read_catalogue(REPOSITORY / "data/sources.csv")
    counts = {"und_train_original": 1821, "und_train_7x": 7 * 1821, "und_validation": 20_000}
    counts |= {"ffhq": 70_000, "celebahq": 30_000}
    gans = ["progan", "stargan2", "stylegan", "stylegan2", "stylegan2_ada", "stylegan3"]
    counts |= dict.fromkeys(gans, 100_000)
    assert {name: sources[name].count for name in counts} == counts
    assert "stylegan2" in sources["und_train_original"].generator.split()  # a seen generator
    for real, gan in (("celebahq", "progan"), ("ffhq", "stylegan3")):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data/sources.csv").write_bytes((REPOSITORY / "data/sources.csv").read_bytes())
        wanted = experiment(["und_train_original", "und_validation"], [real, gan])
        assert list(find_used_sources(wanted, tmp_path)) == sorted(
            ["und_train_original", "und_validation", real, gan]
        )


def test_the_rows_of_the_documentation_are_right(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs/data.md").read_text()
    block = next(part for part in text.split("```") if "name,label,generator" in part)
    path = tmp_path / "sources.csv"
    path.write_text("\n".join(line.strip() for line in block.strip().splitlines()) + "\n")
    assert [(s.name, s.label, s.licence) for s in read_catalogue(path).values()] == [
        ("mine_real", "bona_fide", "CC0"),
        ("mine_fake", "synthetic", "CC0"),
    ]


# One row


def test_a_row_is_read(tmp_path: Path) -> None:
    row = ROW | {
        "name": "m1", "label": "synthetic", "generator": "srefi stylegan2", "access": "url",
        "url": "https://a.org/x.zip http://b.org/x.zip", "path": "data/fetched/m1/inner/",
        "related": "data/raw/p.csv:a,b data/raw/q.csv:c,d", "sha256": "AB" * 32, "count": "12",
        "weights": "data/raw//w.csv",
    }  # fmt: skip
    source = read_catalogue(write(tmp_path, row))["m1"]
    assert source.url == ("https://a.org/x.zip", "http://b.org/x.zip")
    assert (source.path, source.store) == ("data/fetched/m1/inner", "m1")
    assert [(r.file, r.columns) for r in source.related] == [
        ("data/raw/p.csv", ("a", "b")),
        ("data/raw/q.csv", ("c", "d")),
    ]
    assert (source.sha256, source.count, source.weights) == ("ab" * 32, 12, "data/raw/w.csv")
    assert source.location.endswith("sources.csv:2")


@pytest.mark.parametrize(
    ("changes", "column", "text"),
    [
        ({"name": "My Set"}, "name", "cannot be a name"),
        ({"name": ""}, "name", "cannot be a name"),
        ({"label": ""}, "label", "cannot be a label"),
        ({"label": "listed"}, "list", "belong together"),
        ({"list": "data/raw/x.csv"}, "list", "belong together"),
        ({"generator": "StyleGAN"}, "generator", "cannot be a name"),
        ({"role": "tset"}, "role", "did you mean `test`?"),
        ({"access": "lcoal"}, "access", "did you mean `local`?"),
        ({"access": "url", "path": "data/fetched/mine"}, "url", "is missing"),
        ({"url": "ftp://a.org/x"}, "url", "is not an address"),
        ({"url": "www.a.org/x"}, "url", "is not an address"),
        ({"path": ""}, "path", "is missing"),
        ({"path": "/data/faces"}, "path", "not a path inside the project"),
        ({"path": "data/raw/../../x"}, "path", "leave out `..`"),
        ({"path": "C:/faces"}, "path", "not a path inside the project"),
        ({"path": "data\\raw\\mine"}, "path", "write / between folders"),
        ({"path": "~/faces"}, "path", "not a path inside the project"),
        ({"path": "data/raw"}, "path", "data/raw/<folder>"),
        ({"path": "faces"}, "path", "not the place of a `local` source"),
        ({"path": "data/fetched/mine"}, "path", "not the place of a `local` source"),
        ({"access": "url", "url": "https://a.org/x"}, "path", "data/fetched/<folder>"),
        ({"access": "phantom", "count": "3", "path": "data/fetched/x"}, "path", "fetched/mine"),
        ({"access": "phantom", "path": "data/fetched/mine"}, "count", "is missing"),
        ({"annotations": "../a.json"}, "annotations", "not a path inside"),
        ({"segmentation": "/masks"}, "segmentation", "not a path inside"),
        ({"weights": "data/../../w.csv"}, "weights", "not a path inside"),
        ({"related": "pairs.csv"}, "related", "file.csv:column,column"),
        ({"related": "../p.csv:a,b"}, "related", "not a path inside"),
        ({"sha256": "abc"}, "sha256", "is no checksum"),
        ({"count": "-3"}, "count", "not a number of images"),
        ({"count": "0"}, "count", "not a number of images"),
        ({"count": "1e3"}, "count", "not a number of images"),
        ({"access": "manual"}, "instructions", "is missing"),
        ({"access": "gated"}, "instructions", "is missing"),
    ],
)
def test_a_wrong_cell_is_named(
    tmp_path: Path, changes: dict[str, str], column: str, text: str
) -> None:
    path = write(tmp_path, ROW | {"name": "first"}, ROW | changes)
    (found,) = mistakes(path)
    assert found.location == f"{path}:3: {column}"
    assert text in found.text()


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, ROW | {"role": "x", "count": "y"}, ROW | {"name": "b", "access": "z"}, ROW, ROW
    )
    places = [str(found.location).removeprefix(f"{path}:") for found in mistakes(path)]
    assert places == ["2: role", "2: count", "3: access", "5: name"]


def test_rows_are_counted_with_text_over_several_lines(tmp_path: Path) -> None:
    path = write(tmp_path, ROW | {"citation": "one\ntwo\nthree"}, ROW | {"role": "x"})
    (found,) = mistakes(path)
    assert found.location == f"{path}:5: role"


def test_two_archives_in_one_folder(tmp_path: Path) -> None:
    one = ROW | {"access": "url", "url": "https://a.org/x.zip", "path": "data/fetched/s/real"}
    same = one | {"name": "fake", "path": "data/fetched/s/fake"}
    other = one | {"name": "other", "url": "https://a.org/y.zip"}
    assert len(read_catalogue(write(tmp_path, one, same))) == 2
    (found,) = mistakes(write(tmp_path, one, same, other))
    assert "two archives" in found.what
    assert str(found.location).endswith(":4: path")


@given(path=st.text(alphabet="ab./\\~:C ", min_size=1, max_size=24))
def test_an_accepted_path_stays_below_data(path: str) -> None:
    cells = dict.fromkeys(COLUMNS, "") | ROW | {"path": f"data/raw/{path}".strip()}
    inside = Path("/project/data/raw")
    if not check_row(cells, "x:1"):
        assert inside in (Path("/project") / cells["path"]).resolve().parents
    assert check_row(cells | {"path": path.strip()}, "x:1")  # not below data/raw


# The shape of the table


def test_columns(tmp_path: Path) -> None:
    columns = (*(c for c in COLUMNS if c != "licence"), "license")
    found = mistakes(write(tmp_path, columns=columns))
    texts = [item.text() for item in found]
    assert len(texts) == 2
    assert "`license` is not a column" in texts[0]
    assert "did you mean `licence`?" in texts[0]
    assert "column `licence` is missing" in texts[1]
    assert "comma" not in texts[1]  # it is there, misspelt: no second one is wanted


def test_a_catalogue_of_before_is_mended_as_the_message_says(tmp_path: Path) -> None:
    path = write(tmp_path, ROW, columns=tuple(c for c in COLUMNS if c != "weights"))
    (found,) = mistakes(path)
    assert found.what == "column `weights` is missing"
    assert "end this line with `,weights` and all other rows with a comma" in found.text()
    first, row = path.read_text().splitlines()
    path.write_text(f"{first},weights\n{row},\n")
    assert read_catalogue(path)["mine"].weights == ""


def test_a_row_with_too_many_cells(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    path.write_text(path.read_text() + "a,b\n\n" + "x," * len(COLUMNS) + "\n")
    places = [(found.location, found.what) for found in mistakes(path)]
    assert places == [(f"{path}:3", "has 2 cells, not 17"), (f"{path}:5", "has 18 cells, not 17")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "there is no such file"),
        (b"name\xff\n", "not UTF-8"),
        (b"", "column `name` is missing"),
        (b'"a"b,c\n', "not valid CSV"),
    ],
)
def test_files_that_are_no_catalogue(tmp_path: Path, content: bytes | None, text: str) -> None:
    path = tmp_path / "sources.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_catalogue(path)
    assert text in caught.value.text()


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_catalogue(path)) == ["mine"]


# What an experiment uses


def three(root: Path) -> None:
    write(
        root,
        ROW | {"name": "real"},
        ROW | {"name": "fake", "label": "synthetic", "path": "data/raw/f"},
        ROW | {"name": "unseen", "label": "synthetic", "role": "test", "path": "data/raw/u"},
        ROW | {"name": "only_train", "label": "synthetic", "role": "train", "path": "data/raw/t"},
        ROW | {"name": "spoofs", "label": "spoof", "path": "data/raw/s"},
        ROW | {"name": "lists", "label": "listed", "list": "data/raw/l.csv", "path": "data/raw/l"},
    )


def test_used_sources(tmp_path: Path) -> None:
    three(tmp_path)
    assert list(find_used_sources(experiment(["real", "fake"], ["unseen", "real"]), tmp_path)) == [
        "fake", "real", "unseen",
    ]  # fmt: skip
    assert list(find_used_sources(experiment(["lists"], ["unseen", "real"]), tmp_path)) == [
        "lists", "real", "unseen",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("training", "test", "where", "text"),
    [
        (["real", "fale"], ["real", "fake"], "data.training_sets.main", "did you mean `fake`?"),
        (["real", "fake"], ["real", "unsen"], "data.test_sets.held_out", "did you mean `unseen`?"),
        (["real", "fake", "unseen"], ["real", "fake"], "data.training_sets.main", "`unseen` is a"),
        (["real"], ["real", "fake"], "data.training_sets.main", "no images of class `synthetic`"),
        (["fake"], ["real", "fake"], "data.training_sets.main", "no images of class `bona_fide`"),
        (["real", "fake"], ["real"], "data.test_sets.held_out", "no images of class `synthetic`"),
        (["real", "fake"], ["fake"], "data.test_sets.held_out", "no images of class `bona_fide`"),
        (["real", "fake"], ["real", "only_train"], "data.test_sets.held_out", "no test images"),
        (["real", "fake"], ["real", "lists"], "data.test_sets.held_out", "its list divides"),
    ],
)
def test_what_does_not_fit_an_experiment(
    tmp_path: Path, training: list[str], test: list[str], where: str, text: str
) -> None:
    three(tmp_path)
    (found,) = complaints(tmp_path, experiment(training, test))
    assert found.location == where
    assert text in found.text()


@pytest.mark.parametrize("role", ["test", "any"])
def test_a_generator_that_is_kept_for_testing_must_not_be_trained_on(
    tmp_path: Path, role: str
) -> None:
    """One of several generators of a source counts, and the role `any` promises nothing."""
    fake = ROW | {"label": "synthetic", "generator": "srefi stylegan2", "path": "data/raw/f"}
    held = fake | {"name": "held", "generator": "stylegan2", "role": role, "path": "data/raw/h"}
    write(tmp_path, ROW | {"name": "real"}, fake | {"name": "fake"}, held)
    wanted = experiment(["real", "fake"], ["real", "held"])
    if role == "any":
        assert set(find_used_sources(wanted, tmp_path)) == {"real", "fake", "held"}
        return
    (found,) = complaints(tmp_path, wanted)
    assert found.what == "generator `stylegan2` of the test source `held` is trained on: fake"


SHIPPED = [REPOSITORY / "params.yaml", *sorted((REPOSITORY / "params").glob("*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_catalogue_fits_every_shipped_experiment(path: Path) -> None:
    wanted = load_experiment(path)
    assert sorted(find_used_sources(wanted, REPOSITORY)) == wanted.data.list_sources()


def test_a_label_that_is_no_class(tmp_path: Path) -> None:
    three(tmp_path)
    (found,) = complaints(tmp_path, experiment(["real", "spoofs", "fake"], ["real", "fake"]))
    assert "`spoof` is not among the classes" in found.what
    assert str(found.location).endswith("sources.csv:6: label")
    wanted = experiment(["real", "spoofs", "fake"], ["real", "fake"],
                        ("bona_fide", "spoof", "synthetic"))  # fmt: skip
    assert "spoofs" in find_used_sources(wanted, tmp_path)


# What is on this machine


def test_state(tmp_path: Path) -> None:
    write(
        tmp_path,
        ROW,
        ROW | {"name": "g", "access": "gated", "path": "data/raw/g", "count": "2",
               "instructions": "ask"},
        ROW | {"name": "u", "access": "url", "url": "https://a.org/x.zip",
               "path": "data/fetched/u"},
        ROW | {"name": "l", "label": "listed", "list": "data/raw/l.csv", "path": "data/raw/l",
               "access": "manual", "instructions": "ask", "count": "2"},
    )  # fmt: skip

    def states() -> list[str]:
        head, *lines = format_listing(experiment(["mine"], ["g"]), tmp_path).splitlines()
        return [line[head.index("state") :] for line in lines[:4]]

    assert states() == ["missing", "needs agreement", "missing", "missing"]
    for name in ("raw/mine/a.jpg", "raw/g/deep/b.PNG", "raw/l/0.png", "raw/l/1.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    (tmp_path / "data/raw/l.csv").write_text("train,Real,/0.png\n")
    part = tmp_path / ".work/download/u/x.zip.part"
    part.parent.mkdir(parents=True)
    part.touch()
    assert states() == ["ready", "partly", "partly", "partly"]
    (tmp_path / "data/raw/g/c.jpg").touch()
    (tmp_path / "data/raw/g/._c.jpg").touch()  # left by macOS: no image
    (tmp_path / "data/raw/l.csv").write_text("train,Real,/0.png\ntest,Synthetic,1.png\n")
    assert states() == ["ready", "ready", "partly", "ready"]
    table = format_listing(experiment(["mine"], ["g"]), tmp_path).splitlines()
    assert table[0].split() == [
        "name", "label", "generator", "role", "access", "images", "state",
    ]  # fmt: skip
    assert table[2].split() == ["*", "g", "bona_fide", "-", "any", "gated", "2/2", "ready"]
    assert table[3].split() == ["u", "bona_fide", "-", "any", "url", "0", "partly"]
