"""Results as text."""
import numpy as np


def describe(data, protocol):
    """Says in a few lines what will be measured: data, features, classes, protocol.

    Args:
      data: MultiModalData.
      protocol: tfxmr.data.protocol.Protocol.
    """
    features = ", ".join(
        f"{m} {data.features.get(m, {}).get('name', 'features')} ({data.dims[m]})" for m in data.modalities
    )
    sizes = ", ".join(f"{name} {len(split)}" for name, split in data.splits.items())
    lines = [f"dataset    {data.name}: {features}; {sizes}"]
    facts = protocol.facts(data)
    unseen = facts.pop("unseen")
    lines.append("protocol   " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    if unseen:
        lines.append(f"unseen     {', '.join(map(str, unseen))}")
    return "\n".join(lines)


def metrics_table(metrics):
    """A plain text table of metrics, with the average of the two directions of each class group.

    Args:
      metrics: list of dicts as `tfxmr.evaluation.evaluate` gives them.
    """
    lines = [f"{'task':16} {'classes':8} {'metric':7} {'value':>6} {'chance':>7} {'queries':>8} {'gallery':>8}"]
    groups = {}
    for m in metrics:
        groups.setdefault((m["classes"], m["metric"]), []).append(m)
        lines.append(
            f"{m['task']:16} {m['classes']:8} {m['metric']:7} {m['value']:6.3f} {m['chance']:7.3f} "
            f"{m['num_queries']:8} {m['gallery_size']:8}"
        )
    for (classes, metric), group in groups.items():
        value, chance = (float(np.mean([m[key] for m in group])) for key in ("value", "chance"))
        lines.append(f"{'average':16} {classes:8} {metric:7} {value:6.3f} {chance:7.3f}")
    return "\n".join(lines)
