/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pick OUT DIR... - copies to OUT the inputs in the directories that run a region of the source that none before ran.
 *
 * Linked with a target in place of libFuzzer's main.  libFuzzer's own -merge goes by branches of the machine code, which
 * has fewer of them than the source; what it throws away may be the only input that runs a line.  Small inputs first.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "fuzz.h"

/* compiler-rt/lib/profile/InstrProfiling.h */
uint64_t *__llvm_profile_begin_counters(void);
uint64_t *__llvm_profile_end_counters(void);
void __llvm_profile_reset_counters(void);

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

struct file {
	char path[PATH_MAX];
	size_t size;
};

static struct file *files;
static size_t n_files, room;
static bool *seen;

static void add_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;

	require(d, path);
	while ((e = readdir(d))) {
		if (n_files == room) {
			room = room ? 2 * room : 256;
			files = reallocarray(files, room, sizeof(*files));
			require(files, "memory");
		}
		snprintf(files[n_files].path, PATH_MAX, "%s/%s", path, e->d_name);
		if (stat(files[n_files].path, &st) == 0 && S_ISREG(st.st_mode))
			files[n_files++].size = (size_t)st.st_size;
	}
	closedir(d);
}

static int by_size(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : strcmp(x->path, y->path);
}

static size_t count_new(void)
{
	const uint64_t *counter = __llvm_profile_begin_counters();
	size_t n = 0;

	for (size_t i = 0; counter + i < __llvm_profile_end_counters(); i++) {
		if (!counter[i] || seen[i])
			continue;
		seen[i] = true;
		n++;
	}
	return n;
}

static void write_input(const char *folder, const uint8_t *data, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325;
	char path[PATH_MAX];
	FILE *f;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 0x100000001b3;
	snprintf(path, sizeof(path), "%s/%016lx", folder, hash);
	f = fopen(path, "wb");
	require(f && fwrite(data, 1, size, f) == size && fclose(f) == 0, path);
}

int main(int argc, char **argv)
{
	size_t kept = 0, n;

	require(argc > 2, "pick OUT DIR...");
	for (int i = 2; i < argc; i++)
		add_directory(argv[i]);
	qsort(files, n_files, sizeof(*files), by_size);
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	n = (size_t)(__llvm_profile_end_counters() - __llvm_profile_begin_counters());
	seen = calloc(n, sizeof(*seen));
	require(seen, "memory");
	for (size_t i = 0; i < n_files; i++) {
		uint8_t *data = malloc(files[i].size + 1);
		FILE *f = fopen(files[i].path, "rb");

		require(data && f && fread(data, 1, files[i].size, f) == files[i].size, files[i].path);
		fclose(f);
		__llvm_profile_reset_counters();
		LLVMFuzzerTestOneInput(data, files[i].size);
		if (count_new()) {
			write_input(argv[1], data, files[i].size);
			kept++;
		}
		free(data);
	}
	printf("%zu of %zu inputs\n", kept, n_files);
	return 0;
}
