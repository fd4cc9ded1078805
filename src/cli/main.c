/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define WORDS 64

static const struct {
	const char *name;
	enum output output;
} outputs[] = {
	{"table", OUTPUT_TABLE}, {"wide", OUTPUT_WIDE}, {"json", OUTPUT_JSON},
	{"jsonl", OUTPUT_JSONL}, {"yaml", OUTPUT_YAML}, {"name", OUTPUT_NAME},
};

/* ---- for all commands ---- */

static void complain(const char *number, const char *hint, const char *format, va_list ap)
	__attribute__((format(printf, 3, 0)));
static void complain(const char *number, const char *hint, const char *format, va_list ap)
{
	const char *no_color = getenv("NO_COLOR");
	bool color = isatty(STDERR_FILENO) && !(no_color && *no_color);

	fflush(stdout);
	fprintf(stderr, color ? "\033[31misthmus:\033[0m " : "isthmus: ");
	vfprintf(stderr, format, ap);
	if (number)
		fprintf(stderr, " (%s)", number);
	fprintf(stderr, "\n");
	if (hint)
		fprintf(stderr, "  next: %s\n", hint);
}

int fail(enum cli_error error, const char *hint, const char *format, ...)
{
	static const struct {
		enum cli_error error;
		enum exit_code code;
	} rows[] = {
#define X(symbol, number, exit_code, meaning) {ERROR_##symbol, exit_code},
		CLI_ERRORS(X)
#undef X
	};
	enum exit_code code = CODE_DIFFERENCE;
	char number[16];
	va_list ap;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].error == error)
			code = rows[i].code;
	snprintf(number, sizeof(number), "IST-%d", (int)error);
	va_start(ap, format);
	complain(number, hint, format, ap);
	va_end(ap);
	return code;
}

int fail_as(enum exit_code code, const char *number, const char *hint, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain(number, hint, format, ap);
	va_end(ap);
	return code;
}

void note(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

bool color_wanted(const struct call *call, FILE *f)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(fileno(f)) && !(no_color && *no_color) && !call_option(call, "no-color");
}

/* Letters to insert, delete, change or swap (restricted Damerau-Levenshtein); words here are short. */
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned rows[3][WORDS];

	if (n >= WORDS || m >= WORDS)
		return WORDS;
	for (size_t k = 0; k <= m; k++)
		rows[0][k] = (unsigned)k;
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t k = 1; k <= m; k++) {
			unsigned best = before[k - 1] + (a[i - 1] != b[k - 1]);

			if (before[k] + 1 < best)
				best = before[k] + 1;
			if (now[k - 1] + 1 < best)
				best = now[k - 1] + 1;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && two[k - 2] + 1 < best)
				best = two[k - 2] + 1;
			now[k] = best;
		}
	}
	return rows[n % 3][m];
}

