"""Runs with the real engines what the tests run with stand-ins: `make engines`, or `python tests/engines/engines.py`.

beam     Apache Beam, DirectRunner with two worker processes: the feature folder is that of one process; killed and
         started again it makes what is lacking; a broken file is named.
slurm    slurmctld, slurmd and munged of Debian, on one node in a network of its own: two tasks train with
         --workers=slurm what one process trains, to 1e-5, also after they were killed; --jobs=slurm makes --seeds.
milvus   tests/search/engines.py.

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

ROOT = pathlib.Path(__file__).resolve().parents[2]
TFXMR = [sys.executable, "-m", "tfxmr"]
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")  # of Debian
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
    """Runs a command; returns what it printed. Ends with that if its status is another one."""
    done = subprocess.run(
        [str(a) for a in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more
    )
    if done.returncode != status:
        raise SystemExit(f"{' '.join(map(str, arguments))}: status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def told(name, what, begin):
    """Says that a check passed."""
    print(f"{name}: {what}: {time.monotonic() - begin:.0f} s", flush=True)


def same_files(one, two):
    """Raises AssertionError unless two folders hold the same files."""
    names = [{p.relative_to(d) for d in [place] for p in d.rglob("*") if p.is_file()} for place in (one, two)]
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


def beam(folder):
    """Checks the Beam engine."""
    extract = [*TFXMR, "extract", "--dataset=scenes", "--image_features=descriptor", "--text_features=tfidf300"]
    by_beam = ["--engine=beam", "--shards=8", "--beam_options=--direct_num_workers=2"]
    command(*extract, f"--out={folder}/local")
    begin, most, out = time.monotonic(), 0, folder / "killed"
    job = subprocess.Popen(
        [*extract, *by_beam, f"--out={out}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while job.poll() is None and len(list(folder.glob("killed_shards/*.parquet"))) < 3:
        most = max(most, workers_of(job.pid))
        time.sleep(0.1)
    assert job.poll() is None, "the job ended before it was killed"
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(1)
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("killed_shards/*.parquet")}
    assert most == 2, f"{most} worker processes"
    told("beam", f"killed, with {most} worker processes and {len(kept)} of 32 shards", begin)
    begin = time.monotonic()
    command(*extract, *by_beam, f"--out={out}")
    assert all(path.stat().st_mtime_ns == made for path, made in kept.items()), "a shard was made again"
    same_files(folder / "local", out)
    told("beam", "resumed: the folder of one process to the bit", begin)
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


def picture(path, broken=False):
    """Writes a small image, or the beginning of one."""
    from PIL import Image

    Image.new("RGB", (30, 20), (200, 10, 10)).save(path)
    if broken:
        path.write_bytes(path.read_bytes()[:60])


def slurm(folder):
    """Checks Slurm, in a network, a process tree and a host name of its own."""
    if os.geteuid():
        return "only root can give it a network of its own"
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "srun"))):
        with contextlib.suppress(OSError):
            subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES], check=False,
                           env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)
    if not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "srun"))):
        return f"not installed; apt-get install {' '.join(PACKAGES)}"
    subprocess.run(
        ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, __file__,
         f"--inside={folder}"], check=True,
    )
    return ""


def cluster(folder):
    """Starts a cluster of this machine alone. Returns when its node takes jobs."""
    command("ip", "link", "set", "lo", "up")
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
            raise SystemExit("\n".join((folder / f"{name}.log").read_text()[-2000:] for name in ("slurmctld", "slurmd")))
        time.sleep(0.5)


def inside(folder):
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
    begin = time.monotonic()
    series = [*TFXMR, "train", "--model=cca", *SMALL[1:3], f"--data_dir={folder}/data", "--seeds=0..1",
              "--split=random"]
    command(*series, f"--run_dir={folder}/alone")
    printed = command(*series, "--jobs=slurm", "--slurm_options=--ntasks=1 --time=5", f"--run_dir={folder}/array")
    assert "2 of 2 runs ended" in printed, printed
    for seed in (0, 1):
        metrics = [json.loads((folder / f"{run}/seed_{seed}/results.json").read_text())["metrics"]
                   for run in ("alone", "array")]
        assert metrics[0] == metrics[1]
    told("slurm", "--seeds=0..1 --jobs=slurm made the runs of one process", begin)


def furthest(load_file, folder, run):
    """The largest difference of the weights of two runs' encoders; raises AssertionError if it is more than rounding."""
    one, two = (load_file(folder / f"{name}/encoder/weights.safetensors") for name in ("one", run))
    assert one.keys() == two.keys() and one
    found = max(float(abs(one[name] - two[name]).max()) for name in one)
    assert found <= ROUNDING, found
    return found


def milvus(folder):
    """Runs the checks of the index, which say themselves what they skip."""
    subprocess.run([sys.executable, ROOT / "tests/search/engines.py"], check=True)
    return ""


ENGINES = {"beam": (("apache_beam",), beam), "slurm": ((), slurm), "milvus": ((), milvus)}


def main():
    """Runs what can be run here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=ENGINES, help="one engine alone")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(pathlib.Path(options.inside))
        return 0
    failed = False
    for name in [options.only] if options.only else ENGINES:
        packages, check = ENGINES[name]
        missing = [package for package in packages if not importlib.util.find_spec(package)]
        with tempfile.TemporaryDirectory() as folder:
            try:
                skipped = f"{' and '.join(missing)} not installed" if missing else check(pathlib.Path(folder))
            except (AssertionError, SystemExit, subprocess.CalledProcessError) as error:
                failed = True
                print(f"{name}: FAILED: {error}", flush=True)
                continue
        print(f"{name}: {f'skipped: {skipped}' if skipped else 'passed'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
