/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command line: one table of commands, one call at a time.
 *
 * command.c holds the table.  main.c parses a command line against it into a struct call and runs the command; help.c
 * makes -h and the man page of it, complete.c the completion.  A command writes data to standard output and everything
 * else to standard error, and returns one of enum exit_code.
 *
 * One thread.  Strings of a call are those of argv or of the environment.
 */
#ifndef ISTHMUS_CLI_H
#define ISTHMUS_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define DEFAULT_RUN_DIR "/run/isthmus"
#define DEFAULT_STATE_DIR "/var/lib/isthmus"
#define DEFAULT_BPF_DIR "/sys/fs/bpf/isthmus"
#define DEFAULT_CONFIG "/etc/isthmus/isthmus.yaml"

enum exit_code {
	CODE_OK = 0,
	CODE_DIFFERENCE = 1, /* degraded, or a difference was found */
	CODE_INPUT = 2,
	CODE_DAEMON = 3,
	CODE_PERMISSION = 4,
	CODE_TIMEOUT = 5,
};

enum output { /* bits: a command says which it can do */
	OUTPUT_TABLE = 1 << 0,
	OUTPUT_WIDE = 1 << 1,
	OUTPUT_JSON = 1 << 2,
	OUTPUT_JSONL = 1 << 3,
	OUTPUT_YAML = 1 << 4,
	OUTPUT_NAME = 1 << 5,
};
#define OUTPUT_OBJECT (OUTPUT_TABLE | OUTPUT_JSON | OUTPUT_JSONL | OUTPUT_YAML)
#define OUTPUT_ALL (OUTPUT_OBJECT | OUTPUT_WIDE | OUTPUT_NAME)

