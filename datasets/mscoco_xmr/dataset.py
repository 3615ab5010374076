"""MSCOCO (Lin et al. 2014): images with five sentences each."""
from tfxmr.extraction.image_text import ImageTextDataset, Source

_KARPATHY = {"train": "train+restval", "validation": "validation", "test": "test"}
_OFFICIAL = {"train": "train", "test": "validation"}  # the sentences of the official test images are not public

MSCOCO = ImageTextDataset(
    name="mscoco",
    description="123,287 images with five sentences each, no classes (Lin et al., ECCV 2014)",
    package=__package__,
    text_items=("sentences", "joined"),
    splits=("karpathy", "karpathy_82783", "2014", "2017"),
    fitted_on="text: vocabulary and word weights on the training texts",
    instances=True,
    sources={
        "karpathy": Source("karpathy", _KARPATHY),
        "karpathy_82783": Source("karpathy", _KARPATHY | {"train": "train"}),
        "2014": Source("2014", _OFFICIAL),
        "2017": Source("2017", _OFFICIAL),
    },
)
