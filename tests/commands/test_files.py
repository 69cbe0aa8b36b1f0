"""What is written lands in what is at the path, and the path stays what it is."""

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from collectives import files
from collectives.errors import ArgumentError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "real").write_text("old and long")
    return tmp_path


def kind(path):
    return stat.S_IFMT(os.lstat(path).st_mode)


def test_a_new_file_has_the_usual_mode(folder):
    files.write(str(folder / "new"), "text", "test")
    (folder / "other").write_text("")
    assert (folder / "new").read_text() == "text"
    assert os.stat(folder / "new").st_mode == os.stat(folder / "other").st_mode


def test_an_old_file_keeps_its_mode_and_is_replaced_in_one_step(folder):
    os.chmod(folder / "real", 0o640)
    before = os.stat(folder / "real")
    files.write(str(folder / "real"), "new", "test")
    after = os.stat(folder / "real")
    assert (folder / "real").read_text() == "new"
    assert after.st_mode == before.st_mode and after.st_ino != before.st_ino
    assert os.listdir(folder) == ["real"]


def test_a_link_is_followed_wherever_it_leads(folder):
    for name, target in (("link", "real"), ("twice", "link"), ("ahead", "later")):
        os.symlink(target, folder / name)
    files.write(str(folder / "twice"), "new", "test")
    files.write(str(folder / "ahead"), "new", "test")
    assert (folder / "real").read_text() == (folder / "later").read_text() == "new"
    assert {kind(folder / name) for name in ("link", "twice", "ahead")} == {stat.S_IFLNK}


def test_a_second_name_sees_what_is_written(folder):
    os.link(folder / "real", folder / "same")
    files.write(str(folder / "same"), "new", "test")
    assert (folder / "real").read_text() == "new"


@pytest.mark.parametrize("late", [False, True])
def test_a_fifo_waits_for_its_reader(folder, capsys, late):
    path = folder / "fifo"
    os.mkfifo(path)
    read = []
    ready = None if late else os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    reader = threading.Timer(0.3 * late, lambda: read.append(path.read_text()))
    if late:
        reader.start()
    files.write(str(path), "through", "test")
    if late:
        reader.join(10)
    else:
        read.append(os.read(ready, 100).decode())
        os.close(ready)
    assert read == ["through"] and kind(path) == stat.S_IFIFO
    assert ("waiting for somebody to read" in capsys.readouterr().err) == late


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_device_is_written_to():
    before = os.stat("/dev/full")
    files.write("/dev/null", "text", "test")
    with pytest.raises(ArgumentError, match=os.strerror(errno.ENOSPC)):
        files.write("/dev/full", "text", "--json")
    assert os.stat("/dev/full").st_rdev == before.st_rdev


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs Linux")
@pytest.mark.parametrize("where", ["pipe", "file"])
def test_our_own_stdout_keeps_what_was_printed(folder, where):
    program = (
        "from collectives import files; print('before'); "
        "files.write('/dev/stdout', 'text\\n', 'test'); print('after')"
    )
    command = [sys.executable, "-c", program]
    if where == "pipe":
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    else:
        with open(folder / "out", "w") as out:
            subprocess.run(command, stdout=out, check=True)
        shown = (folder / "out").read_text()
    assert shown == "before\ntext\nafter\n"


def test_a_failure_leaves_the_file_as_it_was(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ArgumentError, match="--write: a file that can be written is needed"):
        files.write(str(folder / "real"), "new", "--write")
    assert (folder / "real").read_text() == "old and long" and os.listdir(folder) == ["real"]


@pytest.mark.parametrize(
    "path, complaint",
    [
        ("", "a file is needed"),
        (".", "a file is needed"),
        ("nowhere/file", "a folder that is there is needed"),
    ],
)
def test_what_cannot_be_is_seen_before(folder, monkeypatch, path, complaint):
    monkeypatch.chdir(folder)
    with pytest.raises(ArgumentError, match=f"--json: {complaint}"):
        files.check_target(path, "--json")
    files.check_target("real", "--json")
    files.check_target("new", "--json")
