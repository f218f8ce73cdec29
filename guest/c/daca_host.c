/* What an agent asks the host for: the contract's imports. The linker keeps those that the agent uses. */
#include "daca.h"

#define IMPORT(interface, function) __attribute__((import_module(interface), import_name(function))) extern
#define TEXT daca_bytes_parts
#define PASS(bytes) (bytes).data, (bytes).size

/* Where the host writes an answer. Its first word is 0 for ok, and the rest begins at the second, or, behind an u64, at
 * the third. */
typedef union answer {
    uint32_t words[16];
    uint64_t wide[8];
} answer;

#define FIRST(a) ((a).words[0] & 0xff)
#define BYTES(a, at) ((daca_bytes){(const char *)(a).words[at], (a).words[(at) + 1]})

static daca_error error_at(const answer *a, size_t at) {
    if (FIRST(*a) == 0) return (daca_error){DACA_DONE, {"", 0}};
    uint32_t number = a->words[at] & 0xff;
    return (daca_error){number < DACA_OTHER ? (daca_code)(number + 1) : DACA_OTHER, BYTES(*a, at + 1)};
}

/* The answer to a question for something that need not exist. */
static daca_error optional(const answer *a, bool *exists, daca_bytes *value) {
    bool found = FIRST(*a) == 0 && (a->words[1] & 0xff) != 0;
    *exists = found;
    *value = found ? BYTES(*a, 2) : (daca_bytes){"", 0};
    return error_at(a, 1);
}

static daca_error listed(const answer *a, const daca_pair **pairs, size_t *count) {
    bool is_ok = FIRST(*a) == 0;
    *pairs = is_ok ? (const daca_pair *)a->words[1] : NULL;
    *count = is_ok ? a->words[2] : 0;
    return error_at(a, 1);
}

/* --- identity ----------------------------------------------------------------------------------------------------- */

IMPORT("daca:agent/identity@0.1.0", "agent-type") void identity_agent_type(answer *);
IMPORT("daca:agent/identity@0.1.0", "actor-id") void identity_actor_id(answer *);
IMPORT("daca:agent/identity@0.1.0", "turn-id") void identity_turn_id(answer *);

daca_bytes daca_agent_type(void) {
    answer a;
    identity_agent_type(&a);
    return BYTES(a, 0);
}

daca_bytes daca_actor_id(void) {
    answer a;
    identity_actor_id(&a);
    return BYTES(a, 0);
}

daca_bytes daca_turn_id(void) {
    answer a;
    identity_turn_id(&a);
    return BYTES(a, 0);
}

/* --- state -------------------------------------------------------------------------------------------------------- */

IMPORT("daca:agent/state@0.1.0", "get") void state_get(TEXT(key), answer *);
IMPORT("daca:agent/state@0.1.0", "get-many") void state_get_many(const daca_bytes *keys, size_t count, answer *);
IMPORT("daca:agent/state@0.1.0", "set")
void state_set(TEXT(key), TEXT(value), uint32_t has_ttl, uint32_t ttl, answer *);
IMPORT("daca:agent/state@0.1.0", "delete") void state_delete(TEXT(key), answer *);

daca_error daca_state_get(daca_bytes key, bool *exists, daca_bytes *value) {
    answer a;
    state_get(PASS(key), &a);
    return optional(&a, exists, value);
}

daca_error daca_state_get_many(const daca_bytes *keys, size_t count, bool *exists, daca_bytes *values) {
    answer a;
    state_get_many(keys, count, &a);
    const uint32_t *words = (const uint32_t *)a.words[1];
    for (size_t i = 0; i < count; i++) {
        exists[i] = FIRST(a) == 0 && i < a.words[2] && (words[3 * i] & 0xff) != 0;
        values[i] = exists[i] ? (daca_bytes){(const char *)words[3 * i + 1], words[3 * i + 2]} : (daca_bytes){"", 0};
    }
    return error_at(&a, 1);
}

