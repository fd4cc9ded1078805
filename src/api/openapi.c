/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "api/json.h"
#include "api/server.h"

#define LIST "List"

static const struct api_kind *kind_by_name(const struct api_kind *kinds, size_t n_kinds, const char *name,
					   size_t length)
{
	for (size_t i = 0; i < n_kinds; i++)
		if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0)
			return &kinds[i];
	return NULL;
}

/* "PortList" is a list of Port, unless a kind has that very name. */
static const struct api_kind *kind_of_list(const struct api_kind *kinds, size_t n_kinds, const char *name)
{
	size_t length = strlen(name);

	if (length <= strlen(LIST) || strcmp(name + length - strlen(LIST), LIST) != 0 ||
	    kind_by_name(kinds, n_kinds, name, length))
		return NULL;
	return kind_by_name(kinds, n_kinds, name, length - strlen(LIST));
}

static void write_reference(struct json *j, const char *base, const char *kind, size_t length)
{
	json_object_open(j);
	json_key(j, "$ref");
	json_format(j, "%s%.*s", base, (int)length, kind);
	json_object_close(j);
}

/* One type of struct api_field as a schema; the caller has written the key. */
static void write_type(struct json *j, const char *base, const char *type, const char *meaning)
{
	size_t length = strlen(type);
	bool nullable = type[length - 1] == '?';
	bool array = length > 2 && strcmp(type + length - 2, "[]") == 0;
	size_t name = length - (nullable ? 1 : 0) - (array ? 2 : 0);

	json_object_open(j);
	if (meaning)
		json_put_string(j, "description", meaning);
	if (array) {
		json_put_string(j, "type", "array");
		json_key(j, "items");
		if (*type == '#') {
			write_reference(j, base, type + 1, name - 1);
		} else {
			json_object_open(j);
			json_key(j, "type");
			json_format(j, "%.*s", (int)name, type);
			json_object_close(j);
		}
	} else if (*type == '#') {
		json_key(j, "anyOf");
		json_array_open(j);
		write_reference(j, base, type + 1, name - 1);
		if (nullable) {
			json_object_open(j);
			json_put_string(j, "type", "null");
			json_object_close(j);
		}
		json_array_close(j);
	} else {
		json_key(j, "type");
		if (nullable)
			json_array_open(j);
		json_format(j, "%.*s", (int)name, type);
		if (nullable) {
			json_string(j, "null");
			json_array_close(j);
		}
	}
	json_object_close(j);
}

static void write_constant(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	json_object_open(j);
	json_put_string(j, "const", value);
	json_object_close(j);
}

/* The members of an object schema, without its braces. */
static void write_kind(struct json *j, const char *base, const struct api_kind *kind)
{
	json_put_string(j, "description", kind->meaning);
	json_put_string(j, "type", "object");
	json_key(j, "properties");
	json_object_open(j);
	if (!kind->nested) {
		write_constant(j, "apiVersion", "isthmus/v1");
		write_constant(j, "kind", kind->name);
	}
	for (const struct api_field *f = kind->fields; f->name; f++) {
		json_key(j, f->name);
		write_type(j, base, f->type, f->meaning);
	}
	json_object_close(j);
	json_key(j, "required");
	json_array_open(j);
	if (!kind->nested) {
		json_string(j, "apiVersion");
		json_string(j, "kind");
	}
	for (const struct api_field *f = kind->fields; f->name; f++)
		json_string(j, f->name);
	json_array_close(j);
}

static void write_list(struct json *j, const char *base, const char *name, const struct api_kind *item)
{
	json_object_open(j);
	json_put_string(j, "type", "object");
	json_key(j, "properties");
	json_object_open(j);
	write_constant(j, "apiVersion", "isthmus/v1");
	write_constant(j, "kind", name);
	json_key(j, "items");
	json_object_open(j);
	json_put_string(j, "type", "array");
	json_key(j, "items");
	write_reference(j, base, item->name, strlen(item->name));
	json_object_close(j);
	json_object_close(j);
	json_key(j, "required");
	json_array_open(j);
	json_string(j, "apiVersion");
	json_string(j, "kind");
	json_string(j, "items");
	json_array_close(j);
	json_object_close(j);
}

static void write_parameters(struct json *j, const struct api_route *route)
{
	const char *words = route->query ? route->query : "";

	json_key(j, "parameters");
	json_array_open(j);
	if (strchr(route->pattern, '{')) {
		json_object_open(j);
		json_put_string(j, "name", "name");
		json_put_string(j, "in", "path");
		json_put_bool(j, "required", true);
		json_key(j, "schema");
		write_type(j, "", "string", NULL);
		json_object_close(j);
	}
	for (size_t n; (n = strcspn(words, " ")); words += n, words += strspn(words, " ")) {
		bool text = words[n - 1] == '=';

		json_object_open(j);
		json_key(j, "name");
		json_format(j, "%.*s", (int)n - text, words);
		json_put_string(j, "in", "query");
		json_key(j, "schema");
		write_type(j, "", text ? "string" : "boolean", NULL);
		json_object_close(j);
	}
	json_array_close(j);
}

