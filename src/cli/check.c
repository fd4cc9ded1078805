/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/file.h"
#include "cli/show.h"
#include "conf/conf.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

/* As the daemon's --max-config; here by the environment, since nearly every command reads a file. */
static size_t file_size_max(void)
{
	const char *mib = getenv("ISTHMUS_MAX_CONFIG");
	size_t size = mib ? conf_text_max(mib) : 0;

	return size ? size : CONF_TEXT_MAX;
}

int file_read(const char *path, char **text, size_t *size)
{
	const size_t size_max = file_size_max();
	bool standard_input = strcmp(path, "-") == 0;
	FILE *f = standard_input ? stdin : fopen(path, "re");
	_cleanup_(free) char *data = malloc(size_max + 2);
	size_t n;
	bool broken;
	int saved;

	if (!f)
		return fail(ERROR_FILE, NULL, "%s: %s", path, strerror(errno));
	if (!data) {
		if (!standard_input)
			fclose(f);
		return fail(ERROR_MEMORY, NULL, "out of memory");
	}
	n = fread(data, 1, size_max + 1, f);
	broken = ferror(f);
	saved = errno;
	if (!standard_input)
		fclose(f);
	if (broken)
		return fail(ERROR_FILE, NULL, "%s: %s", path, strerror(saved));
	if (n > size_max)
		return fail(ERROR_FILE_SIZE, "check that it is the right file; ISTHMUS_MAX_CONFIG=MIB allows more",
			    "%s is larger than %zu MiB, which no configuration may be", path, size_max >> 20);
	data[n] = '\0';
	*text = TAKE_PTR(data);
	*size = n;
	return CODE_OK;
}

/* ---- check ---- */

static json_t *error_list(const struct conf_errors *errors)
{
	json_t *list = json_array();

	for (size_t i = 0; i < errors->length; i++) {
		const struct conf_error *e = &errors->items[i];
		char code[16];

		snprintf(code, sizeof(code), "IST-%04u", e->code);
		json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:s*,s:s,s:s*}", "file", e->file, "line",
						      (json_int_t)e->line, "column", (json_int_t)e->column, "path",
						      e->path, "code", code, "message", e->what));
	}
	return list;
}

int run_check(const struct call *call)
{
	const char *path = call->arguments[0];
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	struct conf_errors errors = {0};
	struct config *config = NULL;
	_cleanup_(free) char *text = NULL;
	size_t size = 0, networks = 0;
	int code = file_read(path, &text, &size), r;

	if (code)
		return code;
	r = conf_load(&(struct conf_source){.name = name, .text = text, .size = size, .size_max = file_size_max()}, 1, &config, &errors);
	if (r < 0 && r != -EINVAL) {
		conf_errors_fini(&errors);
		return fail(ERROR_MEMORY, NULL, "%s: %s", name, strerror(-r));
	}
	if (call->output != OUTPUT_TABLE) {
		_cleanup_(json) json_t *report =
			json_pack("{s:s,s:s,s:s,s:b,s:o}", "apiVersion", "isthmus/v1", "kind", "CheckReport", "file",
				  name, "valid", r == 0, "errors", error_list(&errors));

		show_object(call, report);
	} else if (r < 0) {
		conf_errors_print(&errors, stderr);
		fail(ERROR_FILE_WRONG, "isthmus explain KEY tells what a key takes", "%s: %zu error%s", name,
		     errors.length, errors.length == 1 ? "" : "s");
	} else {
		for (size_t i = 0; i < config->n_tenants; i++)
			networks += config->tenants[i].n_networks;
		printf("%s: correct (%zu sites, %zu nodes, %zu tenants, %zu networks, %zu ports)\n", name,
		       config->n_sites, config->n_nodes, config->n_tenants, networks, config_n_ports(config));
	}
	conf_errors_fini(&errors);
	config_free(config);
	return r < 0 ? CODE_INPUT : CODE_OK;
}

int run_explain(const struct call *call)
{
	const char *key = call->n_arguments ? call->arguments[0] : NULL;
	const char *suggestion = NULL;
	char hint[160] = "isthmus explain lists all keys";
	int r = conf_explain(key, stdout, &suggestion);

	if (r == 0)
		return CODE_OK;
	if (suggestion)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", suggestion);
	return fail(ERROR_KEY, hint, "there is no key \"%s\"", key);
}

int run_schema(const struct call *call)
{
	int r = conf_json_schema(stdout);

	return r < 0 ? fail(ERROR_OUTPUT, NULL, "%s", strerror(-r)) : CODE_OK;
}
