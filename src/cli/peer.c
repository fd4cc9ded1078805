/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file of a peer's own WireGuard program, as wg-quick(8) and the programs for phones read it.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/qr.h"
#include "cli/show.h"
#include "lib/addr.h"
#include "lib/base64.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define KEEPALIVE_S 25
#define KEY_SIZE 32
#define KEY_LENGTH BASE64_LENGTH(KEY_SIZE)
#define HOST_MAX 253

DEFINE_CLEANUP(json, json_t *, json_decref)
DEFINE_CLEANUP(pkey, EVP_PKEY *, EVP_PKEY_free)

/* A key as a line of base64, wiped when its scope ends. */
struct key_line {
	char text[KEY_LENGTH + 2];
};

static void cleanup_key_line(struct key_line *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}
#define _key_line_ __attribute__((cleanup(cleanup_key_line)))

static void cleanup_secret_text(char **text)
{
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(*text);
}

static const char *text_at(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* ---- keys ---- */

static int read_key(const char *path, const char *what, const char *hint, struct key_line *out)
{
	bool is_input = strcmp(path, "-") == 0;
	_cleanup_(fd) int opened = is_input ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	int fd = is_input ? STDIN_FILENO : opened, r;
	uint8_t bytes[KEY_SIZE];
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return fail(ERROR_FILE, hint, "%s: %s: %s", what, path, strerror(errno));
	while ((n = read(fd, out->text + used, sizeof(out->text) - used)) > 0)
		used += (size_t)n;
	if (n < 0)
		return fail(ERROR_FILE, hint, "%s: %s: %s", what, path, strerror(errno));
	if (used == KEY_LENGTH + 1 && out->text[KEY_LENGTH] == '\n')
		used--;
	r = used == KEY_LENGTH ? base64_decode(out->text, used, bytes, sizeof(bytes)) : -EINVAL;
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (r < 0)
		return fail(ERROR_KEY_FILE, hint, "%s: %s is no key: 32 bytes in base64, one line of 44 characters", what, path);
	out->text[KEY_LENGTH] = '\0';
	return 0;
}

/* The public half, as text. */
static bool derive(const struct key_line *private_key, char out[static KEY_LENGTH + 1])
{
	uint8_t secret[KEY_SIZE], public_key[KEY_SIZE];
	_cleanup_(pkey) EVP_PKEY *key = NULL;
	size_t size = sizeof(public_key);
	bool ok;

	base64_decode(private_key->text, KEY_LENGTH, secret, sizeof(secret));
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, sizeof(secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	ok = key && EVP_PKEY_get_raw_public_key(key, public_key, &size) == 1;
	if (ok)
		base64_encode(public_key, sizeof(public_key), out);
	return ok;
}

static int read_private_key(const char *path, const json_t *peer, struct key_line *out)
{
	const char *expected = text_at(peer, "publicKey");
	char found[KEY_LENGTH + 1], hint[160];
	int code = read_key(path, "the private key", "\"wg genkey\" makes one", out);

	if (code)
		return code;
	if (!derive(out, found))
		return fail(ERROR_MEMORY, NULL, "out of memory");
	if (strcmp(found, expected) == 0)
		return 0;
	snprintf(hint, sizeof(hint), "bring the right one, or put peers.%s.public_key: \"%s\" into the configuration",
		 text_at(peer, "name"), found);
	return fail(ERROR_KEY_FILE, hint, "%s is the private key of %s, and the configuration has %s", path, found, expected);
}

/* ---- where the node is ---- */

static bool is_host_name(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
			return false;
	return length > 0 && length <= HOST_MAX && text[0] != '-';
}

/* HOST, HOST:PORT, an IPv6 address, or [IPv6 address]:PORT */
static int format_endpoint(const char *text, json_int_t otherwise, char **out)
{
	static const char hint[] = "vpn.example.org, 203.0.113.7:51820 or [2001:db8::7]:51820";
	const char *port = NULL;
	size_t length = strlen(text);
	char address[ADDR_TEXT_SIZE];
	bool v6 = false, wrong = false;
	struct addr a;
	long number;

	if (addr_parse(text, &a) == 0) {
		v6 = !addr_is_v4(&a);
	} else if (text[0] == '[') {
		const char *end = strchr(text, ']');

		length = end ? (size_t)(end - text) - 1 : 0;
		v6 = end && length < sizeof(address);
		snprintf(address, sizeof(address), "%.*s", v6 ? (int)length : 0, text + 1);
		v6 = v6 && addr_parse(address, &a) == 0 && !addr_is_v4(&a) && (!end[1] || end[1] == ':');
		port = v6 && end[1] ? end + 2 : NULL;
		wrong = !v6;
		text++;
	} else {
		port = strchr(text, ':');
		length = port ? (size_t)(port - text) : length;
		port = port ? port + 1 : NULL;
	}
	number = port ? (*port && strspn(port, "0123456789") == strlen(port) && strlen(port) < 6 ? strtol(port, NULL, 10) : 0)
		      : (long)otherwise;
	if (wrong || (!v6 && !is_host_name(text, length)) || number < 1 || number > 65535)
		return fail(ERROR_VALUE, hint, "--endpoint is not a host and a UDP port");
	if (asprintf(out, v6 ? "[%.*s]:%ld" : "%.*s:%ld", (int)length, text, number) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return 0;
}

/* Where none can be known the file has none, and says so. */
static int find_endpoint(const struct call *call, const json_t *peer, char **out)
{
	const char *given = call_option(call, "endpoint");
	const char *own = json_string_value(json_array_get(json_object_get(peer, "nodeAddresses"), 0));
	json_int_t port = json_integer_value(json_object_get(peer, "nodePort"));

	if (given)
		return format_endpoint(given, port, out);
	if (json_is_true(json_object_get(peer, "nodeNat"))) {
		note("node %s is behind a NAT: --endpoint says where it is found from outside%s", text_at(peer, "node"),
		     json_is_null(json_object_get(peer, "endpoint")) ? "" : "; without one it is for the node to begin");
		return 0;
	}
	return own ? format_endpoint(own, port, out)
		   : fail(ERROR_DAEMON_ANSWER, NULL, "the daemon's answer has no address of the node");
}

/* ---- the file ---- */

static bool has_family(const json_t *addresses, bool v4)
{
	const json_t *item;
	struct addr a;
	size_t i;

	json_array_foreach((json_t *)addresses, i, item) {
		const char *text = json_string_value(item);

		if (text && addr_parse(text, &a) == 0 && addr_is_v4(&a) == v4)
			return true;
	}
	return false;
}

static void put_addresses(FILE *f, const json_t *addresses)
{
	const json_t *item;
	size_t i;

	fputs("Address = ", f);
	json_array_foreach((json_t *)addresses, i, item) {
		const char *text = json_string_value(item);

		if (text)
			fprintf(f, "%s%s/%s", i ? ", " : "", text, strchr(text, ':') ? "128" : "32");
	}
	fputc('\n', f);
}

/* Of the families that it speaks. */
static void put_routes(FILE *f, const json_t *peer)
{
	const json_t *item, *own = json_object_get(peer, "addresses");
	const char *joint = "AllowedIPs = ";
	size_t i;

	json_array_foreach(json_object_get(peer, "routes"), i, item) {
		const char *text = json_string_value(item);

		if (!text || !has_family(own, !strchr(text, ':')))
			continue;
		fprintf(f, "%s%s", joint, text);
		joint = ", ";
	}
	fputc('\n', f);
}

static void put_private_key(FILE *f, const char *name, const struct key_line *key)
{
	if (key)
		fprintf(f, "PrivateKey = %s\n", key->text);
	else
		fprintf(f,
			"# The private key stays where it is; instead of this line PrivateKey = ... may stand here.\n"
			"PostUp = wg set %%i private-key /etc/wireguard/%s.key\n",
			name);
}

static void put_file(FILE *f, const json_t *peer, const struct key_line *private_key, const struct key_line *psk,
		     const char *endpoint)
{
	bool called = !json_is_null(json_object_get(peer, "endpoint"));

	fprintf(f, "# %s, through node %s into %s\n[Interface]\n", text_at(peer, "name"), text_at(peer, "node"),
		text_at(peer, "network"));
	put_private_key(f, text_at(peer, "name"), private_key);
	put_addresses(f, json_object_get(peer, "addresses"));
	fprintf(f, "MTU = %lld\n\n[Peer]\nPublicKey = %s\n", (long long)json_integer_value(json_object_get(peer, "mtu")),
		text_at(peer, "nodePublicKey"));
	if (psk)
		fprintf(f, "PresharedKey = %s\n", psk->text);
	put_routes(f, peer);
	if (endpoint)
		fprintf(f, "Endpoint = %s\n", endpoint);
	if (!called) /* the node answers to where its packets come from, so a way through NATs has to stay open */
		fprintf(f, "PersistentKeepalive = %d\n", KEEPALIVE_S);
}

static void show_code(const struct call *call, const char *text, bool whole)
{
	int r;

	if (!isatty(STDOUT_FILENO))
		return;
	if (!whole) {
		note("with --private-key FILE a QR code for the program of a phone follows here");
		return;
	}
	putchar('\n');
	r = qr_print(text, color_wanted(call, stdout), stdout);
	if (r < 0)
		note("no QR code: %s", r == -ERANGE ? "the text is too long for one" : strerror(-r));
}

static int print(const struct call *call, const json_t *peer, const struct key_line *private_key,
		 const struct key_line *psk, const char *endpoint)
{
	__attribute__((cleanup(cleanup_secret_text))) char *text = NULL;
	size_t size = 0;
	FILE *f = text_stream(&text, &size);

	if (!f)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	put_file(f, peer, private_key, psk, endpoint);
	if (fclose(f) != 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	fputs(text, stdout);
	show_code(call, text, private_key);
	return client_code(CODE_OK);
}

static int fetch(const struct call *call, json_t **out)
{
	_cleanup_(free) char *name = client_escape(call->arguments[0]);
	_cleanup_(free) char *target = NULL;

	if (asprintf(&target, "/v1/peers/%s", name) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return client_json(call, &(struct client_request){.target = target}, out);
}

int run_peer_config(const struct call *call)
{
	const char *private_file = call_option(call, "private-key"), *psk_file;
	_key_line_ struct key_line private_key = {0}, psk = {0};
	_cleanup_(free) char *endpoint = NULL;
	_cleanup_(json) json_t *peer = NULL;
	int code = fetch(call, &peer);

	if (code)
		return code;
	if (call->output != OUTPUT_TABLE) {
		show_object(call, peer);
		return client_code(CODE_OK);
	}
	psk_file = json_string_value(json_object_get(peer, "presharedKeyFile"));
	if (private_file)
		code = read_private_key(private_file, peer, &private_key);
	if (!code && psk_file)
		code = read_key(psk_file, "the preshared key", "run it as root on the node, where the daemon reads that file too", &psk);
	if (!code)
		code = find_endpoint(call, peer, &endpoint);
	return code ? code : print(call, peer, private_file ? &private_key : NULL, psk_file ? &psk : NULL, endpoint);
}
