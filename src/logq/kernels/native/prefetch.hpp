// Memory that is asked for before it is needed: to be written as well, or to be read only.

#pragma once

#if defined(LOGQ_SANITIZED) || !(defined(__GNUC__) || defined(__clang__))
#define LOGQ_PREFETCH(address) static_cast<void>(address)
#define LOGQ_PREFETCH_READ(address) static_cast<void>(address)
#else
// GCC takes a function that does nothing but prefetch for one without effect, and drops calls of it; not with an asm in it.
#define LOGQ_PREFETCH_AS(address, write)                                                           \
    do {                                                                                           \
        __asm__ volatile("");                                                                      \
        __builtin_prefetch((address), write, 3);                                                   \
    } while (false)
#define LOGQ_PREFETCH(address) LOGQ_PREFETCH_AS(address, 1)
#define LOGQ_PREFETCH_READ(address) LOGQ_PREFETCH_AS(address, 0)
#endif
