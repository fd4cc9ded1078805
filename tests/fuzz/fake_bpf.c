/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fuzz.h"

#define OBJECTS_MAX 128

struct element {
	bool live;
	uint8_t *key, *value;
};

struct fake_map {
	char name[BPF_OBJ_NAME_LEN];
	bool is_program;
	int fd; /* a memfd: its inode is how any copy of the descriptor is known */
	ino_t inode;
	uint32_t id, type, key_size, value_size, capacity, flags;
	uint8_t *area; /* of an array, shared with whoever maps the memfd */
	struct element *elements;
	size_t n, room; /* elements, dead ones included */
};

static struct {
	char dir[PATH_MAX];
	struct fake_map objects[OBJECTS_MAX];
	size_t n;
	uint32_t next_id;
	unsigned fail_in;
	int error;
	bool no_batch;
	uint64_t writes;
	int event_fd;
} now = {.event_fd = -1};

static int failed(int error)
{
	errno = -error;
	return error;
}

static int injected(void)
{
	if (!now.fail_in || --now.fail_in)
		return 0;
	return failed(-now.error);
}

/* ---- objects ---- */

static struct fake_map *by_fd(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	for (size_t i = 0; i < now.n; i++)
		if (now.objects[i].inode == st.st_ino)
			return &now.objects[i];
	return NULL;
}

static struct fake_map *by_id(uint32_t id)
{
	for (size_t i = 0; i < now.n; i++)
		if (now.objects[i].id == id)
			return &now.objects[i];
	return NULL;
}

static bool is_array(const struct fake_map *m)
{
	return m->type == BPF_MAP_TYPE_ARRAY || m->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static size_t cell_size(const struct fake_map *m)
{
	size_t rounded = (m->value_size + 7) & ~(size_t)7;

	return m->type == BPF_MAP_TYPE_PERCPU_ARRAY ? rounded * FAKE_CPUS : m->value_size;
}

static struct fake_map *new_object(const char *name)
{
	struct fake_map *m = &now.objects[now.n++];
	struct stat st;

	require(now.n < OBJECTS_MAX, "the fake kernel has room");
	*m = (struct fake_map){.fd = memfd_create(name, MFD_CLOEXEC), .id = now.next_id++};
	snprintf(m->name, sizeof(m->name), "%s", name);
	require(m->fd >= 0 && fstat(m->fd, &st) == 0, "a descriptor");
	m->inode = st.st_ino;
	return m;
}

static struct fake_map *new_map(const char *name, uint32_t type, uint32_t key_size, uint32_t value_size,
				uint32_t capacity, uint32_t flags)
{
	struct fake_map *m = new_object(name);

	m->type = type;
	m->key_size = key_size;
	m->value_size = value_size;
	m->capacity = capacity;
	m->flags = flags;
	if (!is_array(m))
		return m;
	require(ftruncate(m->fd, (off_t)(cell_size(m) * capacity)) == 0, "room for an array");
	m->area = mmap(NULL, cell_size(m) * capacity, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	require(m->area != MAP_FAILED, "room for an array");
	return m;
}

static void free_object(struct fake_map *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->elements[i].key);
	free(m->elements);
	if (m->area)
		munmap(m->area, cell_size(m) * m->capacity);
	close(m->fd);
}

/* ---- elements ---- */

static uint32_t prefix_bits(const struct fake_map *m, const uint8_t *key)
{
	uint32_t bits;

	memcpy(&bits, key, sizeof(bits));
	return bits;
}

static bool same_key(const struct fake_map *m, const uint8_t *a, const uint8_t *b)
{
	uint32_t bits;

	if (m->type != BPF_MAP_TYPE_LPM_TRIE)
		return memcmp(a, b, m->key_size) == 0;
	bits = prefix_bits(m, a);
	return bits == prefix_bits(m, b) && memcmp(a + 4, b + 4, bits / 8) == 0 &&
	       (bits % 8 == 0 || !((a[4 + bits / 8] ^ b[4 + bits / 8]) >> (8 - bits % 8)));
}

static struct element *find(struct fake_map *m, const void *key)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->elements[i].live && same_key(m, m->elements[i].key, key))
			return &m->elements[i];
	return NULL;
}

static uint8_t *array_cell(struct fake_map *m, const void *key)
{
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	return index < m->capacity ? m->area + index * cell_size(m) : NULL;
}

