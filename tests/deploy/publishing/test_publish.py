"""What `python -m deploy.publish` says and sends, to a Hub that runs here and through the Hub's own library."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.publishing.publish import main
from pipeline.deploy_records import (
    ArtefactFile,
    CalibrationRecord,
    CardRecord,
    ExportCheck,
    ExportRecord,
    PrecisionArtefact,
    PrecisionRecord,
)
from pipeline.layout import artefact_file, card_file, report_file
from tests.deploy.publishing.fake_hub import LARGEST_REGULAR, TOKEN, FakeHub

# What the library does to httpx is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

MODEL, REPOSITORY = "crosskd", "owner/model"
CARD = b"---\nlibrary_name: onnx\n---\n\n# crosskd\n"
CONTENT = {
    "fp32": os.urandom(3 * LARGEST_REGULAR),
    "fp16": os.urandom(2 * LARGEST_REGULAR),
    "int8": b"a small one" * 3,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run's files, as the stages export, precision and report leave them."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    files = {name: file_of(name, content) for name, content in CONTENT.items()}
    for name, content in CONTENT.items():
        artefact_file(MODEL, name).parent.mkdir(exist_ok=True)
        artefact_file(MODEL, name).write_bytes(content)
    check = ExportCheck(images=1, detections=1, matched=1.0, max_box_difference_px=0.0, max_score_difference=0.0)
    exported = files["fp32"].model_dump(exclude={"precision"})
    ExportRecord(model=MODEL, **exported, opset=18, inputs=[], outputs=[], metadata={}, check=check).write(
        report_file("export", MODEL)
    )
    PrecisionRecord(
        model=MODEL,
        parent=files["fp32"].file,
        parent_sha256=files["fp32"].sha256,
        calibration=CalibrationRecord(split="train", images=1, seed=0, sha256="0" * 64),
        artefacts=[PrecisionArtefact(**files[name].model_dump(), search=None) for name in ("fp16", "int8")],
    ).write(report_file("precision", MODEL))
    write_card(list(files.values()))
    return tmp_path


def file_of(precision: str, content: bytes) -> ArtefactFile:
    path = artefact_file(MODEL, precision).as_posix()
    return ArtefactFile(
        precision=precision, file=path, sha256=hashlib.sha256(content).hexdigest(), file_size=len(content)
    )


def write_card(files: list[ArtefactFile]) -> None:
    path = card_file(MODEL)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CARD)
    sha256 = hashlib.sha256(CARD).hexdigest()
    CardRecord(model=MODEL, card_sha256=sha256, ship="int8", files=files).write(report_file("cards", MODEL))


@pytest.fixture
def hub(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    server = FakeHub()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


def publish(*options: str) -> None:
    main([MODEL, "--repo", REPOSITORY, *options])


def refused(*options: str) -> str:
    with pytest.raises(SystemExit) as ended:
        publish(*options)
    return str(ended.value.code)


def test_without_yes_it_is_said_what_would_be_sent_and_nobody_is_asked(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    publish("--revision", "next", "--private")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"model owner/model, branch next, private, at {hub.address}:"
    assert [line.split()[0] for line in lines[1:4]] == ["README.md", "crosskd.int8.onnx", "crosskd.onnx"]
    digest = hashlib.sha256(CONTENT["fp32"]).hexdigest()
    assert lines[3].split(None, 1)[1] == f"30,000 bytes  sha256 {digest}  (artefacts/crosskd.onnx)"
    assert lines[4] == "Nothing was sent: --yes uploads it."
    assert hub.asked == []


def test_a_dry_run_needs_neither_the_library_nor_a_token_nor_a_network(project: Path) -> None:
    """In a process of its own: every connection is refused, and the library cannot be imported."""
    script = """
import socket, sys
def refuse(*_, **__): raise AssertionError("a connection")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.modules["huggingface_hub"] = None
from deploy.publishing.publish import main
main(["crosskd", "--repo", "owner/model"])
try:
    main(["crosskd", "--repo", "owner/model", "--yes"])
except SystemExit as ended:
    print(ended.code)
