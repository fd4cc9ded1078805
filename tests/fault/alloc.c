/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for LD_PRELOAD: lets one allocation of isthmusd fail, the n-th from a moment on that somebody outside sets.
 *
 * ALLOC_FAULT names a file that holds struct control (alloc.py makes it); it is shared memory, mapped before main(), so
 * that it works in the daemon's sandbox.  All allocators that programs and libraries call are covered, also those that
 * libc calls for others (asprintf, open_memstream, fopen): inside libc they go through malloc as well.  In a build with
 * AddressSanitizer this comes first and calls the sanitizer's allocator (ASAN_OPTIONS=verify_asan_link_order=0).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct control {
	uint64_t count;   /* allocations since it was last set to 0 */
	uint64_t fail_at; /* the one that fails; 0 = none */
	uint64_t fail_n;  /* and how many in a row */
	uint64_t fired;   /* how many failed */
	char where[64];   /* the return address of the last one: object and offset in it */
};

static struct control *control;

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("ALLOC_FAULT");
	void *memory;
	int fd;

	/* Not in what starts the daemon (nsenter). */
	if (!path || strncmp(program_invocation_short_name, "isthmusd", 8) != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	memory = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		control = memory;
}

static void note(const void *caller)
{
	Dl_info info;
	const char *slash;

	if (!dladdr(caller, &info) || !info.dli_fname)
		return;
	slash = strrchr(info.dli_fname, '/');
	snprintf(control->where, sizeof(control->where), "%s+0x%lx", slash ? slash + 1 : info.dli_fname,
		 (unsigned long)((const char *)caller - (const char *)info.dli_fbase));
}

static int fails(const void *caller)
{
	uint64_t n;

	if (!control)
		return 0;
	n = __atomic_add_fetch(&control->count, 1, __ATOMIC_RELAXED);
	if (!control->fail_at || n < control->fail_at || n >= control->fail_at + control->fail_n)
		return 0;
	control->fired++;
	note(caller);
	errno = ENOMEM;
	return 1;
}

/* The next definition of a function: the sanitizer's, or libc's. */
#define NEXT(type, name, ...)                                                                                          \
	static type (*next)(__VA_ARGS__);                                                                              \
	if (!next)                                                                                                     \
	next = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define CALLER __builtin_return_address(0)

EXPORT void *malloc(size_t size)
{
	NEXT(void *, malloc, size_t);
	return fails(CALLER) ? NULL : next(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	NEXT(void *, calloc, size_t, size_t);
	return fails(CALLER) ? NULL : next(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	NEXT(void *, realloc, void *, size_t);
	return fails(CALLER) ? NULL : next(p, size);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	NEXT(void *, reallocarray, void *, size_t, size_t);
	return fails(CALLER) ? NULL : next(p, n, size);
}

EXPORT char *strdup(const char *s)
{
	NEXT(char *, strdup, const char *);
	return fails(CALLER) ? NULL : next(s);
}

EXPORT char *strndup(const char *s, size_t n)
{
	NEXT(char *, strndup, const char *, size_t);
	return fails(CALLER) ? NULL : next(s, n);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	NEXT(int, posix_memalign, void **, size_t, size_t);
	return fails(CALLER) ? ENOMEM : next(out, alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	NEXT(void *, aligned_alloc, size_t, size_t);
	return fails(CALLER) ? NULL : next(alignment, size);
}