static int put(struct fake_map *m, const void *key, const void *value)
{
	struct element *e;
	size_t live = 0;

	if (is_array(m)) {
		if (!array_cell(m, key))
			return -E2BIG;
		memcpy(array_cell(m, key), value, cell_size(m));
		return 0;
	}
	if (m->type == BPF_MAP_TYPE_LPM_TRIE && prefix_bits(m, key) > (m->key_size - 4) * 8)
		return -EINVAL;
	e = find(m, key);
	if (!e) {
		for (size_t i = 0; i < m->n; i++)
			live += m->elements[i].live;
		if (live >= m->capacity)
			return m->type == BPF_MAP_TYPE_LPM_TRIE ? -ENOSPC : -E2BIG;
		if (m->n == m->room) {
			m->room = m->room ? 2 * m->room : 16;
			m->elements = reallocarray(m->elements, m->room, sizeof(*m->elements));
			require(m->elements, "memory");
		}
		e = &m->elements[m->n++];
		e->key = malloc(m->key_size + m->value_size);
		require(e->key, "memory");
		e->value = e->key + m->key_size;
		e->live = true;
		memcpy(e->key, key, m->key_size);
	}
	memcpy(e->value, value, m->value_size);
	return 0;
}

/* ---- libbpf: maps ---- */

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	now.writes++;
	r = put(m, key, value);
	return r < 0 ? failed(r) : 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();
	struct element *e;

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	e = is_array(m) ? NULL : find(m, key);
	if (!e)
		return failed(is_array(m) ? -EINVAL : -ENOENT);
	now.writes++;
	e->live = false;
	return 0;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();
	struct element *e;

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	if (is_array(m) && !array_cell(m, key))
		return failed(-ENOENT);
	e = is_array(m) ? NULL : find(m, key);
	if (!is_array(m) && !e)
		return failed(-ENOENT);
	memcpy(value, e ? e->value : array_cell(m, key), cell_size(m));
	return 0;
}

int bpf_map_get_next_key(int fd, const void *key, void *next)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();
	size_t i = 0;

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	for (size_t j = 0; key && j < m->n; j++)
		if (same_key(m, m->elements[j].key, key))
			i = j + 1;
	while (i < m->n && !m->elements[i].live)
		i++;
	if (i >= m->n)
		return failed(-ENOENT);
	memcpy(next, m->elements[i].key, m->key_size);
	return 0;
}

int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();
	uint32_t i = 0, n = 0;

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	if (now.no_batch || m->type == BPF_MAP_TYPE_LPM_TRIE)
		return failed(-524); /* the kernel's own ENOTSUPP */
	if (in)
		memcpy(&i, in, sizeof(i));
	for (; i < m->n && n < *count; i++) {
		if (!m->elements[i].live)
			continue;
		memcpy((uint8_t *)keys + (size_t)n * m->key_size, m->elements[i].key, m->key_size);
		memcpy((uint8_t *)values + (size_t)n * m->value_size, m->elements[i].value, m->value_size);
		n++;
	}
	*count = n;
	memcpy(out, &i, sizeof(i));
	return i >= m->n ? failed(-ENOENT) : 0;
}

int bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size, __u32 capacity,
		   const struct bpf_map_create_opts *opts)
{
	int r = injected();

	return r < 0 ? r : fcntl(new_map(name, type, key_size, value_size, capacity, 0)->fd, F_DUPFD_CLOEXEC, 3);
}

int bpf_map_get_fd_by_id(__u32 id)
{
	struct fake_map *m = by_id(id);

	return m ? fcntl(m->fd, F_DUPFD_CLOEXEC, 3) : failed(-ENOENT);
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *size)
{
	struct fake_map *m = by_fd(fd);
	int r = injected();

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	memset(info, 0, *size);
	if (m->is_program) {
		struct bpf_prog_info *p = info;

		p->id = m->id;
		memcpy(p->name, m->name, sizeof(p->name));
		return 0;
	}
	struct bpf_map_info *i = info;

	i->type = m->type;
	i->id = m->id;
	i->key_size = m->key_size;
	i->value_size = m->value_size;
	i->max_entries = m->capacity;
	i->map_flags = m->flags;
	memcpy(i->name, m->name, sizeof(i->name));
	return 0;
}

/* ---- libbpf: pins ---- */

int bpf_obj_pin(int fd, const char *path)
{
	struct fake_map *m = by_fd(fd);
	int r = injected(), file;

	if (r < 0 || !m)
		return r < 0 ? r : failed(-EBADF);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return failed(-errno);
	r = write(file, &m->id, sizeof(m->id)) == sizeof(m->id) ? 0 : failed(-EIO);
	close(file);
	return r;
}

static struct fake_map *pinned(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	uint32_t id = 0;

	if (file < 0)
		return NULL;
	if (read(file, &id, sizeof(id)) != sizeof(id))
		id = 0;
	close(file);
	return by_id(id);
}