const char *nearest(const char *text, const char *const *words, size_t n)
{
	const char *found = NULL;
	unsigned best = 3;

	for (size_t i = 0; i < n; i++) {
		unsigned d = distance(text, words[i]);

		if (d < best && d < strlen(words[i])) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

int duration_parse(const char *text, long *ms)
{
	static const struct {
		const char *unit;
		long ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	char *end;
	long n;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || n > 1000000)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0) {
			*ms = n * units[i].ms;
			return 0;
		}
	return -EINVAL;
}

/* ---- what was asked ---- */

const char *call_option_nth(const struct call *call, const char *name, size_t n)
{
	for (size_t i = 0; i < call->n_options; i++)
		if (strcmp(call->options[i].row->name, name) == 0 && n-- == 0)
			return call->options[i].value;
	return NULL;
}

const char *call_option(const struct call *call, const char *name)
{
	return call_option_nth(call, name, 0);
}

const char *call_setting(const struct call *call, const char *name, const char *otherwise)
{
	const char *value = call_option(call, name);
	char variable[64] = "ISTHMUS_";
	size_t n = strlen(variable);

	if (value)
		return value;
	for (const char *p = name; *p && n < sizeof(variable) - 1; p++)
		variable[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	value = getenv(variable);
	return value && *value ? value : otherwise;
}

/* ---- parsing ---- */

static const struct option_row *option_find(const struct option_row *rows, const char *name, size_t length, char letter)
{
	for (const struct option_row *o = rows; o && o->name; o++)
		if (name ? strlen(o->name) == length && memcmp(o->name, name, length) == 0 : o->letter == letter)
			return o;
	return NULL;
}

static const struct option_row *option_any(const struct command *c, const char *name, size_t length, char letter)
{
	const struct option_row *o = c ? option_find(c->options, name, length, letter) : NULL;

	return o ? o : option_find(global_options, name, length, letter);
}

static int unknown_option(const struct command *c, const char *text)
{
	const char *names[CALL_OPTIONS];
	const char *name;
	char hint[96];
	size_t n = 0;

	for (const struct option_row *o = c ? c->options : NULL; o && o->name; o++)
		names[n++] = o->name;
	for (const struct option_row *o = global_options; o->name; o++)
		names[n++] = o->name;
	name = nearest(text + strspn(text, "-"), names, n);
	if (name)
		snprintf(hint, sizeof(hint), "did you mean --%s?", name);
	else
		snprintf(hint, sizeof(hint), "isthmus %s -h lists the options", c ? c->name : "");
	return fail(ERROR_OPTION, hint, "unknown option \"%s\"%s%s", text, c ? " of " : "", c ? c->name : "");
}

static int unknown_command(const char *text)
{
	const char *names[WORDS];
	char hint[96];
	size_t n = 0;

	for (const struct command *c = commands; c->name; c++)
		if (!c->hidden)
			names[n++] = c->name;
	const char *name = nearest(text, names, n);

	snprintf(hint, sizeof(hint), "%s%s%s", name ? "did you mean \"" : "isthmus -h lists the commands", name ? name : "",
		 name ? "\"?" : "");
	return fail(ERROR_COMMAND, hint, "unknown command \"%s\"", text);
}

static int add_option(struct call *call, const struct option_row *row, const char *value)
{
	if (!row->repeats && call_option(call, row->name))
		return fail(ERROR_VALUE, NULL, "--%s is given twice", row->name);
	if (call->n_options == CALL_OPTIONS)
		return fail(ERROR_VALUE, NULL, "too many options; at most %d", CALL_OPTIONS);
	call->options[call->n_options].row = row;
	call->options[call->n_options++].value = value;
	return 0;
}

/* -o json, -ojson, -nyo json, --output json, --output=json */
static int parse_option(struct call *call, const struct command *c, char **argv, int argc, int *i)
{
	const char *text = argv[*i];
	const char *inside = NULL;
	const struct option_row *row;
	int r;

	if (text[1] == '-') {
		const char *equals = strchr(text, '=');

		row = option_any(c, text + 2, equals ? (size_t)(equals - text) - 2 : strlen(text) - 2, 0);
		if (!row)
			return unknown_option(c, text);
		if (equals && !row->argument)
			return fail(ERROR_VALUE, NULL, "--%s takes no value", row->name);
		inside = equals ? equals + 1 : NULL;
	} else {
		const char *p = text + 1;

		for (; (row = option_any(c, NULL, 0, *p)) && !row->argument; p++) {
			r = add_option(call, row, "");
			if (r)
				return r;
			if (!p[1])
				return 0;
		}
		if (!row)
			return unknown_option(c, text);
		inside = p[1] ? p + 1 : NULL;
	}
	if (!row->argument)
		return add_option(call, row, "");
	if (!inside) {
		if (*i + 1 >= argc)
			return fail(ERROR_VALUE, NULL, "--%s needs a value: --%s %s", row->name, row->name,
				    row->argument);
		inside = argv[++*i];
	}
	return add_option(call, row, inside);
}

/* The second word of a command that begins with this one; NULL: it does not. */
static const char *verb_of(const struct command *c, const char *group)
{
	size_t n = strlen(group);

	return !c->hidden && strncmp(c->name, group, n) == 0 && c->name[n] == ' ' ? c->name + n + 1 : NULL;
}

static bool is_group(const char *word)
{
	for (const struct command *c = commands; c->name; c++)
		if (verb_of(c, word))
			return true;
	return false;
}

static void help_group(const char *group, FILE *f)
{
	for (const struct command *c = commands; c->name; c++)
		if (verb_of(c, group))
			fprintf(f, "isthmus %-16s %s\n", c->name, c->summary);
	fprintf(f, "\nEach says more with -h.\n");
}

static bool asks_for_help(char **argv, int argc)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

/* What has to follow: "add" or "del". */
static int lacks_verb(const char *group)
{
	char list[256] = "", hint[64];
	const char *last = NULL, *verb;
	size_t n = 0;

	for (const struct command *c = commands; c->name; c++) {
		verb = verb_of(c, group);
		if (!verb)
			continue;
		if (last && n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s\"%s\"", n ? ", " : "", last);
		last = verb;
	}
	snprintf(hint, sizeof(hint), "isthmus %s -h says what each does", group);
	return fail(ERROR_COMMAND, hint, "isthmus %s: %s%s\"%s\" must follow", group, list, n ? " or " : "", last);
}

/*
 * The command's words are the first that are neither options nor their values: "port add" is two.  0: there are none, or
 * only what several begin with, which is *group then.
 */
static int find_command(char **argv, int argc, const struct command **out, const char **group)
{
	const char *words[2] = {NULL};
	size_t n = 0;
	char name[64];

	for (int i = 1; i < argc && n < 2; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			const struct option_row *row = argv[i][1] == '-'
							       ? option_any(NULL, argv[i] + 2, strlen(argv[i]) - 2, 0)
							       : option_any(NULL, NULL, 0, argv[i][1]);
			if (row && row->argument && (argv[i][1] == '-' || !argv[i][2]))
				i++;
			continue;
		}
		words[n++] = argv[i];
	}
	*out = NULL;
	*group = NULL;
	if (!n)
		return 0;
	*out = command_by_name(words[0]);
	if (*out)
		return 1;
	if (n == 2) {
		snprintf(name, sizeof(name), "%s %s", words[0], words[1]);
		*out = command_by_name(name);
		if (*out)
			return 2;
	}
	if (!is_group(words[0]))
		return -unknown_command(words[0]);
	*group = words[0];
	return 0;
}

static int parse_output(struct call *call)
{
	const char *text = call_option(call, "output");
	const struct command *c = call->command;
	char list[64] = "";
	int n = 0;

	call->output = OUTPUT_TABLE;
	if (!text)
		return 0;
	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
		if (c->outputs & outputs[i].output) {
			n += snprintf(list + n, sizeof(list) - (size_t)n, "%s%s", n ? ", " : "", outputs[i].name);
		}
		if (strcmp(outputs[i].name, text) == 0 && (c->outputs & outputs[i].output)) {
			call->output = outputs[i].output;
			return 0;
		}
	}
	if (!*list)
		return fail(ERROR_VALUE, NULL, "isthmus %s has one output format; -o is not possible", c->name);
	return fail(ERROR_VALUE, NULL, "isthmus %s -o \"%s\": expected one of %s", c->name, text, list);
}

