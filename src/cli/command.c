/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/cli.h"

#define DRY_RUN {"dry-run", 'n', NULL, "say what would be done, do nothing"}

const struct option_row global_options[] = {
	{"output", 'o', "FORMAT", "table, wide, json, jsonl, yaml or name", WORD_OUTPUT},
	{"run-dir", 0, "DIR", "where the daemon's socket is (" DEFAULT_RUN_DIR ")", WORD_DIRECTORY},
	{"state-dir", 0, "DIR", "what the daemon remembers (" DEFAULT_STATE_DIR ")", WORD_DIRECTORY},
	{"bpf-dir", 0, "DIR", "pinned maps (" DEFAULT_BPF_DIR ")", WORD_DIRECTORY},
	{"config", 0, "FILE", "the daemon's file (" DEFAULT_CONFIG ")", WORD_FILE},
	{"node", 0, "NAME", "this node (the host's name)", WORD_NODE},
	{"no-color", 0, NULL, "no colours; the same as NO_COLOR=1"},
	{"help", 'h', NULL, "help on the command"},
	{0},
};

const struct command commands[] = {
	{"status", "Show how this node is.",
	 "Exit status 0 when all is well, 1 when it is degraded; the reasons are named.",
	 .options = {{"wait", 'w', NULL, "until the node is OK"},
		     {"timeout", 0, "TIME", "how long to wait (60s)", WORD_ANY},
		     {"brief", 'b', NULL, "one line"}},
	 .examples = {{"how is it?", "isthmus status"},
		      {"in a script, after a change", "isthmus status --wait --timeout 30s"},
		      {"for a monitor", "isthmus status --brief"}},
	 .outputs = OUTPUT_OBJECT, .run = run_status},
	{"get", "List objects, or show one.",
	 "Kinds: nodes, sites, tenants, networks, ports, macs, hosts, routes, drops, all.  Singular and "
	 "shortened names do as well.  \"get all -o yaml\" prints the effective configuration, which \"apply "
	 "-\" takes back.  macs, hosts and routes are those that this node forwards to; --all adds the rest of"
	 " the fabric.",
	 .arguments = {{"KIND", "what to list", WORD_KIND}, {"NAME", "one object", WORD_NAME, true}},
	 .options = {{"all", 'a', NULL, "also what this node does not hold"}},
	 .examples = {{"the ports of all nodes", "isthmus get ports"},
		      {"where is this address?", "isthmus get hosts 10.0.1.11"},
		      {"routes for a program", "isthmus get routes -o json"},
		      {"the whole configuration", "isthmus get all -o yaml"}},
	 .outputs = OUTPUT_ALL, .run = run_get},
	{"describe", "Show everything about one object.", NULL,
	 .arguments = {{"KIND", "kind of object", WORD_KIND}, {"NAME", "which one", WORD_NAME}},
	 .examples = {{"why is this port not up?", "isthmus describe port web1"},
		      {"a network of a tenant", "isthmus describe network red/web"}},
	 .outputs = OUTPUT_OBJECT, .run = run_describe},
	{"drops", "Show why packets were dropped.",
	 "Reasons with their counters, and the latest sampled packets.  Every packet that Isthmus drops is "
	 "counted under one reason.",
	 .options = {{"watch", 0, NULL, "print samples as they come, until interrupted"},
		     {"all", 'a', NULL, "also reasons that were never met"}},
	 .examples = {{"why does it not arrive?", "isthmus drops"}, {"for a program", "isthmus drops -o json"}},
	 .outputs = OUTPUT_OBJECT, .run = run_drops},
	{"check", "Check a configuration file.",
	 "Needs neither daemon nor root; it is the code that the daemon runs.  Exit status 2 when there are errors.",
	 .arguments = {{"FILE", "the file, - for standard input", WORD_FILE}},
	 .examples = {{"before you apply it", "isthmus check isthmus.yaml"}},
	 .outputs = OUTPUT_OBJECT, .run = run_check},
	{"explain", "Explain a configuration key.", NULL,
	 .arguments = {{"KEY", "a path such as tenants.*.vni; none: all keys", WORD_ANY, true}},
	 .examples = {{"the tree of all keys", "isthmus explain"}, {"one key", "isthmus explain ports"}},
	 .run = run_explain},
	{"schema", "Print the JSON schema of the configuration.", "For editors: # yaml-language-server: $schema=FILE",
	 .examples = {{"for your editor", "isthmus schema"}},
	 .run = run_schema},
	{"apply", "Make a configuration file the one of this node.",
	 "A transaction: everything is checked first, then done in order, and undone when a step fails.  "
	 "Applying the same file again does nothing.",
	 .arguments = {{"FILE", "the file, - for standard input", WORD_FILE}},
	 .options = {DRY_RUN},
	 .examples = {{"what would happen?", "isthmus apply isthmus.yaml --dry-run"},
		      {"do it", "isthmus apply isthmus.yaml"},
		      {"what runs, again: no changes", "isthmus get all -o yaml | isthmus apply -", true}},
	 .outputs = OUTPUT_OBJECT, .mutates = true, .run = run_apply},
	{"diff", "Show what applying a file would change.", "Exit status 1 when there is a difference.",
	 .arguments = {{"FILE", "the file, - for standard input", WORD_FILE}},
	 .examples = {{"does the node run this file?", "isthmus diff isthmus.yaml"}},
	 .outputs = OUTPUT_OBJECT, .run = run_diff},
	{"port add", "Add a port at run time.", "It is remembered over a restart of the daemon, until \"port del\".",
	 .arguments = {{"NAME", "of the new port", WORD_ANY}},
	 .options = {{"interface", 'i', "DEVICE", "veth or tap that the workload is on", WORD_INTERFACE, true},
		     {"network", 0, "TENANT/NETWORK", "the network it joins", WORD_NETWORK, true},
		     {"mac", 'm', "MAC", "of the workload", WORD_ANY, true},
		     {"address", 'a', "ADDRESS", "of the workload; may be repeated", WORD_ANY, false, true},
		     DRY_RUN},
	 .examples = {{"try first", "isthmus port add web9 -i web9 --network red/web \\\n"
				    "    -m 02:00:00:00:00:09 -a 10.0.1.19 --dry-run"},
		      {"add it", "isthmus port add web9 -i web9 --network red/web \\\n"
				 "    -m 02:00:00:00:00:09 -a 10.0.1.19"}},
	 .outputs = OUTPUT_OBJECT, .mutates = true, .run = run_port_add},
	{"port del", "Delete a port that was added at run time.", "Asks first on a terminal; elsewhere it needs --yes.",
	 .arguments = {{"NAME", "the port", WORD_PORT}},
	 .options = {{"yes", 'y', NULL, "do not ask"}, DRY_RUN},
	 .examples = {{"what would happen?", "isthmus port del web9 --dry-run"},
		      {"in a script", "isthmus port del web9 --yes"}},
	 .outputs = OUTPUT_OBJECT, .mutates = true, .run = run_port_del},
	{"doctor", "Look for faults of this host and say how to mend them.",
	 "Works without the daemon.  Exit status 1 when something does not work.",
	 .options = {{"all", 'a', NULL, "also the checks that are fine"}},
	 .examples = {{"what is wrong here?", "isthmus doctor"}, {"everything it looked at", "isthmus doctor --all"}},
	 .outputs = OUTPUT_OBJECT, .run = run_doctor},
	{"version", "Show versions of program, daemon and kernel.", NULL,
	 .examples = {{"for a bug report", "isthmus version"}},
	 .outputs = OUTPUT_OBJECT, .run = run_version},
	{"completion", "Print the completion script of a shell.", NULL,
	 .arguments = {{"SHELL", "bash, zsh or fish", WORD_SHELL}},
	 .examples = {{"bash, in ~/.bashrc: eval \"$(isthmus completion bash)\"", "isthmus completion bash"},
		      {"zsh", "isthmus completion zsh"},
		      {"fish", "isthmus completion fish"}},
	 .run = run_completion},
	{"__complete", "What could come next.", NULL,
	 .arguments = {{"WORD", "", WORD_ANY, true}}, .hidden = true, .run = run_complete},
	{0},
};

const struct command *command_by_name(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}