static void write_content(struct json *j, const char *type, const char *schema)
{
	json_key(j, "content");
	json_object_open(j);
	json_key(j, type);
	json_object_open(j);
	json_key(j, "schema");
	if (schema)
		write_reference(j, "#/components/schemas/", schema, strlen(schema));
	else
		write_type(j, "", "string", NULL);
	json_object_close(j);
	json_object_close(j);
}

static void write_operation(struct json *j, const struct api_route *route)
{
	char key[8];

	snprintf(key, sizeof(key), "%s", route->method);
	for (char *p = key; *p; p++)
		*p = (char)(*p | 0x20); /* methods are letters */
	json_key(j, key);
	json_object_open(j);
	json_put_string(j, "summary", route->summary);
	json_put_string(j, "x-access", route->mutates ? "root" : "root, group isthmus");
	write_parameters(j, route);
	if (strcmp(route->method, "POST") == 0) {
		json_key(j, "requestBody");
		json_object_open(j);
		json_put_bool(j, "required", true);
		write_content(j, "application/yaml", NULL);
		json_object_close(j);
	}
	json_key(j, "responses");
	json_object_open(j);
	json_key(j, "200");
	json_object_open(j);
	json_put_string(j, "description", route->summary);
	write_content(j, route->reply ? "application/json" : "text/plain", route->reply);
	json_object_close(j);
	json_key(j, "default");
	json_object_open(j);
	json_put_string(j, "description", "what went wrong");
	write_content(j, "application/json", "Error");
	json_object_close(j);
	json_object_close(j);
	json_object_close(j);
}

static const struct api_field error_body_fields[] = {
	{"code", "string", "stable: IST-nnnn"},
	{"message", "string", "what went wrong"},
	{0},
};
static const struct api_field error_fields[] = {
	{"error", "#ErrorBody",
	 "with an optional hint (the next step) and details (one object for each error in a file)"},
	{0},
};
static const struct api_kind error_kinds[] = {
	{"ErrorBody", "What went wrong.", error_body_fields, true},
	{"Error", "The body of every answer that is not a success.", error_fields, true},
};

static void write_component(struct json *j, const char *base, const struct api_kind *kind)
{
	json_key(j, kind->name);
	json_object_open(j);
	write_kind(j, base, kind);
	json_object_close(j);
}

void openapi_write(struct json *j, const char *title, const char *version, const struct api_route *routes,
		   size_t n_routes, const struct api_kind *kinds, size_t n_kinds)
{
	const char *base = "#/components/schemas/";

	json_object_open(j);
	json_put_string(j, "openapi", "3.1.0");
	json_key(j, "info");
	json_object_open(j);
	json_put_string(j, "title", title);
	json_put_string(j, "version", version);
	json_object_close(j);
	json_key(j, "paths");
	json_object_open(j);
	for (size_t i = 0; i < n_routes; i++) {
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = strcmp(routes[k].pattern, routes[i].pattern) == 0;
		if (seen)
			continue;
		json_key(j, routes[i].pattern);
		json_object_open(j);
		for (size_t k = i; k < n_routes; k++)
			if (strcmp(routes[k].pattern, routes[i].pattern) == 0)
				write_operation(j, &routes[k]);
		json_object_close(j);
	}
	json_object_close(j);
	json_key(j, "components");
	json_object_open(j);
	json_key(j, "schemas");
	json_object_open(j);
	for (size_t i = 0; i < sizeof(error_kinds) / sizeof(error_kinds[0]); i++)
		write_component(j, base, &error_kinds[i]);
	for (size_t i = 0; i < n_kinds; i++)
		write_component(j, base, &kinds[i]);
	for (size_t i = 0; i < n_routes; i++) {
		const char *name = routes[i].reply;
		const struct api_kind *item = name ? kind_of_list(kinds, n_kinds, name) : NULL;
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = routes[k].reply && name && strcmp(routes[k].reply, name) == 0;
		if (!item || seen)
			continue;
		json_key(j, name);
		write_list(j, base, name, item);
	}
	json_object_close(j);
	json_object_close(j);
	json_object_close(j);
}

/* Everything the kind refers to, itself included once; `seen` is a bit per kind. */
static void collect(const struct api_kind *kind, const struct api_kind *kinds, size_t n_kinds, uint64_t *seen)
{
	for (const struct api_field *f = kind->fields; f->name; f++) {
		const struct api_kind *other;

		if (*f->type != '#')
			continue;
		other = kind_by_name(kinds, n_kinds, f->type + 1, strcspn(f->type + 1, "[?"));
		if (!other || (*seen & (UINT64_C(1) << (other - kinds))))
			continue;
		*seen |= UINT64_C(1) << (other - kinds);
		collect(other, kinds, n_kinds, seen);
	}
}

void openapi_schema_write(struct json *j, const struct api_kind *kind, const struct api_kind *kinds, size_t n_kinds)
{
	uint64_t seen = 0;

	collect(kind, kinds, n_kinds, &seen);
	json_object_open(j);
	json_put_string(j, "$schema", "https://json-schema.org/draft/2020-12/schema");
	json_put_string(j, "title", kind->name);
	write_kind(j, "#/$defs/", kind);
	if (seen) {
		json_key(j, "$defs");
		json_object_open(j);
		for (size_t i = 0; i < n_kinds; i++)
			if (seen & (UINT64_C(1) << i))
				write_component(j, "#/$defs/", &kinds[i]);
		json_object_close(j);
	}
	json_object_close(j);
}
