/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - ownership by scope.
 *
 * An owning local carries a cleanup attribute and starts NULL or -1; it escapes only through TAKE_PTR or TAKE_FD.
 * DEFINE_CLEANUP(foo, struct foo *, foo_free) gives `_cleanup_(foo)`.
 */
#ifndef ISTHMUS_CLEANUP_H
#define ISTHMUS_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(name) __attribute__((cleanup(cleanup_##name)))

#define DEFINE_CLEANUP(name, type, function)                                                                           \
	static inline void cleanup_##name(type *p)                                                                     \
	{                                                                                                              \
		if (*p)                                                                                                \
			function(*p);                                                                                  \
	}

#define TAKE_PTR(p)                                                                                                    \
	({                                                                                                             \
		__typeof__(p) taken_ = (p);                                                                            \
		(p) = NULL;                                                                                            \
		taken_;                                                                                                \
	})

#define TAKE_FD(fd)                                                                                                    \
	({                                                                                                             \
		int taken_ = (fd);                                                                                     \
		(fd) = -1;                                                                                             \
		taken_;                                                                                                \
	})

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

DEFINE_CLEANUP(file, FILE *, fclose)

#endif
