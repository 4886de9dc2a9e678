// The parts of the module, each bound in a file beside what it binds.

#pragma once

#include <nanobind/nanobind.h>

#include <stdexcept>
#include <string>

namespace logq {

// What arguments must be like.
inline void expect(bool holds, const std::string &message) {
    if (!holds) throw std::invalid_argument(message);
}

void bind_losses(nanobind::module_ &module);
void bind_ngrams(nanobind::module_ &module);
void bind_rows(nanobind::module_ &module);
void bind_sampling(nanobind::module_ &module);
void bind_text(nanobind::module_ &module);
void bind_word2vec(nanobind::module_ &module);

}  // namespace logq
