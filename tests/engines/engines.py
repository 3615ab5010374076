"""Runs with the real engines what the tests run with stand-ins: `make engines`, or `python tests/engines/engines.py`.

beam         Apache Beam, DirectRunner with two worker processes: the folders of `extract` and `encode` are those of
             one process; killed and started again it makes what is lacking; a broken file is named.
slurm        slurmctld, slurmd and munged of Debian, on one node in a network of its own: two tasks train with
             --workers=slurm what one process trains, to 1e-5, also after they were killed; --jobs=slurm makes what
             `train --seeds`, `compare` and `tune` make in one process.
folder, lite, lite_server, server
             The checks of tests/search/index_checks.py on an index in a folder; a Milvus Lite database; `milvus-lite
             server` on 127.0.0.1; a Milvus server 2.3.5 (the wheel `milvus`), which listens everywhere and is
             started in a network of its own.

Prints what it ran, and what it had to skip and why; the status is 1 if a check failed.
"""
import argparse
import contextlib
import filecmp
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/search"))
TFXMR = [sys.executable, "-m", "tfxmr"]
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")  # of Debian
HOURS = 1  # after which an engine is given up
ROUNDING = 1e-5  # by which two replicas may differ from one
SMALL = ["--model=ms2gan", "--dataset=npz", "--protocol=standard", "--specific_units=8,6", "--shared_units=6",
         "--modality_units=5", "--batch_size=12", "--steps=300", "--select=last", "--checkpoint_seconds=0"]
CONF = """
ClusterName=trial
SlurmctldHost=localhost(127.0.0.1)
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName=localhost NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def command(*arguments, status=0, **more):
    """Runs a command; returns what it printed. Raises AssertionError with that if its status is another one."""
    done = subprocess.run(
        [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more
    )
    if done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def told(name, what, begin):
    """Says that a check passed."""
    print(f"{name}: {what}: {time.monotonic() - begin:.0f} s", flush=True)


def same_files(one, two):
    """Raises AssertionError unless two folders hold the same files; .lock names the process that wrote them."""
    names = [{p.relative_to(d) for p in d.rglob("*") if p.is_file() and p.name != ".lock"} for d in (one, two)]
    assert names[0] == names[1], names[0] ^ names[1]
    _, differing, failed = filecmp.cmpfiles(one, two, map(str, names[0]), shallow=False)
    assert not differing and not failed, differing + failed


def workers_of(parent):
    """How many of the processes below another one are workers of Beam's."""
    listed = command("ps", "-e", "-o", "pid=,ppid=,args=").splitlines()
    found = [(int(pid), int(ppid), args) for pid, ppid, args in (line.split(None, 2) for line in listed)]
    below = {parent}
    for _ in range(4):
        below |= {pid for pid, ppid, _ in found if ppid in below}
    return sum("sdk_worker_main" in args for pid, _, args in found if pid in below and args.startswith(sys.executable))


def beam(folder, options):
    """Checks the Beam engine."""
    extract = [*TFXMR, "extract", "--dataset=scenes", "--image_features=descriptor", "--text_features=tfidf300"]
    by_beam = ["--engine=beam", "--shards=8", "--beam_options=--direct_num_workers=2"]
    killed_and_resumed(folder, "extract", extract, by_beam)
    images = folder / "images"
    images.mkdir()
    for number in range(300):
        picture(images / f"{number}.png", colour=(number % 256, 7 * number % 256, 10))
    (images / "notes.txt").write_text("no image")
    command(*TFXMR, "train", "--model=cca", "--dataset=scenes", "--protocol=standard", f"--run_dir={folder}/run")
    encode = [*TFXMR, "encode", f"--run_dir={folder}/run", f"--images={images}"]
    killed_and_resumed(folder, "encode", encode, by_beam, status=1)  # notes.txt is named
    begin = time.monotonic()
    media = folder / "media/train/cat"
    media.mkdir(parents=True)
    for number in range(4):
        picture(media / f"{number}.png")
        (media / f"{number}.txt").write_text("a cat on a mat")
    shutil.copytree(media.parents[0], folder / "media/test")
    job = [*TFXMR, "extract", "--dataset=folder", f"--data_dir={folder}/media", "--image_features=descriptor",
           "--text_features=bow5", "--min_documents=1", *by_beam, f"--out={folder}/broken"]
    picture(media / "3.png", broken=True)
    printed = command(*job, status=2)
    assert "train/cat/3.png" in printed, printed
    told("beam", "a broken file is named, before any shard is made", begin)
    return ""


