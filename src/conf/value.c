/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *value_text(const struct yaml_node *map, const struct schema_map *m, const char *key)
{
	const struct yaml_node *n = yaml_get(map, key);

	return n ? n->text : schema_find(m, key)->fallback;
}

uint32_t value_number(const struct yaml_node *map, const struct schema_map *m, const char *key)
{
	const char *text = value_text(map, m, key);

	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

uint32_t value_word(const struct yaml_node *map, const struct schema_map *m, const char *key, uint32_t otherwise)
{
	const char *text = value_text(map, m, key);

	return text ? schema_word_value(schema_find(m, key)->type, text) : otherwise;
}

uint32_t value_limit(const struct yaml_node *map, const struct schema_map *m, const char *key, uint32_t otherwise)
{
	return yaml_get(map, key) ? value_number(map, m, key) : otherwise;
}

int value_copy(const struct yaml_node *map, const char *key, char **out)
{
	const struct yaml_node *n = yaml_get(map, key);

	if (!n)
		return 0;
	*out = strdup(n->text);
	return *out ? 0 : -ENOMEM;
}

size_t value_count(const struct yaml_node *list)
{
	size_t n = 0;

	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		n++;
	return n;
}

int value_addresses(const struct yaml_node *list, struct addr **out, size_t *length)
{
	size_t n = value_count(list);

	if (n == 0)
		return 0;
	*out = calloc(n, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		addr_parse(i->text, &(*out)[(*length)++]);
	return 0;
}

/* "192.0.2.1:51820", "[2001:db8::1]:51820" */
bool value_endpoint(const char *text, struct addr *out, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	char host[ADDR_TEXT_SIZE + 2];
	size_t length = colon ? (size_t)(colon - text) : 0, digits = colon ? strlen(colon + 1) : 0;
	bool bracketed = text[0] == '[';
	struct addr a;

	if (length < 3 || length >= sizeof(host) || digits < 1 || digits > 5 || strspn(colon + 1, "0123456789") != digits ||
	    colon[1] == '0' || strtoul(colon + 1, NULL, 10) > UINT16_MAX || bracketed != (text[length - 1] == ']'))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(length - 2 * bracketed), text + bracketed);
	if (addr_parse(host, &a) < 0 || addr_is_v4(&a) == bracketed)
		return false;
	*out = a;
	*port = (uint16_t)strtoul(colon + 1, NULL, 10);
	return true;
}
