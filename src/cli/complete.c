/* SPDX-License-Identifier: Apache-2.0 */
/*
 * complete.c - what could come next on a command line.
 *
 * The shells' scripts are a few lines; they call `isthmus __complete WORD...` with all words up to the cursor, the last
 * one being completed, and get one candidate a line.  Names of live objects come from the daemon, quickly or not at
 * all.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

#define PATIENCE_MS 150
#define CANDIDATES_MAX 2000 /* more is no help to anybody */

static const char bash_script[] =
	"# bash completion of isthmus; eval \"$(isthmus completion bash)\"\n"
	"_isthmus()\n"
	"{\n"
	"	local line=${COMP_LINE:0:COMP_POINT} words cur\n"
	"	read -ra words <<<\"$line\"\n"
	"	[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"	cur=${words[-1]}\n"
	"	local IFS=$'\\n'\n"
	"	COMPREPLY=($(\"${words[0]}\" __complete \"${words[@]:1}\" 2>/dev/null))\n"
	"	case ${COMPREPLY[0]} in\n"
	"	:file) COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
	"	:directory) COMPREPLY=($(compgen -d -- \"$cur\")); compopt -o filenames 2>/dev/null ;;\n"
	"	esac\n"
	"	# A colon ends a word for bash, so what stands before it must not come again.\n"
	"	if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then\n"
	"		local head=${cur%:*}:\n"
	"		COMPREPLY=(\"${COMPREPLY[@]#\"$head\"}\")\n"
	"	fi\n"
	"}\n"
	"complete -F _isthmus isthmus\n";

static const char zsh_script[] =
	"#compdef isthmus\n"
	"# zsh completion of isthmus; eval \"$(isthmus completion zsh)\", or a file _isthmus in $fpath\n"
	"_isthmus()\n"
	"{\n"
	"	local -a candidates\n"
	"	candidates=(${(f)\"$(${words[1]} __complete ${(@)words[2,CURRENT]} 2>/dev/null)\"})\n"
	"	case ${candidates[1]} in\n"
	"	:file) _files ;;\n"
	"	:directory) _files -/ ;;\n"
	"	*) compadd -Q -- ${candidates} ;;\n"
	"	esac\n"
	"}\n"
	"if [[ ${funcstack[1]} == _isthmus ]]; then\n"
	"	_isthmus \"$@\"\n"
	"else\n"
	"	compdef _isthmus isthmus\n"
	"fi\n";

static const char fish_script[] =
	"# fish completion of isthmus; isthmus completion fish | source\n"
	"function __isthmus_complete\n"
	"	set -l words (commandline -opc) (commandline -ct)\n"
	"	set -l candidates ($words[1] __complete $words[2..-1] 2>/dev/null)\n"
	"	switch \"$candidates[1]\"\n"
	"		case :file\n"
	"			__fish_complete_path (commandline -ct)\n"
	"		case :directory\n"
	"			__fish_complete_directories (commandline -ct)\n"
	"		case '*'\n"
	"			printf '%s\\n' $candidates\n"
	"	end\n"
	"end\n"
	"complete -c isthmus -f -a '(__isthmus_complete)'\n";

int run_completion(const struct call *call)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].shell, call->arguments[0]) == 0) {
			fputs(scripts[i].script, stdout);
			return CODE_OK;
		}
	return fail(ERROR_ARGUMENT, NULL, "isthmus completion: \"%s\" is not bash, zsh or fish", call->arguments[0]);
}

/* ---- candidates ---- */

struct guess {
	struct call call; /* the options that lead to the daemon */
	const char *word; /* being completed */
	size_t n;
};

static void offer(struct guess *g, const char *prefix, const char *text, const char *suffix)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "%s%s%s", prefix, text, suffix);
	if (strncmp(whole, g->word, strlen(g->word)) == 0 && g->n++ < CANDIDATES_MAX)
		puts(whole);
}

static int offer_line(void *arg, const char *line, size_t length)
{
	struct guess *g = arg;
	_cleanup_(json) json_t *object = json_loadb(line, length, 0, NULL);
	const char *name = json_string_value(json_object_get(object, "name"));

	if (name)
		offer(g, "", name, "");
	return g->n < CANDIDATES_MAX ? 0 : CODE_TIMEOUT;
}

static void offer_names(struct guess *g, const char *plural)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/%s?stream", plural);
	client_stream(&g->call,
		      &(struct client_request){
			      .target = target, .quiet = true, .no_offline = true, .timeout_ms = PATIENCE_MS},
		      offer_line, g);
}

