/* What the methods have in common: fields of a payload, and replies. */
#ifndef PARTS_H
#define PARTS_H

#include "daca.h"

#define TEXT(literal) ((daca_bytes){literal, sizeof(literal) - 1})
#define NULL_JSON TEXT("null")

/* Ends the method if it has what is no part of the cases: a payload without a field that it must have. */
#define NEEDS(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) return daca_invalid("%s", #what);                                                                 \
    } while (0)

static inline bool is_null(daca_bytes json) { return daca_equal(json, NULL_JSON); }

/* A field that is there and not null. */
static inline bool field(daca_bytes payload, const char *name, daca_bytes *value) {
    return daca_json_valid(payload) && daca_json_field(payload, name, value) && !is_null(*value);
}

static inline bool text(daca_bytes payload, const char *name, daca_bytes *value) {
    daca_bytes json;
    return field(payload, name, &json) && daca_json_text(json, value);
}

static inline bool number(daca_bytes payload, const char *name, int64_t *value) {
    daca_bytes json;
    return field(payload, name, &json) && daca_json_int(json, value);
}

/* A value of any kind, and null without one. */
static inline daca_bytes value_of(daca_bytes payload, const char *name) {
    daca_bytes value;
    return field(payload, name, &value) ? value : NULL_JSON;
}

static inline daca_bytes json_text(daca_bytes text) {
    daca_buffer json = {0};
    daca_put_json(&json, text);
    return daca_taken(&json);
}

static inline daca_reply whole(int64_t value) { return daca_ok(daca_format("%lld", (long long)value)); }

/* The name of the case. */
static inline const char *case_of(daca_code code) {
    static const char *const names[] = {"", "denied", "not-found", "invalid", "unavailable", "too-large", "other"};
    return names[code];
}

/* The value, or what the host rejected: the turn ends well then. */
static inline daca_reply answer(daca_error error, daca_bytes json) {
    if (error.code == DACA_DONE) return daca_ok(json);
    return daca_ok(daca_format("{\"error\":\"%s\"}", case_of(error.code)));
}

/* The same for a value that may not exist. */
static inline daca_reply answer_if(daca_error error, bool exists, daca_bytes json) {
    return answer(error, exists ? json : NULL_JSON);
}

static inline daca_reply object_of(const daca_pair *pairs, size_t count) {
    daca_buffer json = {0};
    daca_put(&json, "{");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) daca_put(&json, ",");
        daca_put_json(&json, pairs[i].name);
        daca_put(&json, ":");
        daca_put_json(&json, pairs[i].value);
    }
    daca_put(&json, "}");
    return daca_ok(daca_taken(&json));
}

/* The methods of state.c and wake_ups.c. */
daca_reply set(daca_bytes payload);
daca_reply get(daca_bytes payload);
daca_reply get_many(daca_bytes payload);
daca_reply delete(daca_bytes payload);
daca_reply read_own_writes(daca_bytes payload);
daca_reply register_reminder(daca_bytes payload);
daca_reply get_reminder(daca_bytes payload);
daca_reply unregister_reminder(daca_bytes payload);
daca_reply register_timer(daca_bytes payload);
daca_reply get_timer(daca_bytes payload);
daca_reply unregister_timer(daca_bytes payload);
daca_reply fired(daca_bytes payload);

#endif
