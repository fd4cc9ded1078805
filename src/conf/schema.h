/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema.h - the one table of what a configuration may say.
 *
 * Parsing and its errors (check.c), `isthmus explain` (explain.c), the JSON schema and the reference of isthmus.yaml(5)
 * (reference.c), and the defaults that build.c uses all come from the rows in schema.c: a new key is a row there, its
 * use in build.c, a line in emit.c and a test.  Constant data, any thread.
 */
#ifndef ISTHMUS_CONF_SCHEMA_H
#define ISTHMUS_CONF_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct yaml_node;

/*
 * Every error has a number that never changes its meaning and is never used again: IST-1xxx the text, 2xxx one value,
 * 3xxx names of what is not there, 4xxx values that contradict each other.  X(symbol, number, meaning)
 */
#define CONF_CODES(X)                                                                                                  \
	X(NOT_YAML, 1001, "the text is not YAML")                                                                      \
	X(EMPTY, 1002, "the file holds no configuration")                                                              \
	X(TOO_LARGE, 1003, "the file is larger than 8 MiB")                                                            \
	X(TOO_DEEP, 1004, "lists and maps are nested deeper than 64 levels")                                           \
	X(TOO_MANY_VALUES, 1005, "the file holds more than 400000 values")                                             \
	X(NOT_UTF8, 1006, "a byte is not UTF-8")                                                                       \
	X(CONTROL_CHARACTER, 1007, "a NUL, another control character, or one that nobody sees")                        \
	X(TAB, 1008, "a tab in the indentation")                                                                       \
	X(ANCHOR, 1009, "an anchor or an alias: every value is written out")                                           \
	X(TAG, 1010, "a YAML tag: every key has its own type")                                                         \
	X(SECOND_DOCUMENT, 1011, "more than one YAML document in a file")                                              \
	X(DUPLICATE_KEY, 1012, "a key is given twice in one map")                                                      \
	X(KEY_NOT_TEXT, 1013, "a list or a map stands where a key should")                                             \
	X(DIRECTIVE, 1014, "a YAML directive")                                                                         \
	X(TOO_MANY_ERRORS, 1015, "more errors than are shown")                                                         \
	X(UNKNOWN_KEY, 2001, "a key that is not known here")                                                           \
	X(MISSING_KEY, 2002, "a key that is required is missing")                                                      \
	X(WRONG_KIND, 2003, "a map, list or single value where another of these is expected")                          \
	X(NO_VALUE, 2004, "a key without a value")                                                                     \
	X(NOT_NUMBER, 2005, "not a whole decimal number")                                                              \
	X(NUMBER_RANGE, 2006, "a number that is too small or too large")                                               \
	X(NOT_BOOLEAN, 2007, "neither true nor false")                                                                 \
	X(UNKNOWN_WORD, 2008, "not one of the words that the key knows")                                               \
	X(NOT_SUPPORTED, 2009, "known, but not in this version")                                                       \
	X(BAD_NAME, 2010, "not a valid name")                                                                          \
	X(BAD_INTERFACE, 2011, "not a valid interface name")                                                           \
	X(BAD_ADDRESS, 2012, "not an IP address")                                                                      \
	X(UNUSABLE_ADDRESS, 2013, "an IP address that no host can have here")                                          \
	X(BAD_SUBNET, 2014, "not a subnet")                                                                            \
	X(HOST_BITS, 2015, "a subnet with bits set beyond its prefix length")                                          \
	X(UNUSABLE_SUBNET, 2016, "a subnet that is no range of host addresses")                                        \
	X(BAD_MAC, 2017, "not a MAC address")                                                                          \
	X(UNUSABLE_MAC, 2018, "a MAC address that no host can have")                                                   \
	X(BAD_COUNT, 2019, "too few or too many values in a list")                                                     \
	X(NOT_HERE, 2020, "a key that does not go with another one")                                                   \
	X(QUOTED, 2021, "quotes around a number or a boolean")                                                         \
	X(BAD_REFERENCE, 2022, "not of the form TENANT/NETWORK")                                                       \
	X(BAD_AS, 2023, "not the number of an autonomous system")                                                      \
	X(BAD_TARGET, 2024, "not a route target")                                                                      \
	X(BAD_PATH, 2025, "not the absolute path of a file")                                                           \
	X(BAD_ROUTER_ID, 2026, "not a router id")                                                                      \
	X(BAD_TEXT, 2027, "a text that is empty, too long, or more than one line")                                     \
	X(BAD_KEY, 2028, "not a public key")                                                                           \
	X(BAD_ENDPOINT, 2029, "not an address and a UDP port")                                                         \
	X(UNKNOWN_SITE, 3001, "a site that is not in the configuration")                                               \
	X(UNKNOWN_NODE, 3002, "a node that is not in the configuration")                                               \
	X(UNKNOWN_NETWORK, 3003, "a network that is not in the configuration")                                         \
	X(UNKNOWN_TENANT, 3004, "a tenant that is not in the configuration")                                           \
	X(VNI_TWICE, 4001, "one VNI for two tenants or networks")                                                      \
	X(SUBNETS_OVERLAP, 4002, "subnets of one tenant overlap")                                                      \
	X(OUTSIDE_SUBNETS, 4003, "an address outside the subnets of its network")                                      \
	X(RESERVED_ADDRESS, 4004, "the network's or the broadcast address of a subnet")                                \
	X(ADDRESS_TWICE, 4005, "one address for two owners in a tenant")                                               \
	X(MAC_TWICE, 4006, "one MAC address for two owners")                                                           \
	X(INTERFACE_TWICE, 4007, "one interface of a node for two uses")                                               \
	X(FAMILY_TWICE, 4008, "two addresses of one family where one is allowed")                                      \
	X(UNDERLAY_TWICE, 4009, "one underlay address for two nodes")                                                  \
	X(NO_COMMON_FAMILY, 4010, "nodes of one tenant without a common address family")                               \
	X(ROUTER_MAC_TWICE, 4011, "two nodes whose underlay addresses give one router MAC")                            \
	X(TOO_MANY_MEMBERS, 4012, "more members in a network than replication can serve")                              \
	X(FOREIGN_ROUTED, 4013, "a foreign node in an l3 network")                                                     \
	X(RUNTIME_DIFFERS, 4014, "a run-time port that differs from the file's port of that name")                     \
	X(LISTED_TWICE, 4015, "one value twice in a list")                                                             \
	X(TOO_MANY_RUNTIME, 4016, "more ports added at run time than a restart could read again")                      \
	X(ROUTER_ID_TWICE, 4017, "one router id for two nodes")                                                        \
	X(NEIGHBOR_TWICE, 4018, "a node has a BGP neighbor twice")                                                     \
	X(PEERS_WITH_SELF, 4019, "a BGP session of a node with itself")                                                \
	X(NOT_A_REFLECTOR, 4020, "a route reflector that is a node of the fabric")                                     \
	X(WORD_AND_NAME, 4021, "a word that is a name here too")                                                       \
	X(NATIVE, 4022, "a network without encapsulation that the rest of the fabric contradicts")                     \
	X(KEY_TWICE, 4023, "one public key for two owners")                                                            \
	X(PAIR_TWICE, 4024, "one pair of sites twice")                                                                 \
	X(UDP_PORT_TWICE, 4025, "one UDP port for two uses")                                                           \
	X(NOT_ENCRYPTABLE, 4026, "encryption where there is nobody who can encrypt")                                   \
	X(RELAY_WITHOUT_KEY, 4027, "a relay without a public key")                                             \
	X(TOO_MANY_RELAYS, 4028, "more relays than a node can go through")                                     \
	X(PEER_NETWORK, 4030, "a peer in a network that is not l3")                                                    \
	X(PEER_NODE, 4031, "a peer of a node that cannot have one")                                                    \
	X(PEER_NAME, 4032, "a peer with the name of a port or a node")