static void offer_interfaces(struct guess *g)
{
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *i = list; i && i->if_index; i++)
		offer(g, "", i->if_name, "");
	if_freenameindex(list);
}

static void offer_words(struct guess *g, const char *const *words)
{
	for (; *words; words++)
		offer(g, "", *words, "");
}

static void offer_word(struct guess *g, enum word word, const char *before)
{
	static const char *const formats[] = {"table", "wide", "json", "jsonl", "yaml", "name", NULL};
	static const char *const shells[] = {"bash", "zsh", "fish", NULL};
	const struct kind *kind;

	switch (word) {
	case WORD_FILE:
		puts(":file");
		break;
	case WORD_DIRECTORY:
		puts(":directory");
		break;
	case WORD_KIND:
		for (const struct kind *k = kinds; k->plural; k++)
			offer(g, "", k->plural, "");
		if (g->n == 0) /* the singular is offered to those who began it */
			for (const struct kind *k = kinds; k->plural; k++)
				offer(g, "", k->singular, "");
		break;
	case WORD_NAME:
		kind = before ? kind_by_word(before, true) : NULL;
		if (kind && kind->columns)
			offer_names(g, kind->plural);
		break;
	case WORD_PORT:
		offer_names(g, "ports");
		break;
	case WORD_NETWORK:
		offer_names(g, "networks");
		break;
	case WORD_NEIGHBOR:
		offer_names(g, "bgp/neighbors");
		break;
	case WORD_PEER:
		offer_names(g, "peers");
		break;
	case WORD_NODE:
		offer_names(g, "nodes");
		break;
	case WORD_INTERFACE:
		offer_interfaces(g);
		break;
	case WORD_OUTPUT:
		offer_words(g, formats);
		break;
	case WORD_SHELL:
		offer_words(g, shells);
		break;
	case WORD_NONE:
	case WORD_ANY:
		break;
	}
}

/* Words of commands that fit what stands there: "port" first, then "add" and "del". */
static void offer_commands(struct guess *g, const char *first)
{
	const char *last = "";

	for (const struct command *c = commands; c->name; c++) {
		size_t n = strcspn(c->name, " ");
		char word[64];

		if (c->hidden || (first && (strncmp(c->name, first, n) != 0 || strlen(first) != n || !c->name[n])))
			continue;
		snprintf(word, sizeof(word), "%.*s", first ? 60 : (int)n, first ? c->name + n + 1 : c->name);
		if (!first && strlen(last) >= n && strncmp(last, c->name, n) == 0)
			continue;
		last = c->name;
		offer(g, "", word, "");
	}
}

static void offer_options(struct guess *g, const struct command *c)
{
	for (const struct option_row *o = c ? c->options : NULL; o && o->name; o++)
		offer(g, "--", o->name, "");
	for (const struct option_row *o = global_options; o->name; o++)
		offer(g, "--", o->name, "");
}

static const struct option_row *find_option(const struct command *c, const char *text)
{
	const struct option_row *sets[] = {c ? c->options : NULL, global_options};

	for (size_t i = 0; i < 2; i++)
		for (const struct option_row *o = sets[i]; o && o->name; o++)
			if ((text[1] == '-' && strcmp(text + 2, o->name) == 0) || (text[1] == o->letter && !text[2]))
				return o;
	return NULL;
}

int run_complete(const struct call *call)
{
	struct guess g = {.word = call->n_arguments ? call->arguments[call->n_arguments - 1] : ""};
	const struct option_row *pending = NULL;
	const struct command *command = NULL;
	const char *first = NULL, *before = NULL;
	size_t n = 0; /* arguments so far */

	for (size_t i = 0; i + 1 < call->n_arguments; i++) {
		const char *text = call->arguments[i];
		char name[64];

		if (pending) { /* a value; those that lead to the daemon are needed to ask it */
			g.call.options[g.call.n_options].row = pending;
			g.call.options[g.call.n_options].value = text;
			g.call.n_options += g.call.n_options + 1 < CALL_OPTIONS;
			pending = NULL;
		} else if (text[0] == '-' && text[1]) {
			pending = find_option(command, text);
			pending = pending && pending->argument ? pending : NULL;
		} else if (command) {
			before = text;
			n++;
		} else {
			snprintf(name, sizeof(name), "%s%s%s", first ? first : "", first ? " " : "", text);
			command = command_by_name(name);
			first = text;
		}
	}
	if (pending)
		offer_word(&g, pending->word, NULL);
	else if (g.word[0] == '-')
		offer_options(&g, command);
	else if (!command)
		offer_commands(&g, first);
	else if (n < 2)
		offer_word(&g, command->arguments[n].word, before);
	return CODE_OK;
}
