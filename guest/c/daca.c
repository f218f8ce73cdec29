/* The agent's side of wit/agent.wit, by hand, as the canonical ABI lays it out: a text or a list is an address and a
 * length, an option a number before its value, and a result that is no single number goes where the last parameter
 * says. */
#include "daca.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tests of an agent run on the author's machine, with functions of their own for those of the host. */
#ifdef __wasm__
_Static_assert(sizeof(daca_bytes) == 8 && sizeof(daca_pair) == 16, "the target is wasm32");
#endif

/* --- Memory. What the host fills and what the agent makes lies in chunks that go with the turn. ------------------- */

typedef struct chunk {
    struct chunk *before;
    size_t used, room;
} chunk;

#define CHUNK 4000

static chunk *turn;

void *daca_alloc(size_t size) {
    if (size > SIZE_MAX - sizeof(chunk) - 7) __builtin_trap();
    size = (size + 7) & ~(size_t)7;
    if (turn == NULL || turn->room - turn->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        chunk *made = malloc(sizeof(chunk) + 8 + room);
        if (made == NULL) __builtin_trap();
        *made = (chunk){turn, 0, room};
        turn = made;
    }
    char *first = (char *)(((uintptr_t)(turn + 1) + 7) & ~(uintptr_t)7);
    turn->used += size;
    return first + turn->used - size;
}

void daca_end_turn(void) {
    while (turn != NULL) {
        chunk *before = turn->before;
        free(turn);
        turn = before;
    }
}

/* The host asks for memory here: for what it hands to an export, and for what it answers to an import. */
__attribute__((export_name("cabi_realloc"))) void *daca_realloc(void *old, size_t old_size, size_t align, size_t size);
void *daca_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)align; /* no value of the contract needs more than 8 */
    void *made = daca_alloc(size);
    if (old_size > 0) memcpy(made, old, old_size < size ? old_size : size);
    return made;
}

/* WASI's adapter asks here, for memory that stays. */
__attribute__((export_name("cabi_realloc_adapter"))) void *daca_realloc_adapter(void *old, size_t old_size,
                                                                                size_t align, size_t size);
void *daca_realloc_adapter(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size;
    if (align > 8) __builtin_trap();
    void *made = realloc(old, size);
    if (made == NULL) __builtin_trap();
    return made;
}

daca_bytes daca_text(const char *text) { return (daca_bytes){text, strlen(text)}; }

bool daca_equal(daca_bytes a, daca_bytes b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static daca_bytes format_with(const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    int size = vsnprintf(NULL, 0, format, values);
    if (size < 0) __builtin_trap();
    char *text = daca_alloc((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return (daca_bytes){text, (size_t)size};
}

#define FORMATTED(into)                                                                                                \
    va_list values;                                                                                                    \
    va_start(values, format);                                                                                          \
    daca_bytes into = format_with(format, values);                                                                     \
    va_end(values)

daca_bytes daca_format(const char *format, ...) {
    FORMATTED(text);
    return text;
}

void daca_log(daca_level level, const char *format, ...) {
    FORMATTED(text);
    daca_log_text(level, text);
}

/* --- Replies and errors. ------------------------------------------------------------------------------------------ */

daca_reply daca_ok(daca_bytes json) { return (daca_reply){DACA_REPLY_OK, json}; }

daca_reply daca_done(void) { return daca_ok(daca_text("null")); }

daca_reply daca_invalid(const char *format, ...) {
    FORMATTED(text);
    return (daca_reply){DACA_REPLY_INVALID, text};
}

daca_reply daca_not_found(const char *format, ...) {
    FORMATTED(text);
    return (daca_reply){DACA_REPLY_NOT_FOUND, text};
}

daca_reply daca_failed(const char *format, ...) {
    FORMATTED(text);
    return (daca_reply){DACA_REPLY_FAILED, text};
}

daca_bytes daca_error_text(daca_error error) {
    static const char *const names[] = {
        "done: ", "denied: ", "not found: ", "invalid: ", "unavailable: ", "too large: ", ""};
    daca_buffer text = {0};
    daca_put(&text, names[error.code <= DACA_OTHER ? error.code : DACA_OTHER]);
    daca_put_bytes(&text, error.message);
    return daca_taken(&text);
}

daca_reply daca_failed_with(daca_error error) { return (daca_reply){DACA_REPLY_FAILED, daca_error_text(error)}; }

/* --- Exports. One result is enough: the host reads it before the next call. --------------------------------------- */

static size_t result[4];

static void *result_of(daca_reply reply, bool has_value) {
    memset(result, 0, sizeof(result));
    if (reply.kind == DACA_REPLY_OK) {
        if (has_value) result[1] = (size_t)reply.value.data, result[2] = reply.value.size;
        return result;
    }
    result[0] = 1;
    result[1] = (size_t)reply.kind - 1;
    result[2] = (size_t)reply.value.data;
    result[3] = reply.value.size;
    return result;
}

void *daca_result_done(daca_reply reply) { return result_of(reply, false); }

void *daca_result_text(const char *text) { return daca_result_list((const daca_bytes *)text, strlen(text)); }

void *daca_result_list(const daca_bytes *list, size_t count) {
    result[0] = (size_t)list;
    result[1] = count;
    return result;
}

/* In place of keys, the contract has this text: `keys` returns no result. */
size_t daca_no_keys(daca_bytes *keys, const char *format, ...) {
    FORMATTED(reason);
    keys[0] = daca_format("daca:failed\n%.*s", DACA_ARG(reason));
    return 1;
}

void *daca_result_entries(daca_reply reply, const daca_pair *entries, size_t count) {
    if (reply.kind == DACA_REPLY_OK) reply.value = (daca_bytes){(const char *)entries, count};
    return result_of(reply, true);
}

daca_pair *daca_entries_of(const daca_pair *state, size_t count) {
    size_t room = count > DACA_MAX_KEYS ? count : DACA_MAX_KEYS;
    daca_pair *entries = daca_alloc(room * sizeof(daca_pair));
    if (count > 0) memcpy(entries, state, count * sizeof(daca_pair));
    return entries;
}

/* A variant has its case, and room for the larger one, whose words the smaller one uses from the first on. */
daca_failed_effect daca_effect_of(uint32_t kind, daca_bytes a, daca_bytes b, daca_bytes c, const daca_pair *pairs,
                                  size_t count) {
    if (kind == 0) return (daca_failed_effect){.is_event = true, .pubsub = a, .topic = b, .data = c};
    return (daca_failed_effect){.binding = a, .operation = b, .data = c, .metadata = pairs, .metadata_count = count};
}

static daca_reply no_such_method(daca_bytes name) {
    daca_buffer text = {0};
    daca_put(&text, "there is no method `");
    daca_put_bytes(&text, name);
    daca_put(&text, "`; the methods are ");
    for (size_t i = 0; i < daca_methods_count; i++) {
        if (i > 0) daca_put(&text, ", ");
        daca_put(&text, daca_methods[i].name);
    }
    return (daca_reply){DACA_REPLY_NOT_FOUND, daca_taken(&text)};
}

DACA_EXPORT("actor", "invoke", daca_export_invoke, (daca_bytes_parts(method), daca_bytes_parts(payload))) {
    for (size_t i = 0; i < daca_methods_count; i++) {
        if (daca_equal(daca_text(daca_methods[i].name), daca_of(method))) {
            return result_of(daca_methods[i].run(daca_of(payload)), true);
        }
    }
    return result_of(no_such_method(daca_of(method)), true);
}
DACA_POST("actor", "invoke", daca_post_invoke)
