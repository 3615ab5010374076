"""Shows that results stay bit-equal: trains every method shortly, and keeps metrics, digests and weights in a file.

    python benchmarks/unchanged.py --out=before.json [--manual_dir=WIKIPEDIA_DIR] [--only=cca,danzcr]
    python benchmarks/unchanged.py --out=after.json --compare=before.json [--manual_dir=WIKIPEDIA_DIR]

The second line, on later code and the same machine, prints what differs and ends with 1. Only the command line and the
run folders are used, so that the script of today runs on older code: PYTHONPATH=OLD_CHECKOUT or OLD_VENV/bin/python
chooses it. About three minutes on one core. Last bits depend on processor, libraries and threads (one is taken here):
compare files of one machine.
"""
import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
if __name__ == "__main__":  # before NumPy and TensorFlow are imported: sums by threads differ in their last bits
    os.environ |= dict.fromkeys(THREADS, "1")

import tfxmr  # noqa: E402, F401, I001  (before NumPy: it chooses NumPy's sort)
import numpy as np  # noqa: E402

WIDTH, STEPS = 64, 20
KEPT = ("metrics", "features", "data", "training_items", "validation_mAP", "steps", "selected_step")
VARIANTS = {  # what a method's defaults do not reach
    "acmr_code": ("acmr", "--acmr_form=code"),
    "acmr_simple": ("acmr", "--acmr_form=code", "--code_loss=simple"),
    "cca_weighted": ("cca", "--weighting=text", "--components=5", "--class_split=random", "--class_seed=1"),
    "corr_ae_rbm": ("corr_ae", "--rbm_pretrain", "--rbm_steps=10", "--rbm_batch_size=50"),
    "danzcr_dadn": ("danzcr", "--schedule=dadn", "--recovery=l2_sum", "--d_steps=2"),
    "danzcr_epochs": ("danzcr", "--select=validation", "--epochs=2", "--steps=0"),
    "danzcr_no_dis": ("danzcr", "--variant=no_dis"),
    "danzcr_single": ("danzcr", "--variant=single"),
    "deep_sm_dropout": ("deep_sm", "--dropout_keep=0.5", "--precision=bfloat16"),
    "ms2gan_float16": ("ms2gan", "--precision=float16", "--adv_schedule=dann"),
    "ms2gan_literal": ("ms2gan", "--feature_norm=l2", "--contrastive_third=literal", "--steps_per_execution=5"),
}
REPLICAS = {f"{name}_mirrored": (name, "--strategy=mirrored", "--logical_devices=2") for name in ("danzcr", "ms2gan")}
THREE = {  # on generated features of image, text and audio
    "ms2gan_pairs": ("ms2gan",),
    "ms2gan_joint": ("ms2gan", "--joint"),
    "lcfs_joint": ("lcfs", "--joint"),
    "cca_of_three": ("cca", "--modalities=image,text"),
    "sdml_of_three": ("sdml", "--modalities=text,audio"),
}
WIKIPEDIA = {
    "wikipedia_cca": ("cca",),
    "wikipedia_danzcr": ("danzcr", "--image_features=sift128", "--text_features=lda10", "--feature_norm=l2"),
    "wikipedia_dscmr": ("dscmr", "--image_features=cnn128", "--text_features=tfidf1000", "--feature_norm=l2"),
    "wikipedia_jrl": ("jrl", "--image_features=sift128", "--text_features=lda10", "--transductive"),
    "wikipedia_sm": ("sm", "--split=random", "--split_sizes=2173,231,462"),
}


