/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf-check - conf/ from a shell, for tests/conf and for the memory and time limits: no daemon, no command line.
 *
 *   conf-check FILE [RUNTIME...]    errors as `isthmus check` prints them; exit 0 or 2
 *   conf-check --emit FILE [...]    the configuration as YAML
 *   conf-check --explain [KEY] | --schema | --mdoc
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/cleanup.h"

#define MAX_FILES 8

static int read_file(const char *path, struct conf_source *out)
{
	_cleanup_(file) FILE *f = strcmp(path, "-") == 0 ? fdopen(dup(0), "re") : fopen(path, "re");
	char *text = malloc(CONF_TEXT_MAX + 1);

	if (!f || !text) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		free(text);
		return -1;
	}
	*out = (struct conf_source){.name = path, .text = text};
	out->size = fread(text, 1, CONF_TEXT_MAX + 1, f);
	return 0;
}

/* CONF_CHECK_PEAK names a file that gets our peak of memory in KiB: what wait4(2) tells counts the parent's too. */
static void write_peak(void)
{
	const char *path = getenv("CONF_CHECK_PEAK");
	_cleanup_(file) FILE *out = path ? fopen(path, "we") : NULL;
	_cleanup_(file) FILE *in = out ? fopen("/proc/self/status", "re") : NULL;
	char line[256];

	while (in && fgets(line, sizeof(line), in))
		if (strncmp(line, "VmHWM:", 6) == 0)
			fprintf(out, "%ld\n", strtol(line + 6, NULL, 10));
}

static int check(char **paths, int n, bool emit)
{
	struct conf_source sources[MAX_FILES] = {};
	struct conf_errors errors = {};
	struct config *c = NULL;
	int r = 0;

	for (int i = 0; i < n && i < MAX_FILES && r == 0; i++) {
		r = read_file(paths[i], &sources[i]);
		sources[i].runtime = i > 0;
	}
	if (r == 0)
		r = conf_load(sources, (size_t)n, &c, &errors);
	conf_errors_print(&errors, stderr);
	write_peak();
	if (r == 0 && emit)
		conf_emit(c, false, stdout);
	conf_errors_fini(&errors);
	config_free(c);
	for (int i = 0; i < MAX_FILES; i++)
		free((char *)sources[i].text);
	return r == 0 ? 0 : r == -EINVAL ? 2 : 1;
}

static int explain(const char *key)
{
	const char *suggestion = NULL;
	int r = conf_explain(key, stdout, &suggestion);

	if (r < 0)
		fprintf(stderr, "no key %s%s%s\n", key, suggestion ? "; did you mean " : "",
			suggestion ? suggestion : "");
	return r < 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "--explain") == 0)
		return explain(argc > 2 ? argv[2] : NULL);
	if (strcmp(verb, "--schema") == 0)
		return conf_json_schema(stdout) < 0;
	if (strcmp(verb, "--mdoc") == 0)
		return conf_mdoc_reference(stdout) < 0;
	if (argc < 2 || argc > MAX_FILES)
		return 1;
	if (strcmp(verb, "--emit") == 0)
		return argc > 2 ? check(argv + 2, argc - 2, true) : 1;
	return check(argv + 1, argc - 1, false);
}
