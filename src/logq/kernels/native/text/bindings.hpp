// What Python sees of the reading of text.

#pragma once

#include <nanobind/nanobind.h>

namespace logq {

void bind_text(nanobind::module_ &module);

}  // namespace logq
