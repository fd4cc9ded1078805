/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs on devices: BPF filters of the clsact qdisc, at a fixed priority, and a handle that follows from the BPF
 * directory, so that a filter is found again without any pin, never taken for another daemon's, and swapped in place by
 * one message.  To come before a stranger's filter, ours has a stand-in for a moment, under a second handle, so that none of
 * the messages leaves a device without one; whoever is killed between them leaves both, and the next daemon one.
 *
 * While maps are being filled, a device that still has the filter of an earlier run keeps it until they
 * are full (make before break); one without gets ours at once, which denies.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dp/state.h"
#include "lib/cleanup.h"

#define FIRST 1 /* the priority before all others */

struct hook {
	enum bpf_tc_attach_point point;
	enum filter_side side;
	enum program_id program;
	uint32_t priority; /* FIRST on a port; the wire belongs to others too */
};

struct role {
	size_t n_hooks;
	struct hook hooks[2];
};

static const struct role roles[] = {
	[ATTACH_PORT] = {2,
			 {{BPF_TC_INGRESS, FILTER_INGRESS, PROGRAM_PORT_INGRESS, FIRST},
			  {BPF_TC_EGRESS, FILTER_EGRESS, PROGRAM_PORT_EGRESS, FIRST}}},
	[ATTACH_WIRE] = {1, {{BPF_TC_INGRESS, FILTER_INGRESS, PROGRAM_WIRE_INGRESS, 2}}},
	[ATTACH_SECURE] = {1, {{BPF_TC_EGRESS, FILTER_EGRESS, PROGRAM_SECURE_EGRESS, 2}}},
};

#define N_ROLES (sizeof(roles) / sizeof(*roles))

struct attachment_key {
	uint32_t ifindex;
	uint32_t role; /* enum attach_role */
};

struct attachment {
	struct attachment_key key;
	bool pending; /* an earlier run's filter stays until the maps are full */
	bool failed;  /* at the start: what an earlier run left there is better than nothing */
	char *why;    /* of the last look: what keeps our programs from it; NULL = nothing */
};

/* Of the directory's name, however it is spelt ("/sys/fs/bpf//isthmus/" is the same one). */
static uint32_t handle_of(const char *bpf_dir)
{
	char plain[PATH_MAX];
	size_t n = 0;

	for (const char *p = bpf_dir; *p && n < sizeof(plain); p++) {
		if (*p == '/' && (p[1] == '/' || p[1] == 0))
			continue;
		if (p[0] == '/' && p[1] == '.' && (p[2] == '/' || p[2] == 0)) {
			p++;
			continue;
		}
		plain[n++] = *p;
	}
	return ((uint32_t)hash_stable(plain, n) & INT32_MAX) | 1;
}

/* Odd and one more: another directory's filter never has it. */
static uint32_t stand_in_of(uint32_t handle)
{
	return handle + 1;
}

static const char *device_name(uint32_t ifindex, char out[static IF_NAMESIZE])
{
	if (!if_indextoname(ifindex, out))
		snprintf(out, IF_NAMESIZE, "%u", ifindex);
	return out;
}

static int attach_failed(int r, uint32_t ifindex, const struct hook *h)
{
	char name[IF_NAMESIZE];

	device_name(ifindex, name);
	switch (-r) {
	case ENODEV:
		return error_set(r, "attaching %s: interface %s does not exist any more", program_names[h->program],
				 name);
	case EPERM:
		return error_set(r, "attaching %s to %s: not permitted; CAP_NET_ADMIN is needed",
				 program_names[h->program], name);
	case ENOENT:
	case EOPNOTSUPP:
		return error_set(r, "attaching %s to %s: the kernel has no clsact or no BPF classifier "
				    "(CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF), or an ingress qdisc is in the way: "
				    "tc qdisc del dev %s ingress", program_names[h->program], name, name);
	default:
		return error_set(r, "attaching %s to %s: %s; see what is there: tc filter show dev %s ingress",
				 program_names[h->program], name, strerror(-r), name);
	}
}

/* ---- one hook ---------------------------------------------------------------------------------------------------- */

static int look(struct datapath *dp, uint32_t ifindex, const struct hook *h, struct filter *out)
{
	return filters_get(&dp->filters, ifindex, h->side, h->priority, dp->handle, out);
}

