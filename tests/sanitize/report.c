/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into isthmusd, isthmus and the unit tests when they are built with sanitizers (make test-asan), and only then:
 * whatever a sanitizer finds is written to a file of REPORT_DIR, which tests/run.py reads.  So a report counts although
 * the daemon was killed, its log was read by nobody, its environment was emptied, or its sandbox lets it open no file by
 * then: the file is opened before main().  Without the directory (another mount namespace) reports go to standard error.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <unistd.h>

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_leaks=1:detect_stack_use_after_return=1:check_initialization_order=1:"
	       "strict_init_order=1:allocator_may_return_null=1:handle_abort=1";
}

__attribute__((visibility("default"))) const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:halt_on_error=1";
}

/* gcc's UBSan is a library with a report file of its own; clang's is one with ASan. */
static void set_fd_of_ubsan(int fd)
{
	void *library = dlopen("libubsan.so.1", RTLD_LAZY | RTLD_NOLOAD);
	void (*set)(void *) = library ? (void (*)(void *))dlsym(library, "__sanitizer_set_report_fd") : NULL;

	if (set)
		set((void *)(long)fd);
}

__attribute__((constructor)) static void open_report(void)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.%d", REPORT_DIR, program_invocation_short_name, getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	__sanitizer_set_report_fd((void *)(long)fd);
	set_fd_of_ubsan(fd);
}
