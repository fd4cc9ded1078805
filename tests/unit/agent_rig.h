/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_rig.h - an agent as a whole in namespaces of its own, with a configuration to start from, and looks at what its data
 * plane then holds.
 *
 *      web1, web2 ... -- [agent: node dc1] -- u0 -- u1 (nobody answers)
 *
 * What writes tables and reads files is wrapped (meson.build), so that any one write or reading can be made to fail.
 *
 * Call order: setup and teardown are the fixtures of each test (AGENT_TEST); g->agent is opened by start and closed by stop
 * or the teardown.  The knobs of failure are reset by setup.  One thread.
 */
#ifndef ISTHMUS_TEST_AGENT_RIG_H
#define ISTHMUS_TEST_AGENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "dp/datapath.h"
#include "sandbox.h"

#define PATIENCE_MS 30000 /* the kernel's lock over all interfaces is at times held for seconds by others */

struct rig {
	struct sandbox sandbox;
	char config[128], run[128], state[128], bpf[128];
	struct agent_options options;
	struct loop *loop;
	struct agent *agent;
};

extern const char base[]; /* a configuration, the last tree of which is that of ports */
extern const char more[]; /* two ports more, to be put behind it */
extern const char web4[]; /* a port to be added at run time */

extern int no_ports; /* what reading ports.yaml gives; 0 = its text */
extern unsigned no_ports_times;
extern int no_fabric; /* the same of the snapshot */
extern unsigned no_fabric_times;
extern long fail_at; /* number of puts that still succeed; -1 = all */
extern size_t room;  /* of the table of hosts; 0 = as it is */

int __real_file_read(const char *path, size_t limit, char **text, size_t *size);

void write_config(struct rig *g, const char *text, const char *and);
int start(struct rig *g);
void stop(struct rig *g);
int setup(void **state);
int teardown(void **state);
uint64_t now_ms(void);
/* Turns the loop until the question is answered by yes; false when patience ran out. */
bool wait_until(struct rig *g, bool (*question)(struct rig *g));

/* What the data plane holds. */
struct held {
	struct fwd items[512];
	size_t length;
};

struct held look(const struct rig *g);
bool held_equal(const struct held *a, const struct held *b);

struct outcome {
	int r;
	size_t steps;
	char why[512];
};

struct outcome apply(struct rig *g, const char *text, const char *and, bool dry_run);
struct outcome port_add(struct rig *g, const char *yaml, bool dry_run);
struct outcome port_del(struct rig *g, const char *name, bool dry_run);
enum agent_port_state port_state(const struct rig *g, const char *name);
bool web1_is_up(struct rig *g);
bool is_whole(struct rig *g);
void plug(const char *name); /* a veth of that name, up */

#define AGENT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