def killed_and_resumed(folder, name, job, by_beam, status=0):
    """Runs a job in one process, and by Beam, where it is killed and started again: the folders must be the same."""
    local, out = folder / name / "local", folder / name / "out"
    local.parent.mkdir()
    command(*job, f"--out={local}", status=status)
    begin, most, found = time.monotonic(), 0, f"{out.name}_shards/**/*.parquet"
    running = subprocess.Popen(
        [*job, *by_beam, f"--out={out}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )
    while running.poll() is None and len(list(out.parent.glob(found))) < 3:
        most = max(most, workers_of(running.pid))
        time.sleep(0.1)
    assert running.poll() is None, "the job ended before it was killed"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(1)
    kept = {path: path.stat().st_mtime_ns for path in out.parent.glob(found)}
    assert most == 2, f"{most} worker processes"
    told("beam", f"{name}: killed, with {most} worker processes and {len(kept)} shards", begin)
    begin = time.monotonic()
    command(*job, *by_beam, f"--out={out}", status=status)
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items()), "a shard was made again"
    lacking = len(list(out.parent.glob(found))) - len(kept)
    same_files(local, out)
    told("beam", f"{name}: resumed, {lacking} shards: the folder of one process to the bit", begin)


def picture(path, broken=False, colour=(200, 10, 10)):
    """Writes a small image, or the beginning of one."""
    from PIL import Image

    Image.new("RGB", (30, 20), colour).save(path)
    if broken:
        path.write_bytes(path.read_bytes()[:60])


def apart(name, folder, options):
    """Runs an engine's checks in a network, a process tree and a host name of their own. Returns why not, or ""."""
    if os.geteuid() or not shutil.which("unshare"):
        return "only root can give it a network of its own, by unshare"
    asked = [sys.executable, __file__, "--inside", name, str(folder), *["--no_kills"] * options.no_kills]
    unshared = ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
    subprocess.run([*unshared, *asked], check=True, timeout=3600 * HOURS)
    return ""


def slurm(folder, options):
    """Checks Slurm, whose packages are installed where that is possible."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "srun"))):
        with contextlib.suppress(OSError):
            subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES], check=False,
                           env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "srun"))):
        return f"not installed; apt-get install {' '.join(PACKAGES)}"
    return apart("slurm", folder, options)


def cluster(folder):
    """Starts a cluster of this machine alone. Returns when its node takes jobs."""
    command("ip", "address", "add", "192.168.255.1/32", "dev", "lo")  # with 127.0.0.1 alone, glibc resolves no address
    command("hostname", "localhost")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge/key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (folder / "slurm.conf").write_text(CONF.format(folder=folder, cpus=os.cpu_count()))
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    command("munged", "--force", f"--key-file={key}", f"--socket={folder}/munge/socket",
            f"--pid-file={folder}/munge/pid", f"--log-file={folder}/munge/log", f"--seed-file={folder}/munge/seed")
    command("slurmctld")
    command("slurmd", "-N", "localhost")
    end = time.monotonic() + 60
    while "idle" not in command("sinfo", "--noheader", "--format=%t"):
        if time.monotonic() > end:
            raise AssertionError("\n".join((folder / f"{name}.log").read_text()[-2000:] for name in ("slurmctld", "slurmd")))
        time.sleep(0.5)


def slurm_inside(folder, options):
    """Checks Slurm, where nothing but this machine can be reached."""
    import numpy as np
    from safetensors.numpy import load_file

    cluster(folder)
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for split, n in (("train", 60), ("test", 30)):
        label = np.arange(n) % 4
        arrays = {m: rng.normal(size=(n, 12)) + 3 * np.eye(12)[label] for m in ("image", "text")}
        np.savez(folder / f"data/{split}.npz", label=label, **arrays)
    train = [*TFXMR, "train", *SMALL, f"--data_dir={folder}/data"]
    two = ["srun", "--ntasks=2", "--overcommit", *train, "--strategy=multi_worker", "--workers=slurm"]
    command(*train, f"--run_dir={folder}/one")
    begin = time.monotonic()
    command(*two, f"--run_dir={folder}/two")
    told("slurm", f"two tasks trained, weights of one process to {furthest(load_file, folder, 'two'):.0e}", begin)
    begin, run = time.monotonic(), folder / "killed"
    job = subprocess.Popen([*two, f"--run_dir={run}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while job.poll() is None and not list(run.glob("checkpoints/*")):
        time.sleep(0.05)
    command("scancel", "--signal=KILL", "--user=root")
    job.wait()
    assert not (run / "results.json").exists(), "the job ended before it was killed"
    command(*two, f"--run_dir={run}")
    told("slurm", f"killed, a second job resumed to {furthest(load_file, folder, 'killed'):.0e}", begin)
    data = [*SMALL[1:3], f"--data_dir={folder}/data"]
    by_array(folder, "train --seeds", ["train", "--model=cca", *data, "--seeds=0..1", "--split=random"])
    for model in ("cca", "sm"):
        (folder / f"{model}.cfg").write_text("\n".join([f"--model={model}", *data]) + "\n")
    by_array(folder, "compare", ["compare", folder / "cca.cfg", folder / "sm.cfg"])
    by_array(folder, "tune", ["tune", "--model=cca", *data, "--validation_fraction=0.25", "--grid=components=1,2"])


def by_array(folder, name, arguments):
    """Lets a command of two runs make them in one process, and by an array job of Slurm's: the results must be equal."""
    begin, found = time.monotonic(), []
    for place, more in (("alone", []), ("array", ["--jobs=slurm", "--slurm_options=--ntasks=1 --time=5"])):
        place = folder / f"{name.partition(' ')[0]}_{place}"
        command(*TFXMR, *arguments, *more, f"--run_dir={place}")
        runs = {path.relative_to(place): json.loads(path.read_text()) for path in place.rglob("results.json")}
        found.append({run: facts["metrics"] for run, facts in runs.items()})
    assert len(found[0]) >= 2 and found[0] == found[1], found
    told("slurm", f"{name} --jobs=slurm made the {len(found[0])} runs of one process", begin)


def furthest(load_file, folder, run):
    """The largest difference of the weights of two runs' encoders; raises AssertionError if it is more than rounding."""
    one, two = (load_file(folder / f"{name}/encoder/weights.safetensors") for name in ("one", run))
    assert one.keys() == two.keys() and one
    found = max(float(abs(one[name] - two[name]).max()) for name in one)
    assert found <= ROUNDING, found
    return found


def folder_index(folder, options):
    """Checks an index in a folder."""
    return index("folder", (f"{folder}/{i}" for i in range(99)), options)


def lite(folder, options):
    """Checks an index in Milvus Lite."""
    return index("lite", (f"{folder}/{i}.db" for i in range(99)), options)


def lite_server(folder, options):
    """Checks an index of `milvus-lite server`."""
    import index_checks

    with index_checks.lite_server(folder) as address:
        return index("lite_server", (f"{address}/i{i}" for i in range(99)), options)


def server(folder, options):
    """Checks an index of a Milvus server, which listens everywhere."""
    return apart("server", folder, options)


def server_inside(folder, options):
    """Checks an index of a Milvus server, where nothing but this machine can be reached."""
    from milvus import default_server

    default_server.set_base_dir(str(folder))
    with default_server:
        address = f"http://127.0.0.1:{default_server.listen_port}"
        index("server", (f"{address}/i{i}" for i in range(99)), options)


def index(name, uris, options):
    """Runs the checks of an index; `uris` makes addresses."""
    import index_checks

    index_checks.check(name, uris, not options.no_kills)
    return ""


MILVUS = "pip install 'tfxmr[milvus]'"
ENGINES = {  # name -> (packages that it needs, how to get them, its checks, which return why they were skipped)
    "beam": (("apache_beam",), "pip install 'tfxmr[beam]'", beam),
    "slurm": ((), "", slurm),
    "folder": ((), "", folder_index),
    "lite": (("pymilvus", "milvus_lite"), MILVUS, lite),
    "lite_server": (("pymilvus", "milvus_lite"), MILVUS, lite_server),
    "server": (("pymilvus", "milvus"), f"{MILVUS} && pip install --no-deps milvus==2.3.5", server),
}
INSIDE = {"slurm": slurm_inside, "server": server_inside}


def run(name, options):
    """Runs an engine's checks. Returns "passed", "skipped: ..." or "FAILED: ..."."""
    packages, remedy, check = ENGINES[name]
    if missing := [package for package in packages if not importlib.util.find_spec(package)]:
        return f"skipped: {' and '.join(missing)} not installed; {remedy}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a killed server may still write there
        try:
            skipped = check(pathlib.Path(folder), options)
        except subprocess.SubprocessError as error:  # it has said what failed
            return f"FAILED: {error}"
        except Exception as error:
            traceback.print_exc()
            return f"FAILED: {error or type(error).__name__}"
    return f"skipped: {skipped}" if skipped else "passed"


def main():
    """Runs what can be run here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(ENGINES),
                        help=f"some engines alone, with commas between them: {', '.join(ENGINES)}")
    parser.add_argument("--no_kills", action="store_true", help="omits the ten kills of each index")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.only) - set(ENGINES):
        parser.error(f"--only={','.join(options.only)}: unknown {', '.join(unknown)}; choose from {', '.join(ENGINES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers end with this process
    if options.inside:
        name, folder = options.inside
        command("ip", "link", "set", "lo", "up")
        INSIDE[name](pathlib.Path(folder), options)
        return 0
    results = {}
    for name in options.only:
        begin = time.monotonic()
        results[name] = run(name, options)
        print(f"{name}: {results[name]} ({time.monotonic() - begin:.0f} s)", flush=True)
    print("", *(f"{name:12} {result.splitlines()[0]}" for name, result in results.items()), sep="\n")
    return int(any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
