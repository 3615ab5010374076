"""Small made-up data, for tests and for the programs that tests start."""
import numpy as np

from tfxmr.data import MultiModalData, Split


def paired_data(train=60, test=30, classes=5, dims=None, names=True, noise=0.3, seed=0):
    """Paired data: the features of class c scatter around its own mean in every modality."""
    rng = np.random.default_rng(seed)
    dims = dims or {"image": 6, "text": 4}
    means = {m: rng.normal(size=(classes, d)) for m, d in dims.items()}

    def split(size, name):
        labels = np.arange(size) % classes
        features = {m: means[m][labels] + noise * rng.normal(size=(size, d)) for m, d in dims.items()}
        return Split.of_pairs(features, labels, [f"{name} {i}" for i in range(size)])

    return MultiModalData(
        name="made up",
        splits={"train": split(train, "train"), "test": split(test, "test")},
        class_names=[f"class {c}" for c in range(classes)] if names else [],
        class_embeddings=rng.normal(size=(classes, 3)).astype(np.float32) if names else None,
        features={m: {"name": f"{m} features"} for m in dims},
    )


def metric(task, classes, value, chance):
    return {"task": task, "classes": classes, "metric": "mAP", "value": value, "chance": chance,
            "num_queries": 317, "gallery_size": 984}


def result(model, value, seed=0, dataset="wikipedia", sizes=None, metrics=None, **protocol_facts):
    facts = {"name": "standard", "gallery": "test", "unseen": [], "cut": None} | protocol_facts
    metrics = metrics or [metric("image->text", "all", value, 0.1) | (sizes or {})]
    return {"model": model, "dataset": dataset, "seed": seed, "protocol": facts, "metrics": metrics}
