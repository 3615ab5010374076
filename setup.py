"""tfxmr: cross-media retrieval on TensorFlow 2.

The folders `datasets/` and `flags/` are installed as `tfxmr_datasets` and `tfxmr_flags`, so that
they clash with no other package of those common names.
"""
import setuptools

PACKAGE_DIRS = {"tfxmr_datasets": "datasets", "tfxmr_flags": "flags"}


def packages():
    """Lists the packages: tfxmr as it stands, datasets/ and flags/ under their installed names."""
    names = setuptools.find_packages(include=["tfxmr", "tfxmr.*"])
    for name, folder in PACKAGE_DIRS.items():
        names.append(name)
        names.extend(f"{name}.{sub}" for sub in setuptools.find_packages(folder))
    return names


setuptools.setup(
    name="tfxmr",
    version="0.1.0",
    description="Cross-media retrieval: many methods, one protocol, on TensorFlow 2",
    python_requires=">=3.11",
    packages=packages(),
    package_dir={"": ".", **PACKAGE_DIRS},
    package_data={
        "tfxmr": ["py.typed", "search/page/templates/*.html", "search/page/static/*"],
        "tfxmr_datasets": ["*/*.md", "*/*.bib", "*/*.txt", "*/*.tsv", "*/*.list"],
        "tfxmr_flags": ["*/*.cfg"],
    },
    install_requires=[
        "absl-py>=2.5",
        "flask>=3.1",  # with jinja2 and werkzeug: the page of `tfxmr search --web`
        "gensim>=4.4",
        "h5py>=3.14",
        "importlib_resources>=7.1",  # imported by tensorflow-datasets, which does not declare it
        "jinja2>=3.1",
        "keras>=3.15",
        "keras-tuner>=1.4.8",
        "matplotlib>=3.11",
        "numpy>=2.4",
        "pillow>=12.1",  # Apache Beam wants pillow<13
        "pyarrow>=20.0",  # which tensorflow-datasets brings
        "rich>=15.0",
        "safetensors>=0.6",
        "scikit-image>=0.26",
        "scikit-learn>=1.9",
        "scipy>=1.17",
        "tensorboard>=2.21",  # imported by tf.summary and Keras Tuner; tensorflow 2.21 brings it no longer
        "tensorflow>=2.21",
        "tensorflow-datasets>=4.9.10",
        "threadpoolctl>=3.8",  # which scikit-learn brings
        "werkzeug>=3.1",
    ],
    extras_require={
        "beam": ["apache-beam>=2.77"],  # tfxmr extract --engine=beam
        "bench": ["faiss-cpu>=1.15", "torch>=2.13"],  # rivals of benchmarks/search.py and training_step.py
        "docs": [  # make docs
            "furo>=2025.12", "ipykernel>=7.4", "myst-nb>=1.4", "sphinx>=9.0", "sphinx-copybutton>=0.5",
        ],
        "fast": ["numba>=0.68"],  # several times faster ranking of large galleries
        "milvus": ["pymilvus[milvus-lite]>=3.0"],  # an index in Milvus Lite or a Milvus server
        "onnx": ["onnx>=1.23", "onnxruntime>=1.32", "tf2onnx>=1.17"],  # tfxmr export --formats=onnx, and what it wrote
        "test": [
            "dill>=0.4", "hypothesis>=6.170", "import-linter>=2.17", "mypy>=2.4", "numba>=0.68", "pytest>=9.2",
            "pytest-xdist>=3.8", "ruff>=0.17",
        ],
    },
    entry_points={"console_scripts": ["tfxmr = tfxmr.__main__:run"]},
)
