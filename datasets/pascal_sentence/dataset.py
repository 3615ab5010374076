"""The Pascal Sentence data set (Rashtchian et al. 2010): images with about five sentences each."""
from tfxmr.extraction.image_text import ImageTextDataset

PASCAL_SENTENCE = ImageTextDataset(
    name="pascal_sentence",
    description="1,000 images of 20 classes with five sentences each (Rashtchian et al., NAACL-HLT workshop 2010)",
    package=__package__,
    text_items=("joined", "sentences"),
    splits=("800_200", "800_100_100"),
    fitted_on="text: vocabulary and word weights on the training texts; image: on nothing",
)
