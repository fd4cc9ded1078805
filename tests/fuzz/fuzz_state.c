/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the files that a start reads: the configuration, the snapshot (fabric.yaml) and the run-time ports.
 *
 *	byte 0		enum option
 *	rest		configuration, NUL, fabric.yaml, NUL, ports.yaml
 *
 * Rules: the start has a configuration that names this node, or none and says so; its text is one of the two that were
 * given, loads again as its equal, and comes from the snapshot only when that is as it was written and no newer file
 * speaks against it.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "agent/snapshot.h"
#include "agent/state.h"
#include "conf/conf.h"
#include "fuzz.h"
#include "lib/hmap.h"

#define NODE "n1"
#define CONFIG "isthmus.yaml"
#define HEADER "# isthmusd 1 "
#define HASH_SIZE 16 /* digits of a hash in the first line */

enum option {
	OPTION_NO_CONFIG = 1,
	OPTION_NO_FABRIC = 2,
	OPTION_NO_PORTS = 4,
	OPTION_OFFLINE = 8,
	OPTION_TRUE_TEXT = 16, /* "text=" of the first line is made right */
	OPTION_TRUE_FILE = 32, /* and "config=" */
	OPTION_UNREADABLE = 64, /* fabric.yaml is a directory: neither read nor replaced */
	OPTION_WRITTEN = 128, /* fabric.yaml holds a text: snapshot_write makes the file */
};

static char directory[64], configuration[128];

static void clean_up(void)
{
	static const char *const names[] = {CONFIG, "fabric.yaml", "ports.yaml"};

	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		remove(path);
	}
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	snprintf(directory, sizeof(directory), "/dev/shm/isthmus-fuzz-XXXXXX");
	require(mkdtemp(directory), "a directory to work in");
	snprintf(configuration, sizeof(configuration), "%s/" CONFIG, directory);
	atexit(clean_up);
	stderr = fopen("/dev/null", "w"); /* what a start says is of no interest */
	log_set_file("/dev/null");
	return 0;
}

static void put_file(const char *name, const struct input *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	require(f && fwrite(text->data, 1, text->size, f) == text->size && fclose(f) == 0, "a file to work with");
}

static void set_hash(char *line, const char *key, uint64_t hash)
{
	char *at = strstr(line, key), digits[HASH_SIZE + 1];

	if (!at || strcspn(at + strlen(key), " \n") != HASH_SIZE)
		return;
	snprintf(digits, sizeof(digits), "%016" PRIx64, hash);
	memcpy(at + strlen(key), digits, HASH_SIZE);
}

/* No fuzzer guesses a hash: with the options the first line is made to fit. */
static void mend(struct input *fabric, uint8_t options, const struct input *config)
{
	static char *copy;
	char *line_end;

	free(copy);
	copy = malloc(fabric->size + 1);
	require(copy, "memory");
	memcpy(copy, fabric->data, fabric->size);
	copy[fabric->size] = 0;
	line_end = strchr(copy, '\n');
	if (line_end) {
		*line_end = 0;
		if (options & OPTION_TRUE_TEXT)
			set_hash(copy, " text=", hash_stable(line_end + 1, fabric->size - (size_t)(line_end + 1 - copy)));
		if (options & OPTION_TRUE_FILE)
			set_hash(copy, " config=", hash_stable(config->data, config->size));
		*line_end = '\n';
	}
	fabric->data = (const uint8_t *)copy;
}

static void write_snapshot(const struct input *text, uint8_t options, const struct input *config)
{
	char copy[4096] = {0};
	const struct snapshot s = {
		.text = copy,
		.size = text->size < sizeof(copy) - 1 ? text->size : sizeof(copy) - 1,
		.name = (char *)"isthmus apply",
		.has_file = !(options & OPTION_NO_CONFIG),
		.file_hash = options & OPTION_TRUE_FILE ? hash_stable(config->data, config->size) : 1,
	};
	struct snapshot back;

	memcpy(copy, text->data, s.size);
	require(snapshot_write(directory, &s) == 0, "a snapshot that cannot be written");
	require(snapshot_read(directory, CONF_TEXT_MAX, &back) == 0, "a snapshot that was written is not read");
	require(back.size == s.size && memcmp(back.text, s.text, s.size) == 0 && strcmp(back.name, s.name) == 0 &&
			back.has_file == s.has_file && (!s.has_file || back.file_hash == s.file_hash),
		"a snapshot that is not read as it was written");
	snapshot_fini(&back);
}

