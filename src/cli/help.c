/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "cli/cli.h"

#define WIDTH 79

static const char *const codes[] = {"done",          "degraded, or a difference was found",
				    "bad input",     "the daemon is not reachable",
				    "not permitted", "timed out"};

/* Breaks at blanks so that no line is longer than WIDTH. */
static void wrapped(FILE *f, const char *text, int indent)
{
	int column = indent;

	fprintf(f, "%*s", indent, "");
	for (const char *p = text; *p;) {
		int n = (int)strcspn(p, " ");

		if (column > indent && column + 1 + n > WIDTH) {
			fprintf(f, "\n%*s", indent, "");
			column = indent;
		}
		if (column > indent)
			column += fprintf(f, " ");
		column += fprintf(f, "%.*s", n, p);
		p += n;
		p += strspn(p, " ");
	}
	fprintf(f, "\n");
}

static void print_synopsis(const struct command *c, FILE *f)
{
	int column = fprintf(f, "  isthmus %s", c->name);

	for (const struct argument_row *a = c->arguments; a->name; a++)
		column += fprintf(f, a->optional ? " [%s]" : " %s", a->name);
	for (const struct option_row *o = c->options; o->name; o++) {
		char word[64];
		int n = snprintf(word, sizeof(word), o->required ? " --%s%s%s" : " [--%s%s%s]", o->name,
				 o->argument ? " " : "", o->argument ? o->argument : "");

		if (column + n > WIDTH)
			column = fprintf(f, "\n     ") - 1;
		column += fprintf(f, "%s", word);
	}
	fprintf(f, "\n");
}

static const char *const formats[] = {"table", "wide", "json", "jsonl", "yaml", "name"}; /* by bit of enum output */

static void print_formats(int outputs, FILE *f)
{
	const char *separator = "";

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (outputs & (1 << i)) {
			fprintf(f, "%s%s", separator, formats[i]);
			separator = ", ";
		}
	fprintf(f, "\n");
}

static void print_option(const struct option_row *o, int outputs, FILE *f)
{
	char left[64];
	int n = o->letter ? snprintf(left, sizeof(left), "-%c, ", o->letter) : snprintf(left, sizeof(left), "    ");

	n += snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name, o->argument ? " " : "",
		      o->argument ? o->argument : "");
	if (n > 26)
		fprintf(f, "  %s\n  %-26s ", left, "");
	else
		fprintf(f, "  %-26s ", left);
	if (outputs && strcmp(o->name, "output") == 0)
		print_formats(outputs, f);
	else
		fprintf(f, "%s\n", o->help);
}

void help_command(const struct command *c, FILE *f)
{
	fprintf(f, "%s\n\nExamples:\n", c->summary);
	for (const struct example_row *e = c->examples; e < c->examples + 4 && e->line; e++)
		fprintf(f, "  # %s\n  %s\n", e->what, e->line);
	fprintf(f, "\nUsage:\n");
	print_synopsis(c, f);
	if (c->text) {
		fprintf(f, "\n");
		wrapped(f, c->text, 0);
	}
	if (c->arguments[0].name) {
		fprintf(f, "\nArguments:\n");
		for (const struct argument_row *a = c->arguments; a->name; a++)
			fprintf(f, "  %-26s %s\n", a->name, a->help);
	}
	fprintf(f, "\nOptions:\n");
	for (const struct option_row *o = c->options; o->name; o++)
		print_option(o, 0, f);
	for (const struct option_row *o = global_options; o->name; o++)
		if (c->outputs || strcmp(o->name, "output") != 0)
			print_option(o, c->outputs, f);
}

void help_overview(FILE *f)
{
	fprintf(f, "isthmus joins clouds into isolated tenant networks.\n\nExamples:\n"
		   "  isthmus check isthmus.yaml       is the file right?\n"
		   "  isthmus apply isthmus.yaml       make it so\n"
		   "  isthmus status                   how is this node?\n"
		   "  isthmus get ports                what is where?\n"
		   "  isthmus drops                    why does it not arrive?\n\nCommands:\n");
	for (const struct command *c = commands; c->name; c++)
		if (!c->hidden)
			fprintf(f, "  %-14s %s\n", c->name, c->summary);
	fprintf(f, "\nOptions of all commands:\n");
	for (const struct option_row *o = global_options; o->name; o++)
		print_option(o, OUTPUT_ALL, f);
	fprintf(f, "\n\"isthmus COMMAND -h\" begins with examples.  Exit status:\n");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		fprintf(f, "  %zu  %s\n", i, codes[i]);
}

/* ---- isthmus(1) ---- */

static int mdoc_letter(FILE *f, char c)
{
	if (c == '\\')
		return fprintf(f, "\\e");
	return c == '-' ? fprintf(f, "\\-") : fprintf(f, "%c", c);
}

/* mdoc takes a dot or quote at the start of a line and backslashes anywhere for itself; a new sentence wants a new
 * line. */
static void mdoc_text(FILE *f, const char *text)
{
	int column = 0;
	char last = 0; /* of the word before */

	for (const char *p = text; *p;) {
		int n = (int)strcspn(p, " ");
		bool sentence = last && strchr(".!?", last);

		if (column && (sentence || column + n > WIDTH - 8)) {
			fputc('\n', f);
			column = 0;
		} else if (column) {
			column += fprintf(f, " ");
		}
		if (!column && (*p == '.' || *p == '\''))
			fprintf(f, "\\&");
		for (int i = 0; i < n; i++)
			column += mdoc_letter(f, p[i]);
		p += n;
		last = p[-1];
		while (*p == ' ')
			p++;
	}
	fprintf(f, "\n");
}

