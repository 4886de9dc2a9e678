// Memory that numpy takes over.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace logq {

template <typename Scalar>
using Column = nanobind::ndarray<nanobind::numpy, Scalar, nanobind::ndim<1>, nanobind::c_contig>;

// Hands the memory over to a numpy array, which frees it.
template <typename Scalar> Column<Scalar> give(std::vector<Scalar> values) {
    auto kept = std::make_unique<std::vector<Scalar>>(std::move(values));
    Scalar *data = kept->data();
    const std::size_t size = kept->size();
    nanobind::capsule owner(kept.get(),
                            [](void *memory) noexcept { delete static_cast<std::vector<Scalar> *>(memory); });
    kept.release();
    return Column<Scalar>(data, {size}, owner);
}

}  // namespace logq