enum word { /* what may stand there, for completion */
	WORD_NONE,
	WORD_FILE,
	WORD_DIRECTORY,
	WORD_KIND,
	WORD_NAME, /* of the kind before it */
	WORD_PORT,
	WORD_NETWORK,
	WORD_NODE,
	WORD_INTERFACE,
	WORD_OUTPUT,
	WORD_SHELL,
	WORD_NEIGHBOR, /* of BGP */
	WORD_PEER,
	WORD_ANY,
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which people read the rows */
struct option_row { /* the last has name NULL */
	const char *name; /* without -- */
	char letter;      /* or 0 */
	const char *argument; /* "FILE", or NULL for a switch */
	const char *help;
	enum word word;
	bool required, repeats;
};

struct argument_row { /* the last has name NULL */
	const char *name; /* "FILE" */
	const char *help;
	enum word word;
	bool optional;
};

struct example_row { /* the last has line NULL; a test runs each */
	const char *what;
	const char *line;
	bool pipe; /* of a shell */
};

struct call;

struct command {
	const char *name; /* "port add" */
	const char *summary;
	const char *text; /* more, for -h and the man page; or NULL */
	struct argument_row arguments[3];
	struct option_row options[9];
	struct example_row examples[4];
	int outputs; /* of enum output; 0 = -o is refused */
	bool mutates;
	bool hidden;
	int (*run)(const struct call *call);
};

#define CALL_OPTIONS 32

struct call {
	const struct command *command;
	const char *arguments[64]; /* in order, those that were given */
	size_t n_arguments;
	struct {
		const struct option_row *row;
		const char *value; /* "" of a switch */
	} options[CALL_OPTIONS];
	size_t n_options;
	enum output output;
};

extern const struct command commands[]; /* the last has name NULL */
extern const struct option_row global_options[];

const struct command *command_by_name(const char *name);
/* The value of an option, global ones included; "" for a switch; NULL when it was not given. */
const char *call_option(const struct call *call, const char *name);
const char *call_option_nth(const struct call *call, const char *name, size_t n);
/* The option, else the environment ($ISTHMUS_RUN_DIR for run-dir), else the default. */
const char *call_setting(const struct call *call, const char *name, const char *otherwise);

bool color_wanted(const struct call *call, FILE *f);

/* X(symbol, number, exit code, meaning): every way in which a command fails by itself; isthmus(1) lists them. */
#define CLI_ERRORS(X)                                                                                                  \
	X(COMMAND, 6001, CODE_INPUT, "there is no such command")                                                       \
	X(OPTION, 6002, CODE_INPUT, "the command has no such option")                                                  \
	X(VALUE, 6003, CODE_INPUT, "an option has a wrong value, or is given twice")                                   \
	X(ARGUMENT, 6004, CODE_INPUT, "an argument is missing, wrong, or too much")                                    \
	X(KEY, 6005, CODE_INPUT, "the configuration has no such key")                                                  \
	X(UNANSWERED, 6006, CODE_INPUT, "something would be destroyed and nobody can be asked")                        \
	X(FILE, 6011, CODE_INPUT, "a file cannot be read")                                                             \
	X(FILE_SIZE, 6012, CODE_INPUT, "a file is larger than a configuration may be")                                 \
	X(FILE_WRONG, 6013, CODE_INPUT, "a file has errors, each of which was printed")                                \
	X(NO_CONFIGURATION, 6014, CODE_INPUT, "the node has no configuration yet")                                     \
	X(KEY_FILE, 6015, CODE_INPUT, "a file has no key, or another one than the configuration")                     \
	X(DAEMON_AWAY, 6031, CODE_DAEMON, "the daemon is not running")                                                 \
	X(DAEMON_ANSWER, 6032, CODE_DAEMON, "the daemon's answer cannot be understood, or broke off")                  \
	X(PERMISSION, 6041, CODE_PERMISSION, "the daemon's socket is not for this user")                               \
	X(NO_ANSWER, 6051, CODE_TIMEOUT, "the daemon does not answer")                                                 \
	X(NOT_YET, 6052, CODE_TIMEOUT, "what was waited for did not come")                                             \
	X(MEMORY, 6091, CODE_DIFFERENCE, "out of memory")                                                              \
	X(OUTPUT, 6092, CODE_DIFFERENCE, "the output cannot be written")

enum cli_error {
#define X(symbol, number, code, meaning) ERROR_##symbol = number,
	CLI_ERRORS(X)
#undef X
};

/* "isthmus: ... (IST-6001)" on standard error; hint (the next step) may be NULL.  Returns the error's exit code. */
int fail(enum cli_error error, const char *hint, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same for an error that the daemon named; number may be NULL. */
int fail_as(enum exit_code code, const char *number, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The nearest of the words, NULL when none is within two letters. */
const char *nearest(const char *text, const char *const *words, size_t n);

/* "30s", "5m", "1h", "250ms", or seconds; -EINVAL */
int duration_parse(const char *text, long *ms);

/* ---- help.c ---- */
void help_overview(FILE *f);
void help_command(const struct command *c, FILE *f);
void help_mdoc(FILE *f);

/* ---- the commands ---- */
int run_status(const struct call *call);
int run_get(const struct call *call);
int run_describe(const struct call *call);
int run_drops(const struct call *call);
int run_doctor(const struct call *call);
int run_version(const struct call *call);
int run_check(const struct call *call);
int run_explain(const struct call *call);
int run_schema(const struct call *call);
int run_apply(const struct call *call);
int run_diff(const struct call *call);
int run_port_add(const struct call *call);
int run_port_del(const struct call *call);
int run_key_show(const struct call *call);
int run_peer_config(const struct call *call);
int run_bgp_summary(const struct call *call);
int run_bgp_neighbors(const struct call *call);
int run_bgp_routes(const struct call *call);
int run_bgp_received(const struct call *call);
int run_bgp_advertised(const struct call *call);
int run_bgp_why(const struct call *call);
int run_bgp_refresh(const struct call *call);
int run_bgp_reset(const struct call *call);
int run_bgp_free(const struct call *call);
int run_completion(const struct call *call);
int run_complete(const struct call *call); /* hidden: what could come next */

#endif
