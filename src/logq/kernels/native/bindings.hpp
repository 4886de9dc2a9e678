// The parts of the module, each bound in a file beside what it binds.

#pragma once

#include <nanobind/nanobind.h>

namespace logq {

void bind_losses(nanobind::module_ &module);
void bind_rows(nanobind::module_ &module);
void bind_sampling(nanobind::module_ &module);
void bind_text(nanobind::module_ &module);
void bind_word2vec(nanobind::module_ &module);

}  // namespace logq