int bpf_obj_get_opts(const char *path, const struct bpf_obj_get_opts *opts)
{
	struct fake_map *m = pinned(path);
	int r = injected();

	if (r < 0)
		return r;
	return m ? fcntl(m->fd, F_DUPFD_CLOEXEC, 3) : failed(-ENOENT);
}

int bpf_obj_get(const char *path)
{
	return bpf_obj_get_opts(path, NULL);
}

/* pin.c asks whether the directory is on a bpffs; open files are counted under both names. */
int __wrap_statfs(const char *path, struct statfs *out);
int __wrap_statfs64(const char *path, struct statfs *out);

int __wrap_statfs(const char *path, struct statfs *out)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	memset(out, 0, sizeof(*out));
	out->f_type = BPF_FS_MAGIC;
	return 0;
}

int __wrap_statfs64(const char *path, struct statfs *out)
{
	return __wrap_statfs(path, out);
}

/* ---- libbpf: the object ---- */

static struct {
	const void *of; /* the libbpf object that was loaded */
	struct fake_map *object;
} loaded[OBJECTS_MAX];

static struct fake_map **slot_of(const void *of)
{
	size_t i = 0;

	while (loaded[i].of && loaded[i].of != of)
		i++;
	require(i < OBJECTS_MAX - 1, "the fake kernel has room");
	loaded[i].of = of;
	return &loaded[i].object;
}

__u32 bpf_map__max_entries(const struct bpf_map *map)
{
	static __u32 (*real)(const struct bpf_map *map);
	__u32 n;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "bpf_map__max_entries");
	n = real(map);
	return n > FAKE_CAPACITY ? FAKE_CAPACITY : n;
}

int bpf_map__reuse_fd(struct bpf_map *map, int fd)
{
	*slot_of(map) = by_fd(fd);
	return injected();
}

int bpf_object__load_skeleton(struct bpf_object_skeleton *s)
{
	int r = injected();

	if (r < 0)
		return r;
	for (int i = 0; i < s->map_cnt; i++) {
		struct bpf_map *map = *s->maps[i].map;
		struct fake_map **slot = slot_of(map);

		if (!*slot)
			*slot = new_map(bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map),
					bpf_map__value_size(map), bpf_map__max_entries(map), bpf_map__map_flags(map));
	}
	for (int i = 0; i < s->prog_cnt; i++) {
		struct fake_map **slot = slot_of(*s->progs[i].prog);

		*slot = new_object(bpf_program__name(*s->progs[i].prog));
		(*slot)->is_program = true;
	}
	return 0;
}

/* Reading the ELF file takes longer than all of the rest: it is done once, and everybody gets that one. */
int bpf_object__open_skeleton(struct bpf_object_skeleton *s, const struct bpf_object_open_opts *opts)
{
	static int (*real)(struct bpf_object_skeleton *s, const struct bpf_object_open_opts *opts);
	static struct bpf_object *opened;
	static void *areas[OBJECTS_MAX];
	int r = injected();

	if (r < 0)
		return r;
	if (!opened) {
		*(void **)&real = dlsym(RTLD_NEXT, "bpf_object__open_skeleton");
		require(real(s, opts) == 0, "the BPF object opens");
		opened = *s->obj;
		for (int i = 0; i < s->map_cnt; i++)
			areas[i] = s->maps[i].mmaped ? *s->maps[i].mmaped : NULL;
		return 0;
	}
	*s->obj = opened;
	for (int i = 0; i < s->map_cnt; i++) {
		*s->maps[i].map = bpf_object__find_map_by_name(opened, s->maps[i].name);
		if (s->maps[i].mmaped)
			*s->maps[i].mmaped = areas[i];
	}
	for (int i = 0; i < s->prog_cnt; i++)
		*s->progs[i].prog = bpf_object__find_program_by_name(opened, s->progs[i].name);
	return 0;
}

/* Nor is the file hashed more than once. */
uint64_t __real_hash_stable(const void *data, size_t size);
uint64_t __wrap_hash_stable(const void *data, size_t size);

uint64_t __wrap_hash_stable(const void *data, size_t size)
{
	static const void *known;
	static uint64_t hash;

	if (size < 65536)
		return __real_hash_stable(data, size);
	if (known != data)
		hash = __real_hash_stable(data, size);
	known = data;
	return hash;
}

void bpf_object__destroy_skeleton(struct bpf_object_skeleton *s)
{
	memset(loaded, 0, sizeof(loaded));
	if (!s)
		return;
	free(s->maps);
	free(s->progs);
	free(s);
}