daca_error daca_state_set(daca_bytes key, daca_bytes value) {
    answer a;
    state_set(PASS(key), PASS(value), 0, 0, &a);
    return error_at(&a, 1);
}

daca_error daca_state_set_for(daca_bytes key, daca_bytes value, uint32_t seconds) {
    answer a;
    state_set(PASS(key), PASS(value), 1, seconds, &a);
    return error_at(&a, 1);
}

daca_error daca_state_delete(daca_bytes key) {
    answer a;
    state_delete(PASS(key), &a);
    return error_at(&a, 1);
}

/* --- effects ------------------------------------------------------------------------------------------------------ */

IMPORT("daca:agent/pubsub@0.1.0", "publish") void pubsub_publish(TEXT(pubsub), TEXT(topic), TEXT(event), answer *);
IMPORT("daca:agent/bindings@0.1.0", "send")
void bindings_send(TEXT(name), TEXT(operation), TEXT(data), const daca_pair *, size_t, answer *);
IMPORT("daca:agent/bindings@0.1.0", "invoke")
void bindings_invoke(TEXT(name), TEXT(operation), TEXT(data), const daca_pair *, size_t, answer *);
IMPORT("daca:agent/effects@0.1.0", "log-outcome")
void effects_log_outcome(daca_effect, TEXT(delivered), TEXT(undeliverable), answer *);

daca_error daca_publish(daca_bytes pubsub, daca_bytes topic, daca_bytes event, daca_effect *effect) {
    answer a;
    pubsub_publish(PASS(pubsub), PASS(topic), PASS(event), &a);
    *effect = a.words[1];
    return error_at(&a, 1);
}

daca_error daca_binding_send(daca_bytes name, daca_bytes operation, daca_bytes data, const daca_pair *metadata,
                             size_t metadata_count, daca_effect *effect) {
    answer a;
    bindings_send(PASS(name), PASS(operation), PASS(data), metadata, metadata_count, &a);
    *effect = a.words[1];
    return error_at(&a, 1);
}

daca_error daca_binding_invoke(daca_bytes name, daca_bytes operation, daca_bytes data, const daca_pair *metadata,
                               size_t metadata_count, daca_response *response) {
    answer a;
    bindings_invoke(PASS(name), PASS(operation), PASS(data), metadata, metadata_count, &a);
    *response = (daca_response){{"", 0}, NULL, 0};
    if (FIRST(a) == 0) *response = (daca_response){BYTES(a, 1), (const daca_pair *)a.words[3], a.words[4]};
    return error_at(&a, 1);
}

daca_error daca_log_outcome(daca_effect effect, daca_bytes delivered, daca_bytes undeliverable) {
    answer a;
    effects_log_outcome(effect, PASS(delivered), PASS(undeliverable), &a);
    return error_at(&a, 1);
}

/* --- actors ------------------------------------------------------------------------------------------------------- */

IMPORT("daca:agent/actors@0.1.0", "invoke")
void actors_invoke(TEXT(agent_type), TEXT(id), TEXT(method), TEXT(payload), answer *);

daca_error daca_actor_invoke(daca_bytes agent_type, daca_bytes id, daca_bytes method, daca_bytes payload,
                             daca_bytes *reply) {
    answer a;
    actors_invoke(PASS(agent_type), PASS(id), PASS(method), PASS(payload), &a);
    *reply = FIRST(a) == 0 ? BYTES(a, 1) : (daca_bytes){"", 0};
    return error_at(&a, 1);
}

/* --- reminders and timers ----------------------------------------------------------------------------------------- */

/* A schedule's options as two numbers each. */
#define SCHEDULE uint64_t due, uint32_t has_period, uint64_t period, uint32_t has_ttl, uint64_t ttl
#define PASS_SCHEDULE(when) (when).due, (when).period != 0, (when).period, (when).ttl != 0, (when).ttl