"""
    paths = {"PYTHONPATH": str(Path(__file__).parents[3])}
    ran = subprocess.run([sys.executable, "-c", script], env={**os.environ, **paths}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "Nothing was sent" in ran.stdout
    assert "at https://huggingface.co:" in ran.stdout
    assert "huggingface_hub is not installed: pip install 'huggingface_hub" in ran.stdout


def test_what_arrives_is_what_is_here_byte_for_byte(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    publish("--yes", "--message", "First one")
    (repository,) = hub.repositories.values()
    assert repository.branches == {
        "main": {"README.md": CARD, "crosskd.int8.onnx": CONTENT["int8"], "crosskd.onnx": CONTENT["fp32"]}
    }
    assert list(hub.objects.values()) == [CONTENT["fp32"]]
    (commit,) = repository.commits
    assert commit["summary"] == "First one"
    said = capsys.readouterr()
    assert f"uploaded: {hub.address}/owner/model/commit/{1:040x}" in said.out
    assert TOKEN not in said.out + said.err
    assert not repository.private


def test_the_commit_says_what_all_of_it_was_made_from(hub: FakeHub, project: Path) -> None:
    lock = b"schema: '2.0'\n"
    (project / "dvc.lock").write_bytes(lock)
    publish("--yes")
    (commit,) = hub.repositories[REPOSITORY].commits
    assert commit["summary"] == "Add crosskd"
    assert commit["description"] == f"dvc.lock, SHA-256: {hashlib.sha256(lock).hexdigest()}"


def test_precisions_and_branches_are_those_that_are_asked_for(hub: FakeHub) -> None:
    publish("--yes", "--precision", "fp16", "--revision", "half")
    publish("--yes", "--precision", "fp16", "int8", "--revision", "half")
    branches = hub.repositories[REPOSITORY].branches
    assert branches["main"] == {}
    assert branches["half"] == {
        "README.md": CARD,
        "crosskd.fp16.onnx": CONTENT["fp16"],
        "crosskd.int8.onnx": CONTENT["int8"],
    }


def test_private_is_never_public(hub: FakeHub) -> None:
    publish("--yes", "--private")
    assert hub.repositories[REPOSITORY].private
    hub.repositories[REPOSITORY].private = False
    hub.repositories[REPOSITORY].branches["main"].clear()
    assert "owner/model: it is there already and public" in refused("--yes", "--private")
    assert hub.repositories[REPOSITORY].branches["main"] == {}


@pytest.mark.parametrize("path", [artefact_file(MODEL), artefact_file(MODEL, "int8"), card_file(MODEL)], ids=str)
def test_a_file_that_is_not_what_its_record_says_is_not_sent(hub: FakeHub, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert f"error: {path}: changed since it was written: its SHA-256 is" in refused("--yes")
    path.unlink()
    assert f"error: {path}: cannot be read: No such file or directory; run `dvc repro`" in refused("--yes")
    assert hub.asked == []


def test_a_card_of_other_files_is_stale(hub: FakeHub) -> None:
    newer = file_of("int8", b"another one")
    record = PrecisionRecord.read(report_file("precision", MODEL))
    made = PrecisionArtefact(**newer.model_dump(), search=None)
    record.model_copy(update={"artefacts": [made]}).write(report_file("precision", MODEL))
    artefact_file(MODEL, "int8").write_bytes(b"another one")
    assert "reports/cards/crosskd.md: it is of another artefacts/crosskd.int8.onnx than the one" in refused("--yes")
    assert "run `dvc repro`" in refused()
    assert hub.asked == []


def test_a_record_names_no_file_to_send(hub: FakeHub, project: Path) -> None:
    (project / "secret.onnx").write_bytes(b"secret")
    secret = hashlib.sha256(b"secret").hexdigest()
    for precision in ("../../secret", "fp32"):
        file = ArtefactFile(precision=precision, file="secret.onnx", sha256=secret, file_size=6)
        write_card([file_of("int8", CONTENT["int8"]), file])
        assert "error: " in refused("--yes")
    assert hub.asked == []


def test_names_that_are_not_there(project: Path) -> None:
    with pytest.raises(SystemExit, match=r"'crossk' has no card in reports/cards; did you mean 'crosskd'\?"):
        main(["crossk", "--repo", REPOSITORY])
    assert "--precision: crosskd has no artefact in 'int8_symmetric'; known: fp16, fp32, int8" in refused(
        "--precision", "int8_symmetric"
    )
    for file in card_file(MODEL).parent.iterdir():
        file.unlink()
    assert "reports/cards: no model cards; run `dvc repro report`" in refused()


@pytest.mark.parametrize(
    "repository", ["model", "a/b/c", "../model", "owner/", "o wner/model", "owner/a--b", "o/" + "m" * 95]
)
def test_what_is_no_repository_is_a_matter_of_usage(repository: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([MODEL, "--repo", repository])
    assert ended.value.code == 2
    assert "is no repository of the Hub; write it as owner/name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/repos/create", 401, "the Hub does not know the token; make one that may write at https:"),
        ("/api/", 403, "the token may not write there; make one that may"),
        ("/api/models/owner/model/preupload", 404, "no such repository or branch, or the token"),
        ("/api/models/owner/model/commit", 409, "another change is on its way; try again (HTTP 409: because of this"),
        ("/api/models/owner/model/commit", 412, "somebody else has changed the branch meanwhile"),
        ("/api/repos/create", 500, "the Hub has trouble of its own; try again later (HTTP 500"),
        ("/api/validate-yaml", 400, "Invalid metadata in README.md"),
        ("/objects/", 403, "the token may not write there"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_has_a_cure(hub: FakeHub, path: str, status: int, said: str) -> None:
    hub.answers[path] = (status, f"because of this, and {TOKEN}")
    message = refused("--yes")
    assert f"error: owner/model at {hub.address}: " in message
    assert said in message
    assert TOKEN not in message
    assert not [commit for each in hub.repositories.values() for commit in each.commits]


def test_the_librarys_other_way_fails_in_as_many_words(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "0")
    assert f"owner/model at {hub.address}: the Hub cannot be reached, or breaks off (ConnectionError" in refused(
        "--yes"
    )
    assert ("GET", "/api/models/owner/model/xet-write-token/main") in hub.asked


def test_a_hub_that_is_not_there(hub: FakeHub) -> None:
    hub.shutdown()
    hub.server_close()
    assert f"owner/model at {hub.address}: the Hub cannot be reached, or breaks off (ConnectError:" in refused("--yes")


@pytest.mark.parametrize(
    ("token", "said"), [("", "no token for the Hub"), ("hf_a b", "holds characters that no token has")]
)
def test_without_a_token_nobody_is_asked(
    hub: FakeHub, token: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    message = refused("--yes")
    assert said in message
    assert "hf_a" not in message
    assert hub.asked == []


@pytest.mark.parametrize(
    "address",
    ["http://hub.example", "ftp://hub.example", "hub.example", "https://", "https://me:pw@hub.example", "https://["],
)
def test_a_token_goes_over_no_open_wire(project: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    assert "error: HF_ENDPOINT: " in refused("--yes")