static int detach(uint32_t ifindex, const struct hook *h, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = h->point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = h->priority);
	int r = bpf_tc_detach(&hook, &options);

	return r < 0 && r != -ENOENT ? attach_failed(r, ifindex, h) : 0;
}

static bool is_ours(const struct filter *f)
{
	for (enum program_id p = 0; p < PROGRAM_MAX; p++) {
		size_t length = strlen(program_names[p]);

		if (strncmp(f->name, program_names[p], length) == 0 && (f->name[length] == ':' || f->name[length] == 0))
			return true;
	}
	return false;
}

static int set(struct datapath *dp, uint32_t ifindex, const struct hook *h, uint32_t handle, bool replace)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = h->point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = handle, .priority = h->priority,
		    .prog_fd = dp->programs[h->program].fd, .flags = replace ? BPF_TC_F_REPLACE : 0);
	int r;

	if (!replace) {
		r = bpf_tc_hook_create(&hook);
		/* An ingress qdisc takes filters of both sides for its one: ours would push each other out for ever. */
		if (r == -EEXIST && filters_clsact(&dp->filters, ifindex) == 0)
			r = -EOPNOTSUPP;
		if (r < 0 && r != -EEXIST)
			return attach_failed(r, ifindex, h);
	}
	r = bpf_tc_attach(&hook, &options);
	return r < 0 ? attach_failed(r, ifindex, h) : 1;
}

/* 1 attached or swapped, 0 was right */
static int ensure(struct datapath *dp, uint32_t ifindex, const struct hook *h)
{
	struct filter f;
	int r = look(dp, ifindex, h, &f);

	if (r < 0 && r != -ENOENT)
		return attach_failed(r, ifindex, h);
	if (r == 0 && f.program_id == dp->programs[h->program].id)
		return 0;
	return set(dp, ifindex, h, dp->handle, r == 0);
}

/*
 * The kernel puts a new filter before the others of its priority, and one that is swapped stays where it is.  So the
 * stand-in comes first, then ours can go and come: at every step one of the two is before all that either was before.
 */
static int move_first(struct datapath *dp, uint32_t ifindex, const struct hook *h, bool twice)
{
	uint32_t stand_in = stand_in_of(dp->handle);
	struct filter f;
	int r = look(dp, ifindex, h, &f);

	if (r < 0 && r != -ENOENT)
		return attach_failed(r, ifindex, h);
	if (r == 0) {
		r = set(dp, ifindex, h, stand_in, twice);
		if (r >= 0)
			r = detach(ifindex, h, dp->handle);
		if (r < 0)
			return r;
		twice = true;
	}
	r = set(dp, ifindex, h, dp->handle, false);
	if (r >= 0 && twice)
		r = detach(ifindex, h, stand_in);
	return r < 0 ? r : 1;
}

/*
 * On a port nobody's filter may be before ours: it could let a packet go past it to the host.  1 was attached, swapped or
 * moved, or its stand-in went, 0 was right
 */
static int ensure_first(struct datapath *dp, uint32_t ifindex, const struct hook *h)
{
	uint32_t stand_in = stand_in_of(dp->handle);
	struct filter first = {0}, twin = {0};
	bool any, ours, twice;
	int r;

	/* One question where all is well, as it is asked of every port twice a second. */
	r = filters_first(&dp->filters, ifindex, h->side, h->priority, stand_in, &first, &twin);
	any = r == 0;
	ours = any && first.priority == h->priority && first.handle == dp->handle;
	twice = any && twin.handle && is_ours(&twin);
	if (ours && !twice && first.program_id == dp->programs[h->program].id)
		return 0;
	if (any && !ours && (twice || !is_ours(&first))) /* another data plane's port is not ours to fight for */
		return move_first(dp, ifindex, h, twice);
	r = ensure(dp, ifindex, h);
	if (r < 0 || !twice)
		return r;
	r = detach(ifindex, h, stand_in);
	return r < 0 ? r : 1;
}

static int ensure_all(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	int changed = 0;

	for (size_t i = 0; i < roles[role].n_hooks; i++) {
		const struct hook *h = &roles[role].hooks[i];
		int r = h->priority == FIRST ? ensure_first(dp, ifindex, h) : ensure(dp, ifindex, h);

		if (r < 0)
			return r;
		changed |= r;
	}
	return changed;
}

