/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many RUN-DIR N: the API of a node that knows N routes, more than two files of 8 MiB can describe: the real route table,
 * lists and server over a configuration that is made here, without a data plane.  Ends with its standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/agent.h"
#include "conf/conf.h"
#include "lib/loop.h"

#define PER_PORT 10000
#define PER_SOURCE 300000
#define SOURCES 16

static char *source_text(size_t first, size_t last, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	if (first == 0)
		fputs("version: 1\nfabric: {encryption: never, encap: vxlan}\nsites: {dc: {}}\n"
		      "nodes: {dc1: {site: dc, underlay: 192.0.2.1}, dc2: {site: dc, underlay: 192.0.2.2}}\n"
		      "tenants: {red: {vni: 5000, networks: {app: {mode: l3, subnets: [10.0.0.0/8]}}}}\n", f);
	fputs("ports:\n", f);
	for (size_t i = first; i < last; i++) {
		size_t n = i + 256, port = i / PER_PORT;

		if (i % PER_PORT == 0 || i == first)
			fprintf(f, "  r%05zu: {node: dc2, interface: r%zu, network: red/app, mac: \"02:00:00:00:%02zx:%02zx\", addresses: [", port,
				port, port >> 8, port & 255);
		fprintf(f, "10.%zu.%zu.%zu", n >> 16, n >> 8 & 255, n & 255);
		fputs(i % PER_PORT == PER_PORT - 1 || i + 1 == last ? "]}\n" : ",", f);
	}
	fclose(f);
	return text;
}

static void on_input(void *arg, uint32_t events)
{
	loop_stop(arg, 0);
}

int main(int argc, char **argv)
{
	struct conf_source sources[SOURCES] = {0};
	struct conf_errors errors = {0};
	struct agent agent = {0};
	const struct api_route *routes;
	struct server *server;
	struct loop_io *io;
	size_t n = 0, total, n_routes;

	if (argc != 3)
		return 2;
	total = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < total && n < SOURCES; i += PER_SOURCE, n++) {
		sources[n].name = "many";
		sources[n].runtime = n > 0;
		sources[n].text = source_text(i, i + PER_SOURCE < total ? i + PER_SOURCE : total, &sources[n].size);
	}
	if (conf_load(sources, n, &agent.config, &errors) < 0) {
		conf_errors_print(&errors, stderr);
		return 1;
	}
	agent.self = config_node(agent.config, "dc1");
	routes = command_routes(&n_routes);
	if (loop_new(&agent.loop) < 0 || server_open(agent.loop, argv[1], routes, n_routes, &agent, &server) < 0 ||
	    loop_io_add(agent.loop, STDIN_FILENO, EPOLLIN | EPOLLHUP, on_input, agent.loop, &io) < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	loop_run(agent.loop);
	server_close(server);
	loop_free(agent.loop);
	config_free(agent.config);
	for (size_t i = 0; i < n; i++)
		free((char *)sources[i].text);
	return 0;
}
