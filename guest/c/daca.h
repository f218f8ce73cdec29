/* Agents for the DACA host in C: virtual actors with durable state, events, bindings, reminders and timers.
 *
 * An agent is a list of methods (DACA_AGENT) and, if it wants, hooks (DACA_LIFECYCLE and the others). All memory that
 * these functions return belongs to the turn: it is valid until the method or hook has returned, and nobody frees it.
 * What lasts longer is in static variables, which live as long as the instance, and in the state, which is durable.
 *
 * C++ compiles this header, too. */
#ifndef DACA_H
#define DACA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes or a text. They may hold zeros, and end with none. */
typedef struct daca_bytes {
    const char *data;
    size_t size;
} daca_bytes;

/* The bytes of a text that ends with a zero. */
daca_bytes daca_text(const char *text);
/* A text made as by printf. Of daca_bytes: "%.*s" with DACA_ARG. */
daca_bytes daca_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define DACA_ARG(bytes) (int)(bytes).size, (bytes).data
/* Whether two are the same. */
bool daca_equal(daca_bytes a, daca_bytes b);
/* Memory of this turn. Never NULL: without memory the instance ends. */
void *daca_alloc(size_t size);

/* --- Why the host rejected a request. ----------------------------------------------------------------------------- */

typedef enum daca_code {
    DACA_DONE,        /* it did not */
    DACA_DENIED,      /* the manifest does not grant this to the agent type */
    DACA_NOT_FOUND,   /* the named item does not exist */
    DACA_INVALID,     /* the request is invalid, and repeating it will not help */
    DACA_UNAVAILABLE, /* a store, broker, sidecar or actor cannot be reached now */
    DACA_TOO_LARGE,   /* a key, value, payload or number of items exceeds a limit */
    DACA_OTHER        /* any other reason, such as the failure that a called actor returned */
} daca_code;

typedef struct daca_error {
    daca_code code;
    daca_bytes message;
} daca_error;

/* The error as people read it: "denied: …". */
daca_bytes daca_error_text(daca_error error);

/* --- What a method returns. --------------------------------------------------------------------------------------- */

typedef enum daca_kind { DACA_REPLY_OK, DACA_REPLY_INVALID, DACA_REPLY_NOT_FOUND, DACA_REPLY_FAILED } daca_kind;

typedef struct daca_reply {
    daca_kind kind;
    daca_bytes value;
} daca_reply;

