// Memory that is asked for before it is needed: to be written as well, or to be read only.

#pragma once

#if defined(LOGQ_SANITIZED) || !(defined(__GNUC__) || defined(__clang__))
#define LOGQ_PREFETCH(address) static_cast<void>(address)
#define LOGQ_PREFETCH_READ(address) static_cast<void>(address)
#else
#define LOGQ_PREFETCH(address) __builtin_prefetch((address), 1, 3)
#define LOGQ_PREFETCH_READ(address) __builtin_prefetch((address), 0, 3)
#endif
