"""Flickr30k (Young et al. 2014): images with five sentences each."""
from tfxmr.extraction.image_text import ImageTextDataset

FLICKR30K = ImageTextDataset(
    name="flickr30k",
    description="31,014 images with five sentences each, no classes (Young et al., TACL 2014)",
    package=__package__,
    text_items=("sentences", "joined"),
    splits=("karpathy", "entities"),
    fitted_on="text: vocabulary and word weights on the training texts",
    instances=True,
    complete=("entities", "karpathy"),
)