/* The reply of a method, as JSON. A hook returns daca_done(). */
daca_reply daca_ok(daca_bytes json);
daca_reply daca_done(void);
/* The caller's fault: the payload cannot be used. Status 400. */
daca_reply daca_invalid(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The caller's fault: the method, or the item that it asks for, does not exist. Status 404. */
daca_reply daca_not_found(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The fault of the agent or of a system that it depends on. Status 500. */
daca_reply daca_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what the host has rejected. */
daca_reply daca_failed_with(daca_error error);

/* --- The agent. --------------------------------------------------------------------------------------------------- */

typedef struct daca_method {
    const char *name;
    /* The payload is JSON, or nothing at all. */
    daca_reply (*run)(daca_bytes payload);
} daca_method;

extern const daca_method daca_methods[];
extern const size_t daca_methods_count;

/* The methods of the agent: DACA_AGENT({"Add", add}, {"Get", get}) */
#define DACA_AGENT(...)                                                                                                \
    DACA_C const daca_method daca_methods[] = {__VA_ARGS__};                                                           \
    DACA_C const size_t daca_methods_count = sizeof(daca_methods) / sizeof(daca_methods[0]);

/* --- Hooks: each macro makes one of the contract's optional exports. ---------------------------------------------- */

/* daca_reply activate(void): in every new instance, before its first method.
 * daca_reply deactivate(void): when the actor is deactivated; do not rely on it. */
#define DACA_LIFECYCLE(activate, deactivate)                                                                           \
    DACA_EXPORT("lifecycle", "activate", daca_export_activate, (void)) { return daca_result_done(activate()); }        \
    DACA_EXPORT("lifecycle", "deactivate", daca_export_deactivate, (void)) { return daca_result_done(deactivate()); }  \
    DACA_POST("lifecycle", "activate", daca_post_activate)                                                             \
    DACA_POST("lifecycle", "deactivate", daca_post_deactivate)

/* daca_reply run(daca_bytes name, daca_bytes data) */
#define DACA_ON_REMINDER(run) DACA_WAKE_UP("on-reminder", daca_export_on_reminder, daca_post_on_reminder, run)
#define DACA_ON_TIMER(run) DACA_WAKE_UP("on-timer", daca_export_on_timer, daca_post_on_timer, run)

typedef struct daca_pair {
    daca_bytes name, value;
} daca_pair;

/* An effect that the host has given up. */
typedef struct daca_failed_effect {
    daca_bytes id;
    bool is_event; /* else it was sent to a binding */
    daca_bytes pubsub, topic;
    daca_bytes binding, operation;
    daca_bytes data;
    const daca_pair *metadata;
    size_t metadata_count;
    uint32_t attempts;
} daca_failed_effect;

/* daca_reply run(const daca_failed_effect *effect, daca_error reason) */
#define DACA_ON_EFFECT_FAILED(run)                                                                                     \
    DACA_EXPORT("on-effect-failed", "on-effect-failed", daca_export_on_effect_failed,                                  \
                (daca_bytes_parts(id), uint32_t kind, daca_bytes_parts(a), daca_bytes_parts(b), daca_bytes_parts(c),   \
                 const daca_pair *pairs, size_t pairs_count, uint32_t attempts, uint32_t code,                         \
                 daca_bytes_parts(text))) {                                                                            \
        daca_failed_effect effect = daca_effect_of(kind, daca_of(a), daca_of(b), daca_of(c), pairs, pairs_count);      \
        daca_error reason = {(daca_code)(code + 1), daca_of(text)};                                                    \
        effect.id = daca_of(id);                                                                                       \
        effect.attempts = attempts;                                                                                    \
        return daca_result_done(run(&effect, reason));                                                                 \
    }                                                                                                                  \
    DACA_POST("on-effect-failed", "on-effect-failed", daca_post_on_effect_failed)

/* Names the format of the state, and migrates that of older versions.
 * size_t keys(daca_bytes from, daca_bytes *keys): fills in at most DACA_MAX_KEYS keys that `run` reads, and returns how
 * many. Without them it returns daca_no_keys(keys, "why"): the turn fails, and the state stays.
 * daca_reply run(daca_bytes from, daca_pair *entries, size_t *count): the entries with those keys. It leaves the new
 * ones there, at most DACA_MAX_KEYS; a key that is missing is deleted. */
#define DACA_MAX_KEYS 64
size_t daca_no_keys(daca_bytes *keys, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define DACA_MIGRATION(label, keys, run)                                                                               \
    DACA_EXPORT("migration", "label", daca_export_label, (void)) { return daca_result_text(label); }                   \
    DACA_EXPORT("migration", "keys", daca_export_keys, (daca_bytes_parts(from))) {                                     \
        daca_bytes *list = (daca_bytes *)daca_alloc(DACA_MAX_KEYS * sizeof(daca_bytes));                               \
        return daca_result_list(list, keys(daca_of(from), list));                                                      \
    }                                                                                                                  \
    DACA_EXPORT("migration", "migrate", daca_export_migrate,                                                           \
                (daca_bytes_parts(from), daca_pair * state, size_t count)) {                                           \
        daca_pair *entries = daca_entries_of(state, count);                                                            \
        daca_reply reply = run(daca_of(from), entries, &count);                                                        \
        return daca_result_entries(reply, entries, count);                                                             \
    }                                                                                                                  \
    DACA_POST("migration", "keys", daca_post_keys)                                                                     \
    DACA_POST("migration", "migrate", daca_post_migrate)

/* --- This actor. -------------------------------------------------------------------------------------------------- */

daca_bytes daca_agent_type(void);
daca_bytes daca_actor_id(void);
/* The field `turn` of the host's log lines. */
daca_bytes daca_turn_id(void);

/* --- State: keys and bytes. Writes are staged, and commit when the turn succeeds. --------------------------------- */

daca_error daca_state_get(daca_bytes key, bool *exists, daca_bytes *value);
/* Fills in `exists` and `values`, which have room for `count`. */
daca_error daca_state_get_many(const daca_bytes *keys, size_t count, bool *exists, daca_bytes *values);
daca_error daca_state_set(daca_bytes key, daca_bytes value);
/* The same for a key that expires so many seconds after the commit. */
daca_error daca_state_set_for(daca_bytes key, daca_bytes value, uint32_t seconds);
daca_error daca_state_delete(daca_bytes key);

/* --- Effects: they leave after the turn's commit. ----------------------------------------------------------------- */

typedef uint32_t daca_effect;

daca_error daca_publish(daca_bytes pubsub, daca_bytes topic, daca_bytes event, daca_effect *effect);
daca_error daca_binding_send(daca_bytes name, daca_bytes operation, daca_bytes data, const daca_pair *metadata,
                             size_t metadata_count, daca_effect *effect);
/* The line that the host logs when the effect has been delivered, or cannot be. */
daca_error daca_log_outcome(daca_effect effect, daca_bytes delivered, daca_bytes undeliverable);

/* --- Calls that take effect at once, even if the turn fails. ------------------------------------------------------ */

typedef struct daca_response {
    daca_bytes data;
    const daca_pair *metadata;
    size_t metadata_count;
} daca_response;

daca_error daca_binding_invoke(daca_bytes name, daca_bytes operation, daca_bytes data, const daca_pair *metadata,
                               size_t metadata_count, daca_response *response);
daca_error daca_actor_invoke(daca_bytes agent_type, daca_bytes id, daca_bytes method, daca_bytes payload,
                             daca_bytes *reply);

/* --- Wake-ups. Reminders are durable, timers last while the actor is active. -------------------------------------- */

/* In milliseconds, counted from the commit. A period or a time to live of 0: none. */
typedef struct daca_schedule {
    uint64_t due, period, ttl;
} daca_schedule;

daca_error daca_reminder_register(daca_bytes name, daca_schedule when, daca_bytes data);
daca_error daca_reminder_unregister(daca_bytes name);
daca_error daca_reminder_get(daca_bytes name, bool *exists, daca_schedule *when, daca_bytes *data);
daca_error daca_timer_register(daca_bytes name, daca_schedule when, daca_bytes data);
daca_error daca_timer_unregister(daca_bytes name);
daca_error daca_timer_get(daca_bytes name, bool *exists, daca_schedule *when, daca_bytes *data);

/* --- Settings, secrets, log. -------------------------------------------------------------------------------------- */

daca_error daca_setting(daca_bytes key, bool *exists, daca_bytes *value);
daca_error daca_settings(const daca_pair **pairs, size_t *count);
daca_error daca_secret(daca_bytes name, const daca_pair **pairs, size_t *count);

typedef enum daca_level { DACA_TRACE, DACA_DEBUG, DACA_INFO, DACA_WARN, DACA_ERROR, DACA_CRITICAL } daca_level;

void daca_log(daca_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void daca_log_text(daca_level level, daca_bytes text);

/* --- JSON. A value is the bytes of its text, as they were written. ------------------------------------------------ */

/* Whether it is JSON, with at most 127 levels. The functions below take only what is. */
bool daca_json_valid(daca_bytes json);
/* The value of a field of an object; false if it is no object or has no such field. */
bool daca_json_field(daca_bytes object, const char *name, daca_bytes *value);
/* The values of a list; false if it is none. */
bool daca_json_list(daca_bytes list, daca_bytes **values, size_t *count);
/* A text, without its quotes and escapes; false if it is none. */
bool daca_json_text(daca_bytes json, daca_bytes *text);
/* A whole number; false if it is none, or too large. */
bool daca_json_int(daca_bytes json, int64_t *number);

/* A text that grows. It begins as {0}. */
typedef struct daca_buffer {
    char *data;
    size_t size, room;
} daca_buffer;

void daca_put(daca_buffer *buffer, const char *text);
void daca_put_bytes(daca_buffer *buffer, daca_bytes bytes);
/* A text as JSON, with quotes and escapes. */
void daca_put_json(daca_buffer *buffer, daca_bytes text);
daca_bytes daca_taken(const daca_buffer *buffer);

/* --- What the macros above use. ----------------------------------------------------------------------------------- */

#ifdef __cplusplus
}
#define DACA_C extern "C"
#else
#define DACA_C
#endif

#define daca_bytes_parts(name) const char *name##_data, size_t name##_size
#ifdef __cplusplus
#define daca_of(name) (daca_bytes{name##_data, name##_size})
#else
#define daca_of(name) ((daca_bytes){name##_data, name##_size})
#endif

#define DACA_EXPORT(interface, function, symbol, parameters)                                                           \
    DACA_C __attribute__((export_name("daca:agent/" interface "@0.1.0#" function))) void *symbol parameters;           \
    void *symbol parameters
#define DACA_POST(interface, function, symbol)                                                                         \
    DACA_C __attribute__((export_name("cabi_post_daca:agent/" interface "@0.1.0#" function))) void symbol(void *);     \
    void symbol(void *result) {                                                                                        \
        (void)result;                                                                                                  \
        daca_end_turn();                                                                                               \
    }
#define DACA_WAKE_UP(interface, symbol, post, run)                                                                     \
    DACA_EXPORT(interface, interface, symbol, (daca_bytes_parts(name), daca_bytes_parts(data))) {                      \
        return daca_result_done(run(daca_of(name), daca_of(data)));                                                    \
    }                                                                                                                  \
    DACA_POST(interface, interface, post)

DACA_C void *daca_result_done(daca_reply reply);
DACA_C void *daca_result_text(const char *text);
DACA_C void *daca_result_list(const daca_bytes *list, size_t count);
DACA_C void *daca_result_entries(daca_reply reply, const daca_pair *entries, size_t count);
DACA_C daca_failed_effect daca_effect_of(uint32_t kind, daca_bytes a, daca_bytes b, daca_bytes c,
                                         const daca_pair *pairs, size_t count);
DACA_C daca_pair *daca_entries_of(const daca_pair *state, size_t count);
DACA_C void daca_end_turn(void);

#endif