/* What cannot be written is said, and leaves nothing half-written. */
static void check_obstacles(void)
{
	const struct snapshot s = {.text = (char *)"x", .size = 1, .name = (char *)"x"};
	char path[160];

	require(snapshot_write(directory, &s) < 0, "a directory was replaced by a file");
	snprintf(path, sizeof(path), "%s/.fabric.yaml.new", directory);
	require(access(path, F_OK) < 0, "half a snapshot is left");
	require(file_remove(directory, "fabric.yaml") < 0, "a directory was removed as a file");
	require(file_remove(directory, "none") == 0 && file_remove(path, "none") == 0, "what is not there is not removed");
	require(file_remove(configuration, "none") == 0 || access(configuration, F_OK) == 0, "a file has no files");
	snprintf(path, sizeof(path), "%s/fabric.yaml/deeper/still", directory);
	require(file_replace(path, "one", "x", 1) == 0 && file_remove(path, "one") == 0, "a deep directory");
	require(rmdir(path) == 0, "the directory is empty");
	snprintf(path, sizeof(path), "%s/fabric.yaml/deeper", directory);
	require(rmdir(path) == 0, "the directory is empty");
	require(directory_make("/proc/none/of/it", 0700) < 0 && file_replace("/proc/none", "x", "x", 1) < 0,
		"a directory where none can be");
}

/* Does this stand in the file behind a first line that gives its hash?  By this file's own reading. */
static bool is_vouched_for(const struct input *fabric, const struct loaded *l)
{
	struct input rest = *fabric, line = input_until(&rest, '\n');
	char text[PATH_MAX] = {0}, want[HASH_SIZE + 1];
	char *at;

	if (line.size >= sizeof(text) || line.size < strlen(HEADER) || rest.size != l->size ||
	    memcmp(rest.data, l->text, l->size) != 0)
		return false;
	memcpy(text, line.data, line.size);
	snprintf(want, sizeof(want), "%016" PRIx64, hash_stable(rest.data, rest.size));
	at = strstr(text, " text=");
	return strncmp(text, HEADER, strlen(HEADER)) == 0 && at && strtoull(at + 6, NULL, 16) == strtoull(want, NULL, 16);
}

static void check_loaded(const struct loaded *l)
{
	const struct conf_source sources[] = {
		{.name = "again", .text = l->text, .size = l->size},
		{.name = "ports", .text = l->runtime_text, .size = l->runtime_text ? strlen(l->runtime_text) : 0,
		 .runtime = true},
	};
	struct conf_errors errors = {0};
	struct config *again = NULL;

	require(l->config && l->self && l->text && l->name, "a start without a configuration");
	require(strcmp(l->self->name, NODE) == 0 && !l->self->foreign, "a start as another node");
	require(conf_load(sources, l->runtime_text ? 2 : 1, &again, &errors) == 0 && config_equal(l->config, again),
		"a start with what its text does not say");
	config_free(again);
	conf_errors_fini(&errors);
}

/* Is it right, and has it this node? */
static bool is_good(const struct input *text)
{
	const struct conf_source source = {.name = "config", .text = (const char *)text->data, .size = text->size};
	struct conf_errors errors = {0};
	const struct config_node *self;
	struct config *c = NULL;
	bool good = false;

	if (conf_load(&source, 1, &c, &errors) == 0) {
		self = config_node(c, NODE);
		good = self && !self->foreign;
	}
	config_free(c);
	conf_errors_fini(&errors);
	return good;
}

static bool is_text(const struct input *text, const struct loaded *l)
{
	return text->size == l->size && memcmp(text->data, l->text, l->size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct agent_options options = {.config_path = configuration, .node = NODE, .state_dir = directory};
	struct input in = {data, size}, config, fabric, ports;
	struct agent_options o = options;
	struct loaded l = {0};
	uint8_t which = input_u8(&in);
	char fabric_path[128];
	bool from_file;
	int r;

	config = input_until(&in, 0);
	fabric = input_until(&in, 0);
	ports = in;
	clean_up();
	require(mkdir(directory, 0700) == 0, "a directory to work in");
	o.offline = which & OPTION_OFFLINE;
	if (!(which & OPTION_NO_CONFIG))
		put_file(CONFIG, &config);
	if (!(which & OPTION_NO_PORTS))
		put_file("ports.yaml", &ports);
	if (which & OPTION_WRITTEN) {
		write_snapshot(&fabric, which, &config);
	} else if (which & OPTION_UNREADABLE) {
		snprintf(fabric_path, sizeof(fabric_path), "%s/fabric.yaml", directory);
		require(mkdir(fabric_path, 0700) == 0, "a directory in the way");
		check_obstacles();
	} else if (!(which & OPTION_NO_FABRIC)) {
		mend(&fabric, which, &config);
		put_file("fabric.yaml", &fabric);
	}

	r = load_choose(&o, &l);
	require(r == 0 || r == -EINVAL, "an answer that load_choose does not give");
	if (r < 0) {
		require(!l.config && !l.text && !l.broken, "an output was touched on failure");
		return 0;
	}
	check_loaded(&l);
	if (ports.size && memchr(ports.data, 0, ports.size))
		require(!l.runtime_text, "ports before a zero byte were used");
	from_file = strcmp(l.name, configuration) == 0 && is_text(&config, &l) && !(which & OPTION_NO_CONFIG);
	if (!from_file && !(which & OPTION_WRITTEN))
		require(is_vouched_for(&fabric, &l), "a start from a snapshot that is not as it was written");
	if (!from_file && !o.offline && !(which & (OPTION_NO_CONFIG | OPTION_TRUE_FILE | OPTION_WRITTEN)) && l.broken)
		require(!is_good(&config), "a good file was called broken");
	loaded_fini(&l);
	return 0;
}
