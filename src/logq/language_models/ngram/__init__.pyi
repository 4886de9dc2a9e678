from .ngram import NGram as NGram