int bpf_map__fd(const struct bpf_map *map)
{
	struct fake_map *m = *slot_of(map);

	return m ? m->fd : -1;
}

int bpf_program__fd(const struct bpf_program *program)
{
	struct fake_map *m = *slot_of(program);

	return m ? m->fd : -1;
}

int bpf_prog_load(enum bpf_prog_type type, const char *name, const char *license, const struct bpf_insn *insns,
		  size_t count, const struct bpf_prog_load_opts *opts)
{
	return failed(-EPERM); /* probes get no answer */
}

int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts)
{
	return failed(-EPERM);
}

/* ---- libbpf: filters, the ring, processors ---- */

int bpf_tc_hook_create(struct bpf_tc_hook *hook)
{
	return 0;
}

int bpf_tc_hook_destroy(struct bpf_tc_hook *hook)
{
	return 0;
}

int bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *opts)
{
	return injected();
}

int bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *opts)
{
	return injected();
}

struct ring_buffer *ring_buffer__new(int fd, ring_buffer_sample_fn fn, void *context,
				     const struct ring_buffer_opts *opts)
{
	static char ring;

	return injected() < 0 ? NULL : (struct ring_buffer *)&ring;
}

void ring_buffer__free(struct ring_buffer *ring)
{
}

int ring_buffer__consume(struct ring_buffer *ring)
{
	return 0;
}

int ring_buffer__epoll_fd(const struct ring_buffer *ring)
{
	return now.event_fd;
}

int libbpf_num_possible_cpus(void)
{
	return FAKE_CPUS;
}

/* ---- for the targets ---- */

static void pin_path(const char *pin, char out[static PATH_MAX])
{
	require(snprintf(out, PATH_MAX, "%s/%s", now.dir, pin) < PATH_MAX, "a path");
}

static void clear_directory(void)
{
	DIR *d = opendir(now.dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

void fake_bpf_init(const char *dir)
{
	snprintf(now.dir, sizeof(now.dir), "%s", dir);
	now.event_fd = eventfd(0, EFD_CLOEXEC);
	fake_bpf_reset();
}

void fake_bpf_reset(void)
{
	for (size_t i = 0; i < now.n; i++)
		free_object(&now.objects[i]);
	now.n = 0;
	now.next_id = 1;
	now.no_batch = false;
	now.fail_in = 0;
	memset(loaded, 0, sizeof(loaded));
	mkdir(now.dir, 0700);
	clear_directory();
}

void fake_bpf_fini(void)
{
	clear_directory();
	rmdir(now.dir);
}

struct fake_map *fake_map_pinned(const char *pin)
{
	char path[PATH_MAX];

	pin_path(pin, path);
	return pinned(path);
}

size_t fake_map_key_size(const struct fake_map *m)
{
	return m->key_size;
}

size_t fake_map_value_size(const struct fake_map *m)
{
	return cell_size(m);
}

bool fake_map_put(struct fake_map *m, const void *key, const void *value)
{
	return put(m, key, value) == 0;
}

bool fake_map_remove(struct fake_map *m, const void *key)
{
	struct element *e = is_array(m) ? NULL : find(m, key);

	if (e)
		e->live = false;
	return e;
}

bool fake_map_next(const struct fake_map *m, size_t *cursor, const void **key, void **value)
{
	static uint32_t index;

	if (is_array(m)) {
		if (*cursor >= m->capacity)
			return false;
		index = (uint32_t)*cursor;
		*key = &index;
		*value = m->area + (*cursor)++ * cell_size(m);
		return true;
	}
	while (*cursor < m->n && !m->elements[*cursor].live)
		++*cursor;
	if (*cursor >= m->n)
		return false;
	*key = m->elements[*cursor].key;
	*value = m->elements[(*cursor)++].value;
	return true;
}

void fake_map_reshape(struct fake_map *m, uint32_t value_size)
{
	if (!is_array(m) && value_size && value_size <= m->value_size)
		m->value_size = value_size;
}

void fake_unpin(const char *pin)
{
	char path[PATH_MAX];

	pin_path(pin, path);
	unlink(path);
}

void fake_rename_pin(const char *pin, const char *to)
{
	char from[PATH_MAX], other[PATH_MAX];

	pin_path(pin, from);
	pin_path(to, other);
	rename(from, other);
}

void fake_bpf_fail(unsigned nth, int error)
{
	now.fail_in = nth;
	now.error = error;
}

void fake_bpf_no_batch(bool none)
{
	now.no_batch = none;
}

uint64_t fake_bpf_writes(void)
{
	return now.writes;
}
