# %% [markdown]
# # Words in five minutes
#
# From a text to vectors of its words, using a text that comes with Python: nothing is downloaded. Install with `pip
# install logq` and run the cells one after the other, or this file as a program.
#
# The text is Python's own documentation, as lists of words in lower case: the language reference and the docstrings
# of the standard library. A text of yours is a path: `"corpus.txt"`, `"corpus.txt.gz"`, `"parts/*.txt"`.

# %%
from logq.text import python_reference

sentences = python_reference()
print(f"{len(sentences):,} sentences, {sum(map(len, sentences)):,} words")
print(" ".join(sentences[100]))

# %% [markdown]
# ## Train
#
# Skip-gram with negative sampling, in the compiled engine. Settings that are not given follow from the size of the
# text and are printed. While it trains, one line shows the progress, the epoch and the time left.

# %%
from logq import Word2Vec

model = Word2Vec(dim=64, epochs=15, seed=1).fit(sentences)
model

# %% [markdown]
# ## Query
#
# `model.vectors` is a `KeyedVectors`, with the names that people know from gensim. Neighbors are exact, by cosine.

# %%
vectors = model.vectors
vectors.most_similar("socket", topn=5)

# %% [markdown]
# Several questions at once, as a data frame of pandas or polars where one of them is installed (`logq.to_frame`), or
# by hand:

# %%
for word in ("file", "exception", "thread"):
    near = ", ".join(name for name, _ in vectors.most_similar(word, topn=6))
    print(f"{word:10} {near}")

# %% [markdown]
# Which word does not belong, and how close are two words?

# %%
print(vectors.doesnt_match(["int", "float", "complex", "socket"]))
print(round(vectors.similarity("read", "write"), 3), round(vectors.similarity("read", "metaclass"), 3))

# %% [markdown]
# ## Save
#
# A folder holds the vectors as safetensors, and opens without torch. `save_word2vec_format` writes what gensim reads.

# %%
from logq import KeyedVectors

vectors.save("vectors")
KeyedVectors.load("vectors")

# %% [markdown]
# ## Use in a model
#
# `embedding()` is a layer of torch that starts from the vectors; row i belongs to `index_to_key[i]`.

# %%
import torch

layer = vectors.embedding(freeze=False)
ids = torch.tensor([vectors.key_to_index[word] for word in ("open", "the", "file")])
layer(ids).shape

# %% [markdown]
# ## The same in a shell
#
#     logq train word2vec corpus.txt -o vectors
#     logq neighbors vectors socket file
#     logq map vectors -o map.html
#
# Next: [word vectors](../words.md) has subwords, phrases, other objectives and how to measure the quality of vectors;
# [serving](../serving.md) answers such questions over HTTP.
