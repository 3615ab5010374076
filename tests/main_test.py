"""What ends a command from outside: signals, closed pipes, full disks, other terminals. Exit statuses and one line each."""
import ctypes
import errno
import io
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tfxmr import __main__ as entry
from tfxmr.__main__ import main
from tfxmr.core import files, stopping

NEURAL = [
    "train", "--model=danzcr", "--dataset=npz", "--protocol=zero_shot", "--steps=4000", "--batch_size=16", "--variant=single",
    "--generator_units=300,200", "--discriminator_units=300,200", "--checkpoint_seconds=1000", "--log_every=4000",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The flags of a small dataset with word vectors."""
    folder, rng = tmp_path_factory.mktemp("npz"), np.random.default_rng(0)
    for split, n in (("train", 80), ("test", 8)):
        matrices = {"image": rng.normal(size=(n, 30)), "text": rng.normal(size=(n, 20))}
        np.savez(folder / f"{split}.npz", label=np.arange(n) % 4, **matrices)
    names = ["one", "two", "three", "four"]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    lines = [f"{name} {' '.join(f'{v:.4f}' for v in rng.normal(size=8))}" for name in names]
    (folder / "words.txt").write_text("\n".join(["4 8", *lines]) + "\n")
    return [f"--data_dir={folder}", f"--word_vectors={folder}/words.txt"]


def start(*arguments, **options):
    """Starts a command in a process of its own, with Python's settings for output that no test environment changes."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONUNBUFFERED", "PYTHONIOENCODING")}
    environment |= options.pop("env", {})
    often = f"from tfxmr.core import progress; progress.EVERY = {options.pop('every', 30.0)}"
    return subprocess.Popen(
        [sys.executable, "-c", f"{often}; from tfxmr.__main__ import run; run()", *arguments], env=environment, text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def ended(process, status):
    """Waits for the end of a process. Returns (what it printed, its lines on the standard error that are ours)."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors
    assert "Traceback" not in errors and "Exception ignored" not in errors, errors
    return output, [line for line in errors.splitlines() if line.startswith("tfxmr: ")]


def wait_for_steps(process):
    """Waits until a training is at work: for its first line of progress."""
    for line in process.stdout:
        if " step " in line:
            return
    raise AssertionError(process.communicate())


def step_of(run_dir):
    return int(tf.train.latest_checkpoint(str(run_dir / "checkpoints/training")).rpartition("-")[2])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves(number, data, tmp_path):
    """Guards against a batch system's or a closed terminal's signal that loses the training since the last checkpoint."""
    heed = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731  nohup leaves it ignored
    process = start(*NEURAL, *data, f"--run_dir={tmp_path}/run", preexec_fn=heed)
    wait_for_steps(process)
    for _ in range(2):  # as a shell sends one beside its terminal's; it must not end the saving
        os.kill(process.pid, number)
    _, errors = ended(process, 128 + number)
    assert errors == [f"tfxmr: stopped by {number.name}; the same command resumes there"]
    assert 0 < step_of(tmp_path / "run") < 4000


def test_an_ignored_hangup_stays_ignored(data, tmp_path):
    """Guards against `nohup tfxmr train` that a closed terminal ends; SIGTERM still stops it."""
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    process = start(*NEURAL, *data, f"--run_dir={tmp_path}/run", preexec_fn=ignore)
    wait_for_steps(process)
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(1)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGTERM)
    ended(process, 143)


def test_an_evaluation_beside_a_training(data, tmp_path, capsys):
    """Guards against an evaluation that kills the training, waits for it, or fails for the checkpoints that it deletes.

    The training saves after every step, so that no checkpoint lies there for longer than some milliseconds.
    """
    run_dir = tmp_path / "run"
    narrow = ["--generator_units=30,20", "--discriminator_units=30,20", "--checkpoint_seconds=0"]
    process = start(*NEURAL, *data, *narrow, f"--run_dir={run_dir}", every=0.1)
    for _ in range(3):
        wait_for_steps(process)
    evaluate, plot = ["evaluate", f"--run_dir={run_dir}"], ["plot", "--figure=tsne", f"--run_dir={run_dir}", "--perplexity=2"]
    for command in (evaluate, plot):
        before = step_of(run_dir)
        assert main(command) == 0
        assert process.poll() is None and step_of(run_dir) > before
    assert "no finished run is there" in refusal(capsys, "compare", str(run_dir))
    os.kill(process.pid, signal.SIGTERM)
    ended(process, 143)


@pytest.fixture
def signals(monkeypatch):
    """Lets a test take the signals, and gives them back."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in stopping.NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    stopping.asked.clear()


@pytest.mark.parametrize("command", ["train", "tune", "extract", "prepare", "compare"])
def test_every_command_takes_signals_as_ctrl_c(command, signals, monkeypatch, capsys):
    """Guards against a command to which a signal is something else than Ctrl-C, after which all of them save."""
    saved = []

    def work(_):
        for number in (signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
            if number == signal.SIGTERM:
                time.sleep(1)
                pytest.fail("the signal came to nothing")

    def interrupted(arguments):
        try:
            work(arguments)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGTERM)  # the second within a minute waits
            saved.append(True)
            raise

    monkeypatch.setattr(f"tfxmr.commands.{command}.main", interrupted)
    entry._take_signals()
    assert main([command]) == 143 and saved
    assert capsys.readouterr().err == "tfxmr: stopped by SIGTERM; the same command resumes there\n"


def test_a_closed_pipe():
    """Guards against a traceback of `tfxmr models | head -1`, also of the flush when the interpreter ends."""
    reader, writer = os.pipe()
    os.close(reader)
    process = start("models", stdout=writer)
    os.close(writer)
    assert ended(process, 141)[1] == []


def test_a_pipe_that_closes_while_training(data, tmp_path):
    """Guards against `tfxmr train | head` that ends in the middle of a training and loses it."""
    process = start(*NEURAL, *data, f"--run_dir={tmp_path}/run", every=0.5)
    wait_for_steps(process)
    process.stdout.close()
    process.stdout = None
    ended(process, 141)
    assert 0 < step_of(tmp_path / "run") < 4000  # at a line of progress


def test_a_full_device():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        _, errors = ended(start("models", stdout=full), 2)
    assert len(errors) == 1 and "standard output" in errors[0] and "No space left on device; free some space" in errors[0]


def test_a_terminal_without_the_letters(tmp_path, monkeypatch, signals):
    """Guards against UnicodeEncodeError when a name is printed that the terminal's encoding lacks."""
    folder = tmp_path / "größe"
    folder.mkdir()
    matrices = {"image": np.eye(2), "text": np.eye(2), "label": np.arange(2)}
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", **matrices)
    (folder / "classes.txt").write_text("äpfel\nбук\n", encoding="utf-8")

    def printed():
        terminals = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            for name, terminal in terminals.items():
                patch.setattr(sys, name, terminal)
            patch.setattr(sys, "argv", ["tfxmr", "prepare", "--dataset=npz", f"--data_dir={folder}"])
            with pytest.raises(SystemExit) as stop:
                entry.run()
        for terminal in terminals.values():
            terminal.flush()
        return stop.value.code, *(terminal.buffer.getvalue().decode("ascii") for terminal in terminals.values())

    status, output, _ = printed()
    assert status == 0 and "2 classes: \\xe4pfel, \\u0431\\u0443\\u043a" in output
    (folder / "train.npz").unlink()
    status, _, errors = printed()
    assert status == 2 and "gr\\xf6\\xdfe/train.npz is missing" in errors


def test_a_locale_without_the_letters(monkeypatch, capsys):
    """Guards against a traceback for a name in flags.cfg that this locale cannot give to the system."""
    def fail(_):
        "größe".encode("ascii")

    monkeypatch.setattr("tfxmr.commands.prepare.main", fail)
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    assert "'gr\\xf6\\xdfe': this locale lacks these letters; set LC_ALL=C.UTF-8" in refusal(capsys, "prepare")


def test_a_limit_on_the_size_of_files(data, tmp_path):
    """Guards against TensorFlow's error of a disk that is full, or of a quota, as a traceback; the checkpoint is named."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    small = ["--steps=4", "--checkpoint_seconds=0"]
    _, errors = ended(start(*NEURAL, *data, *small, f"--run_dir={tmp_path}/run", preexec_fn=limit), 2)
    assert errors == [
        f"tfxmr: error: {tmp_path}/run/checkpoints/training: File too large; raise the limit on the size of files "
        "(ulimit -f), or give another folder, and give the same command again"
    ]
    assert not any((tmp_path / "run/checkpoints/training").iterdir())  # nor does half of it take the room
    assert main([*NEURAL, *data, *small, f"--run_dir={tmp_path}/run"]) == 0  # the remedy


@pytest.fixture
def mounted(tmp_path):
    """A function that mounts a file system of some size, or skips; it is unmounted at the end."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
        return place

    try:
        yield mount
    finally:
        subprocess.run(["umount", str(place)], capture_output=True)


CLOSED = ["train", "--model=cca", "--dataset=npz", "--protocol=standard"]


def refusal(capsys, *arguments):
    """Runs a command that must end with status 2; returns its one line."""
    assert main(list(arguments)) == 2
    errors = capsys.readouterr().err
    lines = [line for line in errors.splitlines() if line.startswith("tfxmr: ")]
    assert len(lines) == 1 and "Traceback" not in errors
    return lines[0]


def test_a_full_disk(mounted, data, capsys, monkeypatch):
    """Guards against a traceback, or half an archive, when the disk is full; with room, the same command goes on."""
    place = mounted("size=16k")
    message = refusal(capsys, *CLOSED, *data, f"--run_dir={place}/run")
    assert message.startswith(f"tfxmr: error: {place}/run/") and "No space left on device; free some space there" in message
    subprocess.run(["mount", "-o", "remount,size=4m", str(place)], check=True)
    assert main([*CLOSED, *data, f"--run_dir={place}/run"]) == 0


def test_a_read_only_disk(mounted, data, capsys):
    place = mounted("ro")
    message = refusal(capsys, *CLOSED, *data, f"--run_dir={place}/run")
    assert message == (
        f"tfxmr: error: {place}/run: Read-only file system; give a folder that can be written, and give the same command "
        "again"
    )


def test_a_finished_run_on_a_read_only_disk(mounted, data, capsys):
    """Guards against an evaluation that writes."""
    place = mounted("size=4m")
    assert main([*CLOSED, *data, f"--run_dir={place}/run"]) == 0
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    for command in (["evaluate", f"--run_dir={place}/run"], ["compare", f"{place}/run"], [*CLOSED, *data, f"--run_dir={place}/run"]):
        assert main(command) == 0
    assert f"{place}/run/figures: Read-only file system" in refusal(
        capsys, "plot", "--figure=tsne", f"--run_dir={place}/run", "--perplexity=2")


def test_a_folder_below_a_file(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/run", "file/a/run"):
        message = refusal(capsys, *CLOSED, *data, f"--run_dir={tmp_path}/{place}")
        assert f"{tmp_path}/file" in message and "file; give a" in message


def test_a_home_that_cannot_be_written(tmp_path):
    """Guards against a traceback of TFDS, whose default folder is below HOME; other commands do without."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("no /proc here")
    _, errors = ended(start("prepare", "--dataset=scenes", env={"HOME": "/proc/none"}), 2)
    assert len(errors) == 1 and errors[0].startswith("tfxmr: error: --data_dir=/proc/none/tensorflow_datasets (its default): ")


def without_root():
    """In a child process about to start: takes root's right to pass over permissions; nothing for other users."""
    if os.getuid() == 0:
        prctl, drop, override, search = ctypes.CDLL(None).prctl, 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_...
        prctl(drop, override, 0, 0, 0)
        prctl(drop, search, 0, 0, 0)


@pytest.fixture
def closed(tmp_path):
    """A folder with train.npz and test.npz that nobody may write into, train.npz not even read; skips where root may."""
    folder = tmp_path / "closed"
    folder.mkdir()
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", image=np.eye(4), text=np.eye(4), label=np.arange(4) % 2)
    (folder / "train.npz").chmod(0)
    folder.chmod(0o500)
    tried = subprocess.run(["cat", str(folder / "train.npz")], capture_output=True, preexec_fn=without_root)
    if not tried.returncode:
        pytest.skip("permissions do not bind this user")
    yield folder
    folder.chmod(0o700)


def test_no_permission(closed, data):
    """Guards against a traceback for a folder of another user, and an unreadable file called cut off."""
    _, errors = ended(start(*CLOSED, *data, f"--run_dir={closed}/run", preexec_fn=without_root), 2)
    assert errors == [
        f"tfxmr: error: {closed}/run: Permission denied; change its permissions, or give another one, and give the same "
        "command again"
    ]
    _, errors = ended(start("prepare", "--dataset=npz", f"--data_dir={closed}", preexec_fn=without_root), 2)
    assert len(errors) == 1 and f"{closed}/train.npz" in errors[0] and "ermission" in errors[0]
    assert "cut off" not in errors[0]


def memory_error():
    return MemoryError("Unable to allocate 7.45 GiB for an array")


def allocation():
    return tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[1]")


def full_in_tensorflow():
    return tf.errors.ResourceExhaustedError(None, None, "{{node x}} /a/file; No space left on device [Op:SaveV2]")


def quota():
    return OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/a/file")


@pytest.mark.parametrize("make, message", [
    (memory_error, "not enough memory (Unable to allocate 7.45 GiB for an array); give smaller networks, --batch_size or"),
    (allocation, "not enough memory (OOM when allocating tensor with shape[1]); give smaller networks"),
    (full_in_tensorflow, "/a/file: No space left on device; free some space there, or give another folder"),
    (quota, "/a/file: Disk quota exceeded; free some of your quota there"),
    (lambda: OSError(errno.ENOSPC, "No space left on device"), "standard output, or a file that was being written: No space"),
    (lambda: FileNotFoundError(errno.ENOENT, "No such file or directory", b"/a/file"), "/a/file: No such file or directory; it, or"),
])
def test_what_the_machine_lacks(make, message, monkeypatch, capsys):
    """Guards against tracebacks of errors that are nobody's mistake here, and a full disk called a lack of memory."""
    def fail(_):
        raise make()

    monkeypatch.setattr("tfxmr.commands.prepare.main", fail)
    assert refusal(capsys, "prepare").startswith(f"tfxmr: error: {message}")


def test_a_mistake_of_the_program_keeps_its_traceback(monkeypatch):
    """Guards against a net that catches what should be mended."""
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr("tfxmr.commands.prepare.main", fail)
    with pytest.raises(ZeroDivisionError):
        main(["prepare"])


def test_a_name_that_is_no_text(capsys):
    name = os.fsdecode(b"--run_dir=caf\xe9")
    assert "holds bytes that are no UTF-8; rename that file or folder" in refusal(capsys, "train", name)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    """Guards against a half-written file beside the whole one, and an error that names none."""
    path = pathlib.Path(tmp_path / "results.json")
    files.write_text(path, "old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError) as error:
        files.write_text(path, "new")
    assert error.value.filename == str(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["results.json"]


def test_help_and_refusals_wait_for_no_tensorflow(tmp_path):
    """Guards against an import at the top of a command that takes three seconds before --help is printed."""
    statuses = {
        "": 0, "--help": 0, "--version": 0, "tranes": 2, "models": 0, "train --help": 0, "train --model=dscmr --help": 0,
        "tune --help": 0, "search --help": 0, "index --help": 0, "encode --help": 0, "export --help": 0,
        "train --model=danzcr --stepz=3": 2, "train --model=sm --steps=3": 2, "train --model=dscmr --select=best": 2,
        "train --model=ms2gan --wihtout=sd": 2, "tune --model=dscmr --grid=alpha=a": 2, "train --model=dscmr": 2,
        "train --model=cbt --protocol=standard": 2, "tune --model=dscmr --run_dir=run --grid=alpha=a": 2,
        "compare --help": 0, "evaluate --help": 0, "extract --help": 0, "import --help": 0, "plot --help": 0,
        "prepare --help": 0, "train --model=cca --help": 0, "datasets": 0, "train --flagfile=none.cfg": 2,
        "train --model=dscrm": 2, "train --dataset=none": 2, "train --model=cca": 2, "evaluate --run_dir=none": 2,
        "cite --help": 0, "cite --model=cbt --dataset=xmedia": 0, "cite --run_dir=none": 2,
        "compare none": 2, "plot --figure=tsne --run_dir=none": 2,
    }
    code = (
        "import sys; from tfxmr.__main__ import main\n"
        f"for command, expected in {statuses}.items():\n"
        "    try: status = main(command.split())\n"
        "    except SystemExit as error: status = error.code\n"
        "    heavy = {'tensorflow', 'keras', 'keras_tuner', 'tensorflow_datasets', 'sklearn'} & {*sys.modules}\n"
        "    assert (status, heavy) == (expected, set()), (command, status, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_closed_form_runs_wait_for_no_tensorflow(tmp_path):
    """Guards against an import of TensorFlow by the training, evaluation or figures of a method that has no networks."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        matrices = {"image": rng.normal(size=(24, 6)), "text": rng.normal(size=(24, 5))}
        np.savez(tmp_path / f"{split}.npz", label=np.arange(24) % 3, **matrices)
    np.save(tmp_path / "rows.npy", rng.normal(size=(5, 6)))
    data = ["--dataset=npz", f"--data_dir={tmp_path}", "--protocol=standard"]
    lines = [
        ["train", "--model=cca", *data, "--run_dir=cca"], ["train", "--model=sm", *data, "--seeds=0,1", "--run_dir=sm"],
        ["train", "--model=jrl", *data, "--run_dir=jrl", "--validation_fraction=.2"], ["evaluate", "--run_dir=cca"],
        ["evaluate", "--run_dir=sm", "--metrics=P@2"], ["evaluate", "--run_dir=cca", "--transfer", *data],
        ["compare", "cca", "sm", "jrl"], ["plot", "--figure=precision_recall", "--run_dir=cca,jrl"],
        ["index", "--run_dir=cca"], ["encode", "--run_dir=cca", "--modality=image", f"--features={tmp_path}/rows.npy", "--out=v"],
    ]
    code = (
        "import sys; from tfxmr.__main__ import main\n"
        f"for line in {lines}:\n"
        "    assert main(line) == 0, line\n"
        "    heavy = {'tensorflow', 'keras', 'keras_tuner', 'tensorflow_datasets'} & {*sys.modules}\n"
        "    assert not heavy, (line, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_table_waits_for_no_tensorflow(tmp_path):
    """Guards against `tfxmr compare` importing TensorFlow for the defaults of flags that runs of older versions lack."""
    flags = {"dataset": "--dataset=npz", "model": "--model=dscmr", "protocol": "--protocol=standard", "alpha": "--alpha=0.001"}
    result = {"model": "dscmr", "dataset": "npz", "seed": 0, "flags": flags}
    lacking = result | {"flags": {name: line for name, line in flags.items() if name != "alpha"}}
    code = (
        "import sys; from tfxmr.commands import compare\n"
        f"found = [r['flags'].get('alpha') for r in compare.completed([{result}, {lacking}])]\n"
        "assert found == ['--alpha=0.001'] * 2 and 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