IMPORT("daca:agent/reminders@0.1.0", "register") void reminders_register(TEXT(name), SCHEDULE, TEXT(data), answer *);
IMPORT("daca:agent/reminders@0.1.0", "unregister") void reminders_unregister(TEXT(name), answer *);
IMPORT("daca:agent/reminders@0.1.0", "get") void reminders_get(TEXT(name), answer *);
IMPORT("daca:agent/timers@0.1.0", "register") void timers_register(TEXT(name), SCHEDULE, TEXT(data), answer *);
IMPORT("daca:agent/timers@0.1.0", "unregister") void timers_unregister(TEXT(name), answer *);
IMPORT("daca:agent/timers@0.1.0", "get") void timers_get(TEXT(name), answer *);

static daca_error wake_up(const answer *a, bool *exists, daca_schedule *when, daca_bytes *data) {
    *exists = FIRST(*a) == 0 && (a->words[2] & 0xff) != 0;
    *when = (daca_schedule){0, 0, 0};
    *data = (daca_bytes){"", 0};
    if (*exists) {
        *data = BYTES(*a, 4);
        when->due = a->wide[3];
        when->period = (a->words[8] & 0xff) != 0 ? a->wide[5] : 0;
        when->ttl = (a->words[12] & 0xff) != 0 ? a->wide[7] : 0;
    }
    return error_at(a, 2);
}

daca_error daca_reminder_register(daca_bytes name, daca_schedule when, daca_bytes data) {
    answer a;
    reminders_register(PASS(name), PASS_SCHEDULE(when), PASS(data), &a);
    return error_at(&a, 1);
}

daca_error daca_reminder_unregister(daca_bytes name) {
    answer a;
    reminders_unregister(PASS(name), &a);
    return error_at(&a, 1);
}

daca_error daca_reminder_get(daca_bytes name, bool *exists, daca_schedule *when, daca_bytes *data) {
    answer a;
    reminders_get(PASS(name), &a);
    return wake_up(&a, exists, when, data);
}

daca_error daca_timer_register(daca_bytes name, daca_schedule when, daca_bytes data) {
    answer a;
    timers_register(PASS(name), PASS_SCHEDULE(when), PASS(data), &a);
    return error_at(&a, 1);
}

daca_error daca_timer_unregister(daca_bytes name) {
    answer a;
    timers_unregister(PASS(name), &a);
    return error_at(&a, 1);
}

daca_error daca_timer_get(daca_bytes name, bool *exists, daca_schedule *when, daca_bytes *data) {
    answer a;
    timers_get(PASS(name), &a);
    return wake_up(&a, exists, when, data);
}

/* --- settings, secrets, log --------------------------------------------------------------------------------------- */

IMPORT("wasi:config/store@0.2.0-rc.1", "get") void config_get(TEXT(key), answer *);
IMPORT("wasi:config/store@0.2.0-rc.1", "get-all") void config_get_all(answer *);
IMPORT("daca:agent/secrets@0.1.0", "get") void secrets_get(TEXT(name), answer *);
IMPORT("wasi:logging/logging@0.1.0-draft", "log") void logging_log(uint32_t level, TEXT(context), TEXT(message));

/* wasi:config has two errors of its own: the source answered with one, or could not be reached. */
static daca_error config_error(const answer *a) {
    daca_error error = error_at(a, 1);
    if (error.code != DACA_DONE) error.code = (a->words[1] & 0xff) == 1 ? DACA_UNAVAILABLE : DACA_OTHER;
    return error;
}

daca_error daca_setting(daca_bytes key, bool *exists, daca_bytes *value) {
    answer a;
    config_get(PASS(key), &a);
    optional(&a, exists, value);
    return config_error(&a);
}

daca_error daca_settings(const daca_pair **pairs, size_t *count) {
    answer a;
    config_get_all(&a);
    listed(&a, pairs, count);
    return config_error(&a);
}

daca_error daca_secret(daca_bytes name, const daca_pair **pairs, size_t *count) {
    answer a;
    secrets_get(PASS(name), &a);
    return listed(&a, pairs, count);
}

void daca_log_text(daca_level level, daca_bytes text) { logging_log((uint32_t)level, "", 0, PASS(text)); }