enum conf_code {
#define X(symbol, number, meaning) CONF_##symbol,
	CONF_CODES(X)
#undef X
	CONF_CODE_MAX
};

unsigned conf_code_number(enum conf_code c);
const char *conf_code_meaning(unsigned number); /* NULL: no such code */

/* ---- types of single values ---- */

struct schema_word {
	const char *word;
	const char *meaning;
	uint32_t value;
	bool unsupported; /* known, for a later version */
};

struct schema_problem { /* written by a check that fails */
	enum conf_code code;
	char what[192];
	char expected[96]; /* empty: the type's */
};

struct schema_type {
	const char *name;     /* for people: "VNI" */
	const char *expected; /* "a whole number from 1 to 16777215" */
	bool (*check)(const struct schema_type *t, const char *text, struct schema_problem *p);
	uint32_t low, high;              /* numbers */
	const struct schema_word *words; /* ends with {} */
	bool bare; /* written without quotes: numbers and booleans */
	const char *json; /* JSON schema of one value; NULL: made from the numbers or words */
};

bool type_check_number(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_limit(const struct schema_type *t, const char *text, struct schema_problem *p); /* or none */
bool type_check_version(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_boolean(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_word(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_name(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_network(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_interface(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_address(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_underlay(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_subnet(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_mac(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_as(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_hold(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_target(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_router_id(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_path(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_key(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_endpoint(const struct schema_type *t, const char *text, struct schema_problem *p);
bool type_check_line(const struct schema_type *t, const char *text, struct schema_problem *p);

/* ---- keys ---- */

enum schema_shape {
	SCHEMA_VALUE, /* one value */
	SCHEMA_LIST,  /* one value or a list */
	SCHEMA_MAP,   /* fixed keys */
	SCHEMA_TABLE, /* names to maps */
};

struct schema_map {
	const char *noun;               /* "node": what one is called */
	const struct schema_key *keys;  /* ends with {} */
	const char *json_rules;         /* JSON schema: what goes with what; or NULL */
};

struct schema_key {
	const char *name;
	enum schema_shape shape;
	bool required;
	const struct schema_type *type; /* value, list */
	const struct schema_map *map;   /* map, table: of one entry */
	size_t max_items;     /* list; 0 = any number */
	const char *max_why;  /* "one of each address family"; or NULL */
	size_t min_items;     /* list */
	const char *fallback; /* text of the default, NULL = none */
	const char *absent;   /* what its absence means, where a default is no value; or NULL */
	const char *meaning;  /* one or two sentences */
	const char *example;  /* a value */
};

extern const struct schema_map schema_root, schema_fabric, schema_pair, schema_node, schema_tenant, schema_network, schema_port,
	schema_peer, schema_targets, schema_bgp, schema_neighbor;
extern const struct schema_type schema_name; /* keys of tables */

const struct schema_key *schema_find(const struct schema_map *m, const char *name); /* or NULL */
uint32_t schema_word_value(const struct schema_type *t, const char *word);          /* of a checked word */

#endif