/* In a literal block lines stay as they are. */
static void mdoc_literal(FILE *f, const char *text)
{
	for (; *text; text++)
		mdoc_letter(f, *text);
	fprintf(f, "\n");
}

static void mdoc_option(FILE *f, const struct option_row *o)
{
	fprintf(f, ".It ");
	if (o->letter)
		fprintf(f, "Fl %c , ", o->letter);
	fprintf(f, "Fl \\-%s", o->name);
	if (o->argument)
		fprintf(f, " Ar %s", o->argument);
	fprintf(f, "\n");
	mdoc_text(f, o->help);
}

static void mdoc_command(FILE *f, const struct command *c)
{
	fprintf(f, ".Ss %s\n.Nm\n.Cm %s\n", c->name, c->name);
	for (const struct argument_row *a = c->arguments; a->name; a++)
		fprintf(f, a->optional ? ".Op Ar %s\n" : ".Ar %s\n", a->name);
	for (const struct option_row *o = c->options; o->name; o++) {
		fprintf(f, o->required ? ".Fl \\-%s" : ".Op Fl \\-%s", o->name);
		fprintf(f, o->argument ? " Ar %s\n" : "\n", o->argument);
	}
	fprintf(f, ".Pp\n");
	mdoc_text(f, c->summary);
	if (c->text)
		mdoc_text(f, c->text);
	if (!c->options[0].name)
		return;
	fprintf(f, ".Bl -tag -width Ds\n");
	for (const struct option_row *o = c->options; o->name; o++)
		mdoc_option(f, o);
	fprintf(f, ".El\n");
}

void help_mdoc(FILE *f)
{
	bool begun = false;

	fprintf(f, ".\\\" Made by \"isthmus --mdoc\" from the command table; do not edit.\n"
		   ".Dd November 21, 2026\n.Dt ISTHMUS 1\n.Os\n.Sh NAME\n.Nm isthmus\n"
		   ".Nd control isolated tenant networks across clouds\n.Sh SYNOPSIS\n.Nm\n.Op Ar options\n.Ar "
		   "command\n.Op Ar argument ...\n"
		   ".Sh DESCRIPTION\n.Nm\ntalks to\n.Xr isthmusd 8\non this node through a socket and shows or changes "
		   "its part of the fabric.\n"
		   "While the daemon is not running, the commands that only read\n"
		   "answer from the pinned maps of the data plane,\n"
		   "say so on standard error, and exit with status 3.\n.Pp\n"
		   "Data goes to standard output, messages to standard error.\n.Pp\nOptions of all commands:\n.Bl -tag "
		   "-width Ds\n");
	for (const struct option_row *o = global_options; o->name; o++)
		mdoc_option(f, o);
	fprintf(f, ".El\n.Sh COMMANDS\n");
	for (const struct command *c = commands; c->name; c++)
		if (!c->hidden)
			mdoc_command(f, c);
	fprintf(f, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
		   ".It Ev ISTHMUS_RUN_DIR , ISTHMUS_STATE_DIR , ISTHMUS_BPF_DIR , ISTHMUS_CONFIG , ISTHMUS_NODE\n"
		   "Defaults of the options of the same names.\n.It Ev ISTHMUS_MAX_CONFIG\nMiB that a file may have, "
		   "as\n.Fl -max-config\nof\n.Xr isthmusd 8 ;\n8 if not set.\n.It Ev NO_COLOR\nNo colours when set and not "
		   "empty.\n.El\n"
		   ".Sh FILES\n.Bl -tag -width Ds\n.It Pa " DEFAULT_CONFIG "\nthe fabric, see\n.Xr isthmus.yaml 5\n"
		   ".It Pa " DEFAULT_RUN_DIR "/isthmus.sock\nthe daemon's socket: root may do all, members of the "
					     "group\n.Sy isthmus\nmay read\n.El\n");
	fprintf(f, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		fprintf(f, ".It %zu\n%s\n", i, codes[i]);
	fprintf(f, ".El\n.Sh EXAMPLES\n");
	for (const struct command *c = commands; c->name; c++) {
		for (const struct example_row *e = c->examples; !c->hidden && e < c->examples + 4 && e->line; e++) {
			char first = (char)toupper((unsigned char)e->what[0]);

			fprintf(f, "%s%c", begun ? ".Pp\n" : "", first);
			begun = true;
			mdoc_text(f, e->what + 1);
			fprintf(f, ".Bd -literal -offset indent\n");
			mdoc_literal(f, e->line);
			fprintf(f, ".Ed\n");
		}
	}
	fprintf(f, ".Sh DIAGNOSTICS\nEvery error ends with a code that stays the same.\n"
		   "IST\\-1nnn to IST\\-3nnn are about configuration files,\nIST\\-4nnn and IST\\-5nnn come from the "
		   "daemon.\n"
		   ".Bl -tag -width Ds\n");
#define X(symbol, number, code, meaning) fprintf(f, ".It IST\\-%d\n", number), mdoc_text(f, meaning);
	CLI_ERRORS(X)
#undef X
	fprintf(f, ".El\n.Sh SEE ALSO\n.Xr isthmus.yaml 5 ,\n.Xr isthmusd 8\n");
}