def main(arguments=None):
    """Runs the cases, writes --out and compares it with --compare. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="JSON file to write.")
    parser.add_argument("--compare", help="File of another version.")
    parser.add_argument("--manual_dir", help="Folder of Wikipedia's official files; without it no cases of these.")
    parser.add_argument("--word_vectors", help="Word vectors for DANZCR on Wikipedia.")
    parser.add_argument("--only", help="Cases whose names begin so, with commas between them.")
    options = parser.parse_args(arguments)
    wanted = tuple(options.only.split(",")) if options.only else ("",)
    found, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        cases = all_cases(folder, options.manual_dir, options.word_vectors)
        cases = {name: case for name, case in cases.items() if name.startswith(wanted)}
        for i, (name, arguments) in enumerate(cases.items(), 1):
            print(f"{i}/{len(cases)} {name}", flush=True)
            run_dir, alone = folder / "runs" / name, name in REPLICAS
            text = train([*arguments, f"--run_dir={run_dir}"], alone)
            if text:
                print(text)
                failed.append(name)
            else:
                found[name] = outcome(run_dir)
    pathlib.Path(options.out).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"{len(found)} cases in {options.out}; failed: {', '.join(failed) or 'none'}")
    if not options.compare:
        return int(bool(failed))
    before = json.loads(pathlib.Path(options.compare).read_text())
    different = compare({n: c for n, c in before.items() if n.startswith(wanted)}, found)
    print("\n".join(different) or "nothing differs")
    return int(bool(different or failed))


def all_cases(folder, manual_dir=None, word_vectors=None):
    """The arguments of `tfxmr train` by case, without --run_dir; writes the generated features into `folder`."""
    from tfxmr.core import registry

    generate(folder / "three")
    cases = {}
    for name, (method, *flags) in ({n: (n,) for n in registry.names()} | VARIANTS | REPLICAS).items():
        protocol = "zero_shot" if registry.get(method).zero_shot else "standard"
        cases[name] = [f"--model={method}", *small(method), "--dataset=scenes", f"--protocol={protocol}", *flags]
    for name, (method, *flags) in THREE.items():
        source = ["--dataset=npz", f"--data_dir={folder / 'three'}", "--protocol=standard"]
        cases[name] = [f"--model={method}", *small(method), *source, *flags]
    for name, (method, *flags) in (WIKIPEDIA if manual_dir else {}).items():
        needs = registry.get(method).needs_class_embeddings
        if needs and not word_vectors:
            continue
        how = ["--protocol=zero_shot", f"--word_vectors={word_vectors}"] if needs else ["--protocol=standard"]
        source = ["--dataset=wikipedia", f"--manual_dir={manual_dir}"]
        cases[name] = [f"--model={method}", *small(method), *source, *how, *flags]
    return dict(sorted(cases.items()))


def small(method):
    """Flags that shorten a method's training: its widths at most WIDTH, few steps, few landmarks."""
    from tfxmr.core import registry

    found = []
    for field in dataclasses.fields(registry.get(method).Settings):
        if field.name == "steps":
            found.append(f"--steps={STEPS}")
        elif field.name == "landmarks":
            found.append("--landmarks=300")
        elif isinstance(field.default, tuple) and field.default and isinstance(field.default[0], int):
            found.append(f"--{field.name}={','.join(str(min(width, WIDTH)) for width in field.default)}")
    return found


def generate(folder):
    """Writes features of image, text and audio, 8 classes, as --dataset=npz reads them."""
    rng = np.random.default_rng(0)
    means = {m: rng.normal(size=(8, d)) for m, d in {"image": 40, "text": 30, "audio": 20}.items()}
    folder.mkdir()
    for split, items in {"train": 240, "test": 80}.items():
        label = np.arange(items) % 8
        rows = {m: mean[label] + 2 * rng.normal(size=(items, mean.shape[1])) for m, mean in means.items()}
        np.savez(folder / f"{split}.npz", label=label, **rows)


def train(arguments, alone):
    """Runs `tfxmr train`, `alone` in a process of its own. Returns what it printed if it failed, else ""."""
    if alone:  # TensorFlow's logical devices are set before it starts
        done = subprocess.run([sys.executable, "-m", "tfxmr", "train", *arguments], capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else ""
    from tfxmr.__main__ import main as command
    from tfxmr.engine import memory

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = command(["train", *arguments])
    memory.free()
    return printed.getvalue() if status else ""


def outcome(run_dir):
    """What is compared of a run: parts of its results.json, and a digest of each weight or fitted array by its key."""
    results = json.loads((run_dir / "results.json").read_text())
    return {name: results[name] for name in KEPT if name in results} | {"weights": weights(run_dir)}


def weights(run_dir):
    """Path in the run folder and key -> SHA-256 of dtype, shape and bytes."""
    import tensorflow as tf

    found = {}
    for path in sorted(run_dir.rglob("checkpoints/final/networks.index")):
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        for key in reader.get_variable_to_shape_map():
            if key.startswith("networks/"):
                short = key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
                found[f"{path.parents[2].relative_to(run_dir)}: {short}"] = digest(reader.get_tensor(key))
    for path in sorted(run_dir.rglob("checkpoints/arrays.npz")):
        with np.load(path) as arrays:
            found |= {f"{path.parents[1].relative_to(run_dir)}: {key}": digest(arrays[key]) for key in arrays.files}
    return found


def digest(array):
    """SHA-256 of an array, its dtype and its shape."""
    return hashlib.sha256(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def compare(before, after, path=""):
    """Lines that say where two nested values differ, [] if they are the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [line for key in sorted(before | after)
                for line in compare(before.get(key, "nothing"), after.get(key, "nothing"), f"{path}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, pair in pairs for line in compare(*pair, f"{path}/{i}")]
    return [] if before == after else [f"{path}: {str(before)[:80]} -> {str(after)[:80]}"]


if __name__ == "__main__":
    sys.exit(main())