/* 1 one or both were there, 0 neither */
static int clear_hook(struct filters *filters, uint32_t handle, uint32_t ifindex, const struct hook *h)
{
	const uint32_t handles[] = {handle, stand_in_of(handle)};
	int any = 0;

	for (size_t i = 0; i < 2; i++) {
		struct filter f;
		int r = filters_get(filters, ifindex, h->side, h->priority, handles[i], &f);

		if (r == -ENOENT || (r == 0 && !is_ours(&f)))
			continue;
		if (r < 0)
			return r == -ENODEV ? r : attach_failed(r, ifindex, h);
		r = detach(ifindex, h, handles[i]);
		if (r < 0)
			return r;
		any = 1;
	}
	return any;
}

/* The clsact goes with the last filter: with nothing on it, it does nothing for anybody. */
static int clear(struct filters *filters, uint32_t handle, uint32_t ifindex, const struct role *role)
{
	LIBBPF_OPTS(bpf_tc_hook, clsact, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	bool any = false;

	for (size_t i = 0; i < role->n_hooks; i++) {
		int r = clear_hook(filters, handle, ifindex, &role->hooks[i]);

		if (r == -ENODEV)
			return 0;
		if (r < 0)
			return r;
		any |= r;
	}
	if (any && filters_count(filters, ifindex) == 0)
		bpf_tc_hook_destroy(&clsact);
	return any;
}

/* ---- attachments ------------------------------------------------------------------------------------------------- */

static struct attachment *find(const struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	const struct attachment_key key = {.ifindex = ifindex, .role = role};

	return hmap_get(&dp->attachments, &key);
}

static struct attachment *remember(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	struct attachment *a = find(dp, ifindex, role);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->key = (struct attachment_key){.ifindex = ifindex, .role = role};
	if (hmap_add(&dp->attachments, a) < 0) {
		free(a);
		return NULL;
	}
	return a;
}

static void forget(struct datapath *dp, struct attachment *a)
{
	if (!a)
		return;
	hmap_remove(&dp->attachments, &a->key);
	free(a->why);
	free(a);
}

/* A filter of an earlier run, with maps that are full, on this hook? */
static bool hook_is_served(struct datapath *dp, uint32_t ifindex, const struct hook *h)
{
	const uint32_t handles[] = {dp->handle, stand_in_of(dp->handle)};
	bool served = false;

	for (size_t i = 0; i < 2; i++) {
		struct filter f;

		if (filters_get(&dp->filters, ifindex, h->side, h->priority, handles[i], &f) < 0 || !is_ours(&f))
			continue;
		if (f.program_id == dp->programs[h->program].id)
			return false;
		served = true;
	}
	return served;
}

static bool is_served(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	for (size_t i = 0; i < roles[role].n_hooks; i++) {
		if (!hook_is_served(dp, ifindex, &roles[role].hooks[i]))
			return false;
	}
	return true;
}

static int refuse_reader(const struct datapath *dp)
{
	return dp->read_only ? error_set(-EROFS, "the data plane was opened to be read only") : 0;
}

int attach_add(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	struct attachment *a;
	int r = refuse_reader(dp);
	bool keep;

	if (r < 0)
		return r;
	a = remember(dp, ifindex, role);
	if (!a)
		return error_set(-ENOMEM, "attaching: no memory");
	keep = dp->syncing || a->failed;
	a->failed = false;
	if (dp->syncing && is_served(dp, ifindex, role)) {
		a->pending = true;
		return 1;
	}
	r = ensure_all(dp, ifindex, role);
	if (r < 0 && r != -ENODEV && keep)
		a->failed = true;
	else if (r < 0)
		forget(dp, a);
	return r;
}

int attach_remove(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	int r = refuse_reader(dp);

	if (r < 0)
		return r;
	forget(dp, find(dp, ifindex, role));
	return clear(&dp->filters, dp->handle, ifindex, &roles[role]);
}

int attach_check(struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	const struct attachment *a = find(dp, ifindex, role);
	int r = refuse_reader(dp);

	if (r < 0)
		return r;
	return a && a->pending && is_served(dp, ifindex, role) ? 0 : ensure_all(dp, ifindex, role);
}

void attach_forget(struct datapath *dp, uint32_t ifindex)
{
	for (enum attach_role role = 0; role < N_ROLES; role++)
		forget(dp, find(dp, ifindex, role));
}

/* ---- for datapath.c and audit.c ---------------------------------------------------------------------------------- */

int attach_init(struct datapath *dp)
{
	int r;

	dp->handle = handle_of(dp->bpf_dir);
	dp->attachments = HMAP_INIT(struct attachment, key);
	r = filters_open(&dp->filters);
	return r < 0 ? error_set(r, "opening a netlink socket: %s", strerror(-r)) : 0;
}

void attach_fini(struct datapath *dp)
{
	struct attachment *a;

	for (size_t i = 0; (a = hmap_next(&dp->attachments, &i));) {
		free(a->why);
		free(a);
	}
	hmap_fini(&dp->attachments);
	filters_close(&dp->filters);
}

static void note_problem(struct attachment *a, int r)
{
	free(a->why);
	a->why = r < 0 && r != -ENODEV ? strdup(datapath_error()) : NULL;
}

const char *attach_problem(const struct datapath *dp, uint32_t ifindex, enum attach_role role)
{
	const struct attachment *a = find(dp, ifindex, role);

	return a ? a->why : NULL;
}

#define AUDIT_DEVICES 256

/*
 * In turns: the kernel tells when a filter or clsact goes (kern.h), and that is mended at once; this is for what it does
 * not tell, and thousands of ports must not cost more than hundreds.
 */
int attach_audit(struct datapath *dp)
{
	size_t budget = dp->attachments.length < AUDIT_DEVICES ? dp->attachments.length : AUDIT_DEVICES;
	int repairs = 0, error = 0;

	while (budget-- > 0) {
		struct attachment *a = hmap_next(&dp->attachments, &dp->attach_at);
		int r;

		if (!a) { /* from the start again */
			dp->attach_at = 0;
			budget++;
			continue;
		}
		r = a->failed ? 0 : attach_check(dp, a->key.ifindex, a->key.role); /* the caller of attach_add knows */
		note_problem(a, r);
		if (r >= 0)
			repairs += r;
		else if (r != -ENODEV) /* whoever watches links will call attach_forget */
			error = r;
	}
	return error < 0 ? error : repairs;
}

/* A port that was taken out of the configuration while the daemon was down still has its filters. */
static int clear_leftovers(struct datapath *dp)
{
	_cleanup_(free) uint32_t *ifindexes = NULL;
	size_t length = 0;
	int r = filters_devices(&dp->filters, &ifindexes, &length);

	if (r < 0)
		return error_set(r, "listing clsact qdiscs: %s", strerror(-r));
	for (size_t i = 0; i < length; i++) {
		for (enum attach_role role = 0; role < N_ROLES; role++) {
			if (find(dp, ifindexes[i], role))
				continue;
			r = clear(&dp->filters, dp->handle, ifindexes[i], &roles[role]);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int attach_finish_sync(struct datapath *dp, bool sweep)
{
	struct attachment *a;
	int error = 0, r;

	for (size_t i = 0; (a = hmap_next(&dp->attachments, &i));) {
		if (!a->pending)
			continue;
		a->pending = false;
		r = ensure_all(dp, a->key.ifindex, a->key.role);
		if (r < 0 && r != -ENODEV)
			error = r;
	}
	r = sweep ? clear_leftovers(dp) : 0;
	return error < 0 ? error : r;
}

int attach_teardown(const char *bpf_dir)
{
	_cleanup_(free) uint32_t *ifindexes = NULL;
	struct filters filters;
	size_t length = 0;
	int error = 0, r = filters_open(&filters);

	if (r < 0)
		return error_set(r, "opening a netlink socket: %s", strerror(-r));
	r = filters_devices(&filters, &ifindexes, &length);
	if (r < 0)
		error = error_set(r, "listing clsact qdiscs: %s", strerror(-r));
	for (size_t i = 0; i < length; i++) {
		for (enum attach_role role = 0; role < N_ROLES; role++) {
			r = clear(&filters, handle_of(bpf_dir), ifindexes[i], &roles[role]);
			if (r < 0)
				error = r;
		}
	}
	filters_close(&filters);
	return error;
}
