/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many RUN-DIR N: the API of a node that knows N routes, more than a file of 8 MiB can describe: the real route table,
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

static char *file_text(size_t total, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	fputs("version: 1\nfabric: {encryption: never, encap: vxlan}\nsites: {dc: {}}\n"
	      "nodes: {dc1: {site: dc, underlay: 192.0.2.1}, dc2: {site: dc, underlay: 192.0.2.2}}\n"
	      "tenants: {red: {vni: 5000, networks: {app: {mode: l3, subnets: [10.0.0.0/8]}}}}\nports:\n", f);
	for (size_t i = 0; i < total; i++) {
		size_t n = i + 256, port = i / PER_PORT;

		if (i % PER_PORT == 0)
			fprintf(f, "  r%05zu: {node: dc2, interface: r%zu, network: red/app, mac: \"02:00:00:00:%02zx:%02zx\", addresses: [", port,
				port, port >> 8, port & 255);
		fprintf(f, "10.%zu.%zu.%zu", n >> 16, n >> 8 & 255, n & 255);
		fputs(i % PER_PORT == PER_PORT - 1 || i + 1 == total ? "]}\n" : ",", f);
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
	struct conf_source file = {.name = "many", .size_max = conf_text_max("256")};
	struct conf_errors errors = {0};
	struct agent agent = {0};
	const struct api_route *routes;
	struct server *server;
	struct loop_io *io;
	size_t n_routes;

	if (argc != 3)
		return 2;
	file.text = file_text(strtoul(argv[2], NULL, 10), &file.size);
	if (conf_load(&file, 1, &agent.config, &errors) < 0) {
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
	free((char *)file.text);
	return 0;
}
