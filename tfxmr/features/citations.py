"""BibTeX of the features that a paper describes, by the names that runs keep of them; imports none of them."""
import inspect
import re

CLIP = """
@inproceedings{radford2021learning,
  author = {Alec Radford and Jong Wook Kim and Chris Hallacy and Aditya Ramesh and Gabriel Goh and Sandhini Agarwal
            and Girish Sastry and Amanda Askell and Pamela Mishkin and Jack Clark and Gretchen Krueger and Ilya
            Sutskever},
  title = {Learning Transferable Visual Models From Natural Language Supervision},
  booktitle = {International Conference on Machine Learning},
  pages = {8748--8763},
  year = {2021}
}
"""

# Of a feature's name, or of where word vectors come from, a regular expression -> BibTeX; a name may fit several.
PAPERS = {
    r"(?i)vgg1[69]": """
    @inproceedings{simonyan2015very,
      author = {Karen Simonyan and Andrew Zisserman},
      title = {Very Deep Convolutional Networks for Large-Scale Image Recognition},
      booktitle = {International Conference on Learning Representations},
      year = {2015}
    }
    """,
    r"ResNet\d+$": """
    @inproceedings{he2016deep,
      author = {Kaiming He and Xiangyu Zhang and Shaoqing Ren and Jian Sun},
      title = {Deep Residual Learning for Image Recognition},
      booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
      pages = {770--778},
      year = {2016}
    }
    """,
    r"descriptor": """
    @inproceedings{dalal2005histograms,
      author = {Navneet Dalal and Bill Triggs},
      title = {Histograms of Oriented Gradients for Human Detection},
      booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
      pages = {886--893},
      year = {2005}
    }
    """,
    r"sift\d+": """
    @article{lowe2004distinctive,
      author = {David G. Lowe},
      title = {Distinctive Image Features from Scale-Invariant Keypoints},
      journal = {International Journal of Computer Vision},
      volume = {60},
      number = {2},
      pages = {91--110},
      year = {2004}
    }
    """,
    r"lda\d+": """
    @article{blei2003latent,
      author = {David M. Blei and Andrew Y. Ng and Michael I. Jordan},
      title = {Latent {Dirichlet} Allocation},
      journal = {Journal of Machine Learning Research},
      volume = {3},
      pages = {993--1022},
      year = {2003}
    }
    """,
    r"doc2vec": """
    @inproceedings{le2014distributed,
      author = {Quoc Le and Tomas Mikolov},
      title = {Distributed Representations of Sentences and Documents},
      booktitle = {Proceedings of the 31st International Conference on Machine Learning},
      pages = {1188--1196},
      year = {2014}
    }
    """,
    r"(?i)word2vec|GoogleNews": """
    @article{mikolov2013efficient,
      author = {Tomas Mikolov and Kai Chen and Greg Corrado and Jeffrey Dean},
      title = {Efficient Estimation of Word Representations in Vector Space},
      journal = {arXiv:1301.3781},
      year = {2013}
    }
    """,
    r"(?i)glove": """
    @inproceedings{pennington2014glove,
      author = {Jeffrey Pennington and Richard Socher and Christopher D. Manning},
      title = {{GloVe}: Global Vectors for Word Representation},
      booktitle = {Proceedings of the Conference on Empirical Methods in Natural Language Processing},
      pages = {1532--1543},
      year = {2014}
    }
    """,
    r"hub:clip": CLIP,
    r"hub:siglip": """
    @inproceedings{zhai2023sigmoid,
      author = {Xiaohua Zhai and Basil Mustafa and Alexander Kolesnikov and Lucas Beyer},
      title = {Sigmoid Loss for Language Image Pre-Training},
      booktitle = {IEEE/CVF International Conference on Computer Vision},
      pages = {11975--11986},
      year = {2023}
    }
    """,
    r"hub:dinov2": """
    @article{oquab2024dinov2,
      author = {Maxime Oquab and Timoth{\\'e}e Darcet and Th{\\'e}o Moutakanni and others},
      title = {{DINOv2}: Learning Robust Visual Features without Supervision},
      journal = {Transactions on Machine Learning Research},
      year = {2024}
    }
    """,
    r"hub:vit_": """
    @inproceedings{dosovitskiy2021image,
      author = {Alexey Dosovitskiy and Lucas Beyer and Alexander Kolesnikov and Dirk Weissenborn and Xiaohua Zhai and
                Thomas Unterthiner and Mostafa Dehghani and Matthias Minderer and Georg Heigold and Sylvain Gelly and
                Jakob Uszkoreit and Neil Houlsby},
      title = {An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale},
      booktitle = {International Conference on Learning Representations},
      year = {2021}
    }
    """,
    r"hub:bert_": """
    @inproceedings{devlin2019bert,
      author = {Jacob Devlin and Ming-Wei Chang and Kenton Lee and Kristina Toutanova},
      title = {{BERT}: Pre-training of Deep Bidirectional Transformers for Language Understanding},
      booktitle = {Conference of the North American Chapter of the Association for Computational Linguistics},
      pages = {4171--4186},
      year = {2019}
    }
    """,
    r"hub:.*minilm": """
    @inproceedings{reimers2019sentence,
      author = {Nils Reimers and Iryna Gurevych},
      title = {{Sentence-BERT}: Sentence Embeddings using {Siamese} {BERT}-Networks},
      booktitle = {Conference on Empirical Methods in Natural Language Processing},
      pages = {3982--3992},
      year = {2019}
    }
    """,
    r"sentence_cnn": """
    @inproceedings{kim2014convolutional,
      author = {Yoon Kim},
      title = {Convolutional Neural Networks for Sentence Classification},
      booktitle = {Proceedings of the Conference on Empirical Methods in Natural Language Processing},
      pages = {1746--1751},
      year = {2014}
    }
    """,
}


def bibtex(name: str) -> str:
    """BibTeX of the papers that describe a feature; "" where none is known.

    Args:
      name: as the manifest of a run has it, such as "vgg19_fc7", or where word vectors come from.

    >>> bibtex("vgg19_fc7").splitlines()[0]
    '@inproceedings{simonyan2015very,'
    """
    return "\n".join(inspect.cleandoc(text) for pattern, text in PAPERS.items() if re.search(pattern, name))