static int check_call(const struct call *call)
{
	const struct command *c = call->command;
	size_t least = 0, most = 0;
	char hint[96];

	snprintf(hint, sizeof(hint), "isthmus %s -h begins with examples", c->name);
	for (const struct argument_row *a = c->arguments; a->name; a++) {
		most++;
		least += !a->optional;
	}
	if (call->n_arguments < least)
		return fail(ERROR_ARGUMENT, hint, "isthmus %s: %s is missing (%s)", c->name,
			    c->arguments[call->n_arguments].name, c->arguments[call->n_arguments].help);
	if (call->n_arguments > most && !c->hidden)
		return fail(ERROR_ARGUMENT, hint, "isthmus %s: \"%s\" is too much", c->name, call->arguments[most]);
	for (const struct option_row *o = c->options; o->name; o++)
		if (o->required && !call_option(call, o->name))
			return fail(ERROR_ARGUMENT, hint, "isthmus %s: --%s %s is missing (%s)", c->name, o->name,
				    o->argument, o->help);
	return 0;
}

static int parse(struct call *call, char **argv, int argc, int n_words)
{
	const size_t room = sizeof(call->arguments) / sizeof(call->arguments[0]);
	bool only_arguments = call->command->run == run_complete;
	int r;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1] && !only_arguments) {
			if (strcmp(argv[i], "--") == 0) {
				only_arguments = true;
				continue;
			}
			r = parse_option(call, call->command, argv, argc, &i);
			if (r)
				return r;
		} else if (n_words > 0) {
			n_words--;
		} else if (call->n_arguments < room) {
			call->arguments[call->n_arguments++] = argv[i];
		}
	}
	if (call_option(call, "help"))
		return 0;
	r = parse_output(call);
	return r ? r : check_call(call);
}

int main(int argc, char **argv)
{
	struct call call = {0};
	const char *group;
	int n_words, r;

	signal(SIGPIPE, SIG_DFL); /* a closed pipe ends us without a word, as `| head` expects, whatever we inherited */
	if (argc == 2 && strcmp(argv[1], "--mdoc") == 0) {
		help_mdoc(stdout);
		return CODE_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("isthmus %s\n", ISTHMUS_VERSION);
		return CODE_OK;
	}
	if (argc > 1 && strcmp(argv[1], "help") == 0) { /* isthmus help port add = isthmus port add -h */
		memmove(argv + 1, argv + 2, (size_t)(argc - 1) * sizeof(*argv));
		argv[argc - 1] = (char *)"-h";
	}
	n_words = find_command(argv, argc, &call.command, &group);
	if (n_words < 0)
		return -n_words;
	if (!call.command) {
		static const struct command none = {.name = ""};

		call.command = &none;
		if (group && !asks_for_help(argv, argc))
			return lacks_verb(group);
		if (group) {
			help_group(group, stdout);
			return CODE_OK;
		}
		r = parse(&call, argv, argc, 0);
		if (r)
			return r;
		help_overview(argc == 1 ? stderr : stdout);
		return argc == 1 ? CODE_INPUT : CODE_OK;
	}
	r = parse(&call, argv, argc, n_words);
	if (r)
		return r;
	if (call_option(&call, "help")) {
		help_command(call.command, stdout);
		return CODE_OK;
	}
	r = call.command->run(&call);
	if (fflush(stdout) != 0)
		return fail(ERROR_OUTPUT, NULL, "standard output: %s", strerror(errno));
	return r;
}
